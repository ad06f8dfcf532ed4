//! Fuzzes the reader of files of JSON lines: see `host/src/fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| host::fuzzing::json(bytes));
