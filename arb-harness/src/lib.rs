//! The harness of `arb`: all IO, and no judgement.
//!
//! A driver bug may delay an action, never change a decision: everything that decides is in `arb-core`. Here are the
//! [`driver`] (the run loop, readable as documentation), the storage, an embedded [`chain`] that checks every transaction
//! with Bitcoin Core's own script interpreter, a [`signer`] and a [`wallet`], the counterparty ([`peer`]), the oracle that
//! counts satoshis from outside ([`oracle`]), and the demonstration.

pub mod adversary;
pub mod bench;
pub mod chain;
pub mod check;
pub mod contest;
pub mod demo;
pub mod driver;
pub mod fixture;
pub mod host;
pub mod keys;
pub mod market;
pub mod node;
pub mod oracle;
pub mod peer;
pub mod process;
pub mod redb_store;
pub mod signer;
pub mod sim;
pub mod source;
pub mod wallet;

/// The README's run loop compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
