//! See `prober::fuzzing::http1`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| prober::fuzzing::http1(bytes));
