//! The `arb` program from outside: the built binary, its files, its output and its exit codes.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod bad_input;
mod bench;
mod corruptions;
mod demo;
mod kills;
mod support;
mod sweeper;
