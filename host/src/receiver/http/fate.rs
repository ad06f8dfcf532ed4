//! What becomes of the records of a request, as everybody learns it who waits for it.

use futures::future::{BoxFuture, Shared};

/// What became of the records of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The host does not lose the records.
    Stored,
    /// The host had no room in time, and has not taken the records.
    NoRoom,
    /// The receiver was stopped. No batch reads the records.
    Stopped,
    /// A defect of the host, with its message. The records are not stored.
    Failed(String),
}

/// Resolves when it is known what became of the records.
pub(super) type Outcome = Shared<BoxFuture<'static, Fate>>;
