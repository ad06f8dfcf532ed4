//! How many requests are received at a time, and how much memory their bodies may take.
//!
//! Owns these limits. Both are waited for: a request that finds no room in time is answered with 503.

use crate::block::{BlockStore, Scratch, SpillError};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory of bodies is reserved in units of this many bytes.
const UNIT_BYTES: usize = 1024;
/// How many units are reserved at most beyond the body that has come.
const UNITS_AT_ONCE: usize = 64;

/// The room for requests of one source.
pub(super) struct Room {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    /// The number of units of `bytes`.
    units: usize,
    store: BlockStore,
}

/// The room of one request. Dropping it gives the room back.
pub(super) struct Place {
    /// Counts the request until it is answered.
    pub(super) _request: OwnedSemaphorePermit,
    /// The memory of the body and of its rows.
    pub(super) memory: Memory,
}

/// The memory of one request, until its rows are in the store. Dropping it gives the memory back.
pub(super) struct Memory {
    /// The part of the room that all bodies share.
    bytes: Option<OwnedSemaphorePermit>,
    /// The part of the memory of the job.
    scratch: Scratch,
}

impl Room {
    /// Makes room for `requests` at a time. Their bodies may take together a part of the memory of the store, and at
    /// least `body_bytes_max`.
    pub(super) fn new(store: BlockStore, requests: u32, body_bytes_max: u64) -> Self {
        let body = usize::try_from(body_bytes_max).unwrap_or(Semaphore::MAX_PERMITS);
        let bytes = store.arriving_bytes_max().max(body);
        let units = (bytes.div_ceil(UNIT_BYTES) + UNITS_AT_ONCE).min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        Self {
            requests: Arc::new(Semaphore::new(requests as usize)),
            bytes: Arc::new(Semaphore::new(units)),
            units,
            store,
        }
    }

    /// Waits until a request may be received.
    pub(super) async fn enter(&self) -> Option<Place> {
        let request = self.requests.clone().acquire_owned().await.ok()?;
        Some(Place { _request: request, memory: Memory { bytes: None, scratch: self.store.scratch() } })
    }

    /// Waits until the body of a request may have `bytes`.
    pub(super) async fn grow(&self, memory: &mut Memory, bytes: usize) -> Option<()> {
        let held = memory.bytes.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let needed = bytes.div_ceil(UNIT_BYTES);
        if needed <= held {
            return Some(());
        }
        // Twice as much each time, so that a large body asks seldom and a small body takes little.
        let more = (needed - held).max(held.min(UNITS_AT_ONCE)).min(self.units.saturating_sub(held));
        let more = self.bytes.clone().acquire_many_owned(u32::try_from(more).ok()?).await.ok()?;
        match &mut memory.bytes {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
        Some(())
    }
}

impl Memory {
    /// Reserves memory of the job for the body or its rows, which have `bytes`.
    ///
    /// # Errors
    /// If the job has no memory left.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), SpillError> {
        self.scratch.resize(bytes)
    }
}
