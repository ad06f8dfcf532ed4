//! Locks of mutexes whose holders may have panicked.
//!
//! The host catches a panic where the future that panicked runs, and ends the run in order. Until the run has ended,
//! other code goes on with the same data. This data is valid: code that changes the data behind a mutex does nothing
//! that can panic before the change is complete.

use std::sync::{LockResult, Mutex, MutexGuard, PoisonError};

/// Locks a mutex, whether a holder has panicked or not.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    unpoisoned(mutex.lock())
}

/// The guard of a lock or of a wait, whether a holder has panicked or not.
pub fn unpoisoned<G>(result: LockResult<G>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}
