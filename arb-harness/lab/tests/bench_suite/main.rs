//! The measurements: what is drawn, what the engine allows, what it counts, and that nothing depends on anything else.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod draws;
mod engine;
mod mempool;
mod support;
mod verdict;
mod whole;
