//! Fuzzes the reader of CSV files: see `host/src/fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| host::fuzzing::csv(bytes));
