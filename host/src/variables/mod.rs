//! Accumulators and broadcast variables: values that plugin code shares by name, for the length of a run.
//!
//! Owns [`SharedVariables`], which holds them. Accumulators get the updates of whole stages, so that each task counts
//! once. The values of broadcast variables and of collections are rows in the storage of all rows. Never knows plugins
//! or tasks, and never checkpoints anything: a run that resumes begins without shared variables.

mod broadcasts;
mod call;
mod error;
mod held;
#[cfg(test)]
mod tests;
mod totals;

pub use broadcasts::BroadcastId;
pub use call::{Content, VariableAnswer, VariableCall};
pub use error::VariableError;
pub use held::SharedVariables;
pub use totals::{AccumulatorKind, Collection, Sum, Total, Updates};
