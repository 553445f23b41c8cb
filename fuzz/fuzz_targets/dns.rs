//! See `prober::fuzzing::dns`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| prober::fuzzing::dns(bytes));
