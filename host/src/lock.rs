//! Locks of mutexes whose holders may have panicked.
//!
//! The host catches a panic where its future runs, and ends the run in order; until then others go on with the same data.
//! No code runs between a panic and the next lock that could leave data half changed: whoever changes what a mutex guards
//! does nothing in between that can panic.

use std::sync::{LockResult, Mutex, MutexGuard, PoisonError};

/// Locks a mutex, whether a holder has panicked or not.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    unpoisoned(mutex.lock())
}

/// The guard of a lock or of a wait, whether a holder has panicked or not.
pub fn unpoisoned<G>(result: LockResult<G>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}
