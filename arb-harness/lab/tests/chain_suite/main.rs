//! The embedded chain against real signed transactions: each rule at its boundary, and reorgs, and files.
//!
//! Every refusal of consensus has a test here that also shows the neighbouring case accepted. The interpreter is the
//! real one, so a test that expects acceptance needs a true signature.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test for something else")]

mod files;
mod limits;
mod mining;
mod packages;
mod policy;
mod reorgs;
mod replacement;
mod rules;
mod support;
