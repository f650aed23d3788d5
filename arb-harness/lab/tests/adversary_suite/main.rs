//! The opponent on the embedded chain: each tactic does what its name says, and what it costs is counted.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test for something else")]

mod cycling;
mod mining;
mod pinning;
mod replacing;
mod support;
