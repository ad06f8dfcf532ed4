//! The test suite of the whole program: one binary, so that it links once.

mod golden;
mod hostile;
mod ledger;
mod simulation;
mod support;
mod tidy;
