//! Any bytes as an .arb file. The body is in `arb_log::fuzzing`, where ordinary tests run it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| arb_log::fuzzing::import(bytes));
