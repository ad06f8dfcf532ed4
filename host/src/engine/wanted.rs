//! What a job wants of its tasks.

use crate::output::BatchWrite;
use crate::plugin::Cancel;

/// Where the rows go, and whether to go on.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// What takes the rows of the last stage.
    pub write: Option<&'a dyn BatchWrite>,
    /// Says whether to go on.
    pub cancel: &'a Cancel,
}
