//! The embedded chain with real signed transactions: consensus, mempool policy, replacement, packages, mining, reorgs, files.
//!
//! Each rule is tested at its boundary: what is just refused, and what is just accepted. The script interpreter is Bitcoin
//! Core's, so a test that expects acceptance needs a valid signature.
#![allow(clippy::unwrap_used, reason = "clippy does not know the helpers of tests as test code")]

mod files;
mod limits;
mod mining;
mod packages;
mod policy;
mod reorgs;
mod replacement;
mod rules;
mod support;
