//! The fee benchmark: what is drawn, what its mempool and engine allow and count, its verdicts, and reproducible reports.

#![allow(clippy::unwrap_used, reason = "clippy does not know the helpers of tests as test code")]

mod draws;
mod engine;
mod mempool;
mod support;
mod verdict;
mod whole;
