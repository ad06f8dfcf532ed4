//! What the test suite and the programs beside it share.
//!
//! [`coverage`] reads the table that says which row of the feature checklist is shown by which test, [`test_log`] what
//! `cargo test` printed, [`markdown`] finds headings and links, [`repository`] finds and reads files. Nothing here
//! knows the host.

pub mod coverage;
pub mod markdown;
pub mod repository;
pub mod test_log;
