//! A counterparty with a lot of time: what it would try against the court, and why it gets nothing.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test for something else")]

mod commitments;
mod fees;
mod heights;
mod starts;
mod support;
mod sweeper;
