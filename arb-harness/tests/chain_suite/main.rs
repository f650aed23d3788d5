//! The embedded chain against real signed transactions: each rule at its boundary, and reorgs, and files.
//!
//! Every refusal of consensus has a test here that also shows the neighbouring case accepted. The interpreter is the
//! real one, so a test that expects acceptance needs a true signature.

mod files;
mod policy;
mod reorgs;
mod rules;
mod support;
