//! The adversary on the embedded chain: each tactic does what its name says, and its cost is counted (B20, B21, B45).
#![allow(clippy::unwrap_used, reason = "clippy does not know the helpers of tests as test code")]

mod cycling;
mod mining;
mod pinning;
mod replacing;
mod support;
