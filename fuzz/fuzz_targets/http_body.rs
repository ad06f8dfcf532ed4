//! Fuzzes the reader of bodies of HTTP requests: see `host/src/fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| host::fuzzing::http_body(bytes));
