//! What the tests of the whole program share: programs built on demand, jobs in a simulated world, the real binary.

pub mod binary;
pub mod simulated;
pub mod terminal;
