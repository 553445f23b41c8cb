//! See `prober::fuzzing::chunks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| prober::fuzzing::chunks(bytes));
