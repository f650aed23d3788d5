//! Signer, wallet, fixture and simulated peer on the embedded chain: it accepts what they make, and the court what they say.
#![allow(clippy::unwrap_used, reason = "clippy does not know the helpers of tests as test code")]

mod cheat;
mod court;
mod fixture;
mod peer;
mod signer;
mod support;
mod vectors;
mod wallet;
