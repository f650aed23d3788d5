//! Attacks that a counterparty might try against the court, and outside parties that fail; each must gain nothing.
//!
//! - `commitments`: changed, crossing and late-revoked commitments (R14, I5).
//! - `fees`, `sweeper`: fee spikes, poor wallets, slow signers, networks that refuse (I13).
//! - `heights`: deadlines that pass while blocks are missing or fees are high (R11, R5, I15).
//! - `starts`: suspect starts and actions that are not due any more (R3, I10).
#![allow(clippy::unwrap_used, reason = "clippy does not know the helpers of tests as test code")]

mod commitments;
mod fees;
mod heights;
mod starts;
mod support;
mod sweeper;
