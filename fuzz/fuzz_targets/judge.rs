//! See `prober::fuzzing::judge`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| prober::fuzzing::judge(bytes));
