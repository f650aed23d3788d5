//! Any events into a court. The body is in `arb_log::fuzzing`, where ordinary tests run it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| arb_log::fuzzing::hear(bytes));
