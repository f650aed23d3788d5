//! `arb-core`: the Lightning on-chain contract court as a pure state machine.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod bolt3;
