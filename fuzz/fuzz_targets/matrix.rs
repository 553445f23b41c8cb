//! See `prober::fuzzing::matrix`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| prober::fuzzing::matrix(bytes));
