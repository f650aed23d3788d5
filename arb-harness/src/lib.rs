//! The harness.
pub mod chain;
