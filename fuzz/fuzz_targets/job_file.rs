//! Fuzzes the reader of job files: see `host/src/fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| host::fuzzing::job_file(bytes));
