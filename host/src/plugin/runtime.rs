//! The engine that compiles and runs components, and the ticker that interrupts them.
//!
//! Owns the settings that make plugin code deterministic and stoppable, in every process that compiles or runs it. Never owns whether a run is stopped: see [`Cancel`], of which each run has one.

use super::limits::Limits;
use crate::error::{Error, ErrorKind};
use rustix::process::{Resource, getrlimit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often running plugin code is asked whether it has to stop. A loop without end is noticed this much late.
const TICK: Duration = Duration::from_millis(10);
/// The stack of plugin code. The default of the engine, stated because tests depend on it.
const STACK_BYTES: usize = 512 * 1024;

/// How many linear memories an instance of a component may have.
const MEMORIES_OF_INSTANCE: u32 = 2;
/// The addresses that the engine reserves for each of them: all that 32 bits can name, so that few accesses are checked.
const ADDRESSES_OF_MEMORY: u64 = 4 << 30;
/// What the rest of the process may need.
const ADDRESSES_BESIDE: u64 = 16 << 30;

/// The least room for the memory of an instance. The limit itself is kept by the limiter, which can say what was asked.
const SLOT_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// Why the engine could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process may not reserve the address space that instances lie in.
    #[error(
        "it reserves about {} GiB of address space for {instances} plugin instances, and this process may have {:.1} GiB: \
         {error:#}",
        .needed.div_ceil(GIB), *.allowed as f64 / GIB as f64
    )]
    AddressSpace {
        /// For how many instances.
        instances: usize,
        /// What they need, in bytes. It is no memory until it is used.
        needed: u64,
        /// What the process may have, in bytes.
        allowed: u64,
        /// What failed.
        error: wasmtime::Error,
    },
    /// Anything else.
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

    /// The error as its reader sees it.
    pub fn into_error(self) -> Error {
        let message = format!("cannot start the WebAssembly engine: {self}");
        match self {
            Self::AddressSpace { .. } => Error::new(ErrorKind::Unavailable, message)
                .help("run `ulimit -v unlimited` first, or lower engine.threads; address space is no memory"),
            Self::Other(_) => Error::new(ErrorKind::Internal, message),
        }
    }
}

/// Asks all running plugin code of a run to stop, and all computing for it.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    own: Arc<AtomicBool>,
    /// What this is a part of.
    whole: Option<Arc<AtomicBool>>,
}

impl Cancel {
    /// Plugin code that runs now, or is called later, fails with [`super::Failure::Cancelled`].
    pub fn cancel(&self) {
        self.own.store(true, Ordering::Relaxed);
    }

    /// For a part of the run: it can be cancelled alone, and is cancelled with the run.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { own: Arc::default(), whole: Some(self.own.clone()) }
    }

    /// Whether it was asked to.
    pub fn is_cancelled(&self) -> bool {
        let is_set = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        is_set(&self.own) || self.whole.as_ref().is_some_and(|whole| is_set(whole))
    }
}

/// Compiles and runs components within the same limits. Runs of a plugin share one, and its room for instances.
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) limits: Limits,
    stop_ticker: Arc<AtomicBool>,
    ticker: Option<JoinHandle<()>>,
}

impl Runtime {
    /// Starts an engine with room for `instances` instances at a time.
    ///
    /// # Errors
    /// When the engine refuses its settings, or the system a thread or address space.
    pub fn start(limits: Limits, instances: usize) -> Result<Self, StartError> {
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
        Ok(Self { engine, limits, stop_ticker, ticker: Some(ticker) })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.stop_ticker.store(true, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            ticker.thread().unpark();
            // The ticker cannot panic; if it did, nothing is left to stop.
            let _ = ticker.join();
        }
    }
}

fn config(limits: &Limits, instances: usize) -> Config {
    let instances = u32::try_from(instances.max(1)).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(8))
        .total_memories(instances.saturating_mul(MEMORIES_OF_INSTANCE))
        .total_tables(instances.saturating_mul(8))
        .table_elements(20_000)
        .max_core_instances_per_component(16)
        .max_memories_per_component(MEMORIES_OF_INSTANCE)
        .max_memory_size(
            usize::try_from(limits.memory_bytes.max(SLOT_BYTES_MIN)).unwrap_or(usize::MAX).next_multiple_of(64 * 1024),
        )
        // Kept resident between tasks, so that a small task touches no fresh page.
        .linear_memory_keep_resident(0)
        .table_keep_resident(64 * 1024);
    let mut config = code_settings();
    // Where instances lie makes no difference to their code.
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// All settings that make a difference to the code of a plugin: for whoever compiles it and for whoever runs it.
pub(super) fn code_settings() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        // Two runs of a task on any machine give the same bits.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}
