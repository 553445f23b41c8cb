//! See `prober::fuzzing::report`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| prober::fuzzing::report(bytes));
