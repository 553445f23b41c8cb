//! See `prober::fuzzing::expectation`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| prober::fuzzing::expectation(bytes));
