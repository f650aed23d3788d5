//! Keys, signer, wallet, fixture and peer, judged by the embedded chain.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test for something else")]

mod cheat;
mod court;
mod fixture;
mod peer;
mod signer;
mod support;
mod vectors;
mod wallet;
