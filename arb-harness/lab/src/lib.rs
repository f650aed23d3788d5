//! The simulated world of `arb`, for tests, for measurements and for the demonstration. Nothing in it may hold money.
//!
//! What surrounds a court:
//!
//! - an embedded [`chain`], which checks every transaction with Bitcoin Core's own script interpreter and has the mempool
//!   rules of Core 28 and 29 (replacement, packages, limits). It is an [`arb_harness::source::ChainSource`];
//! - a small [`wallet`] with coins, holds and change, and a node that records what it is told ([`notebook`]);
//! - channels with both sides' keys and signatures ([`fixture`]), the counterparty ([`peer`]), and the [`adversary`] that
//!   fights over our claims in every block;
//! - a [`process`] that can die after every append but that of its start.
//!
//! What is played in it: the demonstration ([`demo`]), a [`contest`] over many HTLCs, and the simulator ([`sim`]). Two
//! judges: the [`balance_oracle`] counts every satoshi on the chain without asking the court, and [`mod@check`] holds for
//! every court and its frames.
//!
//! In addition to the chain there are fee markets ([`market`]): a price for each block, and an estimator that knows only
//! the past. On them [`bench::fees`] measures the court's sweeper against the fee policies of other implementations,
//! without a chain.

pub mod adversary;
pub mod balance_oracle;
pub mod bench;
pub mod chain;
pub mod check;
pub mod contest;
pub mod demo;
pub mod fixture;
pub mod market;
pub mod notebook;
pub mod peer;
pub mod process;
pub mod sim;
pub mod wallet;
