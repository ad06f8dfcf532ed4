//! Fuzzes the decoder of rows that a plugin hands over: see `host/src/fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| host::fuzzing::chunk(bytes));
