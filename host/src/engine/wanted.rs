//! What a job requires of its tasks.

use crate::output::BatchWrite;
use crate::plugin::Cancel;

/// The destination of the rows, and the cancel flag of the job.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The writer of the rows of the last stage, if there is an output.
    pub write: Option<&'a dyn BatchWrite>,
    /// Says whether the job is cancelled.
    pub cancel: &'a Cancel,
}
