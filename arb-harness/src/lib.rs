//! The harness of `arb`: all IO, and no judgement.
//!
//! A driver bug may delay an action, never change a decision: everything that decides is in `arb-core`. Here are the
//! [`driver`] (the run loop, readable as documentation), the storage, an embedded [`chain`] that checks every transaction
//! with Bitcoin Core's own script interpreter and has the mempool rules of Core 28 and 29 (replacement, packages, limits), a
//! [`signer`] and a [`wallet`] with coins, holds and change, the counterparty ([`peer`]), the [`adversary`] that fights over our
//! claims in every block, the oracle that counts satoshis from outside ([`balance_oracle`]), the demonstration, and the simulator
//! ([`sim`]).
//!
//! Beside the chain there are fee markets ([`market`]): a price for each block, and an estimator that knows only the past. On them
//! [`bench::fees`] measures the court's sweeper against the fee policies of others, without a chain.

pub mod adversary;
pub mod balance_oracle;
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
pub mod names;
pub mod node;
pub mod notebook;
pub mod peer;
pub mod process;
pub mod redb_store;
pub mod signer;
pub mod sim;
pub mod small_wallet;
pub mod source;
pub mod wallet;

/// The README's run loop compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
