//! Output operations: what is done with the rows of each batch.
//!
//! Owns how a batch is shown. `print` is at-least-once: a batch that runs again prints again.

mod print;

pub use print::{PrintError, print, rows_wanted};
