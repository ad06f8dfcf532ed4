//! The engine that compiles and runs components, and the ticker that interrupts them.
//!
//! Owns the settings that make plugin code deterministic and stoppable, in every process that compiles or runs it.
//! Never owns whether a run is stopped: each run has a [`Cancel`] for that.

use super::limits::Limits;
use crate::error::{Error, ErrorKind};
use rustix::process::{Resource, getrlimit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often running plugin code checks whether it has to stop. An endless loop stops at most this much later.
const TICK: Duration = Duration::from_millis(10);
/// The size of the stack of plugin code. It is the default of the engine, and stated here because tests depend on it.
const STACK_BYTES: usize = 512 * 1024;

/// How many linear memories an instance of a component may have.
const MEMORIES_OF_INSTANCE: u32 = 2;
/// The address space that the engine reserves for each linear memory: everything that 32 bits can address. So few
/// accesses need a check.
const ADDRESSES_OF_MEMORY: u64 = 4 << 30;
/// The address space that the rest of the process may need.
const ADDRESSES_BESIDE: u64 = 16 << 30;

/// The least room that is reserved for the memory of an instance. The limiter enforces the actual limit, because the
/// limiter can say how much was asked for.
const SLOT_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// How much of the memory of an instance is cleared and stays resident for the next instance, if the system can say which
/// pages were written (Linux 6.7). The rest goes back to the system, which costs a small task more than its work does:
/// all processors are interrupted, and the next instance waits for each page again.
const KEPT_BYTES: usize = 512 * 1024;

/// Why the engine could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process cannot reserve the address space for the instances.
    #[error(
        "it reserves about {} GiB of address space for {instances} plugin instances, and this process may have {:.1} GiB: \
         {error:#}",
        .needed.div_ceil(GIB), *.allowed as f64 / GIB as f64
    )]
    AddressSpace {
        /// The number of instances.
        instances: usize,
        /// The address space that the instances need, in bytes. It takes no memory until it is used.
        needed: u64,
        /// The address space that the process may have, in bytes.
        allowed: u64,
        /// The error of the engine.
        error: wasmtime::Error,
    },
    /// Any other error.
    #[error("{0:#}")]
    Other(wasmtime::Error),
}

const GIB: u64 = 1 << 30;

impl StartError {
    fn new(instances: usize, error: wasmtime::Error) -> Self {
        let needed =
            (instances as u64).saturating_mul(u64::from(MEMORIES_OF_INSTANCE)).saturating_mul(ADDRESSES_OF_MEMORY);
        match getrlimit(Resource::As).current {
            Some(allowed) if allowed <= needed.saturating_add(ADDRESSES_BESIDE) => {
                Self::AddressSpace { instances, needed, allowed, error }
            }
            _ => Self::Other(error),
        }
    }

    /// The error that is reported.
    pub fn into_error(self) -> Error {
        let message = format!("cannot start the WebAssembly engine: {self}");
        match self {
            Self::AddressSpace { .. } => Error::new(ErrorKind::Unavailable, message)
                .help("run `ulimit -v unlimited` first, or lower engine.threads; address space is no memory"),
            Self::Other(_) => Error::new(ErrorKind::Internal, message),
        }
    }
}

/// Stops all plugin code of a run, and all computing for the run.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    own: Arc<AtomicBool>,
    /// The flag of the whole run, if this value belongs to a part of a run.
    whole: Option<Arc<AtomicBool>>,
}

impl Cancel {
    /// Stops the plugin code: calls that run now or are made later fail with [`super::Failure::Cancelled`].
    pub fn cancel(&self) {
        self.own.store(true, Ordering::Relaxed);
    }

    /// Makes a value for a part of the run. The part can be cancelled alone, and is cancelled with the run.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { own: Arc::default(), whole: Some(self.own.clone()) }
    }

    /// Whether the run, or this part of it, was cancelled.
    pub fn is_cancelled(&self) -> bool {
        let is_set = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        is_set(&self.own) || self.whole.as_ref().is_some_and(|whole| is_set(whole))
    }
}

/// Compiles and runs components within the same limits. The runs of a plugin share one runtime, and its room for
/// instances.
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) limits: Limits,
    /// The batch interval of the job, for plugins that ask for it.
    pub(super) batch_interval: Duration,
    stop_ticker: Arc<AtomicBool>,
    ticker: Option<JoinHandle<()>>,
}

impl Runtime {
    /// Starts an engine with room for `instances` instances at a time, for a job with this batch interval.
    ///
    /// # Errors
    /// If the engine refuses its settings, or if the system refuses a thread or the address space.
    pub fn start(limits: Limits, instances: usize, batch_interval: Duration) -> Result<Self, StartError> {
        let engine = Engine::new(&config(&limits, instances)).map_err(|error| StartError::new(instances, error))?;
        let stop_ticker = Arc::new(AtomicBool::new(false));
        let (ticking, stop) = (engine.weak(), stop_ticker.clone());
        let ticker = std::thread::Builder::new().name("plugin-ticker".to_owned()).spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                std::thread::park_timeout(TICK);
                match ticking.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        });
        let ticker = ticker.map_err(|error| StartError::new(instances, error.into()))?;
        Ok(Self { engine, limits, batch_interval, stop_ticker, ticker: Some(ticker) })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.stop_ticker.store(true, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            ticker.thread().unpark();
            // The ticker cannot panic. If it did, there would be nothing left to stop.
            let _ = ticker.join();
        }
    }
}

fn config(limits: &Limits, instances: usize) -> Config {
    let instances = u32::try_from(instances.max(1)).unwrap_or(u32::MAX);
    let can_find_pages = PoolingAllocationConfig::is_pagemap_scan_available();
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(8))
        // An instance runs on one stack at a time. Each stack costs the process two of its memory mappings, of which
        // the system allows a process 65,530.
        .total_stacks(instances.saturating_mul(2))
        .total_memories(instances.saturating_mul(MEMORIES_OF_INSTANCE))
        .total_tables(instances.saturating_mul(8))
        .table_elements(20_000)
        .max_core_instances_per_component(16)
        .max_memories_per_component(MEMORIES_OF_INSTANCE)
        .max_memory_size(
            usize::try_from(limits.memory_bytes.max(SLOT_BYTES_MIN)).unwrap_or(usize::MAX).next_multiple_of(64 * 1024),
        )
        .linear_memory_keep_resident(if can_find_pages { KEPT_BYTES } else { 0 })
        .pagemap_scan(if can_find_pages { Enabled::Yes } else { Enabled::No })
        // Small tables stay resident between tasks, so that a small task does not touch fresh pages.
        .table_keep_resident(64 * 1024);
    let mut config = code_settings();
    // The place of an instance in memory makes no difference to its code.
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// All settings that have an effect on the code of a plugin. The process that compiles the code and the process that
/// runs it use the same settings.
pub(super) fn code_settings() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        // Two runs of a task give the same bits, on any machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}
