//! The engine that compiles and runs components, and the ticker that interrupts them.
//!
//! Owns the settings that make plugin code deterministic and stoppable, in every process that compiles or runs it. One runtime for each run of a job.

use super::limits::Limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often running plugin code is asked whether it has to stop. A loop without end is noticed this much late.
const TICK: Duration = Duration::from_millis(10);
/// The stack of plugin code. The default of the engine, stated because tests depend on it.
const STACK_BYTES: usize = 512 * 1024;

/// The least room for the memory of an instance. The limit itself is kept by the limiter, which can say what was asked.
const SLOT_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// Asks all running plugin code of a run to stop.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Plugin code that runs now, or is called later, fails with [`super::Failure::Cancelled`].
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Compiles and runs the components of one run.
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) limits: Limits,
    pub(super) cancel: Cancel,
    stop_ticker: Arc<AtomicBool>,
    ticker: Option<JoinHandle<()>>,
}

impl Runtime {
    /// Starts an engine with room for `instances` instances at a time.
    ///
    /// # Errors
    /// When the engine refuses its settings, or the system a thread or address space.
    pub fn start(limits: Limits, instances: usize) -> wasmtime::Result<Self> {
        let engine = Engine::new(&config(&limits, instances))?;
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
        })?;
        Ok(Self { engine, limits, cancel: Cancel::default(), stop_ticker, ticker: Some(ticker) })
    }

    /// Stops plugin code of this run when used.
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
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
        .total_memories(instances.saturating_mul(2))
        .total_tables(instances.saturating_mul(8))
        .table_elements(20_000)
        .max_core_instances_per_component(16)
        .max_memories_per_component(2)
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
