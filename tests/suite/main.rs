//! The test suite of the whole program: one binary, so that it links once.

mod command_line;
mod compile_cache;
mod driver_files;
mod driver_functions;
mod examples;
mod golden;
mod hostile;
mod hostile_drivers;
mod killed;
mod large_partitions;
mod ledger;
mod listeners;
mod memory;
mod node_kinds;
mod object_store;
mod outputs;
mod panics;
mod receivers;
mod records;
mod recovery;
mod simulation;
mod support;
mod text_files;
mod tidy;
mod two_runs;
mod windows;
