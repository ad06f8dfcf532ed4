//! Fuzzes the readers of checkpoint directories: see `host/src/fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| host::fuzzing::checkpoint(bytes));
