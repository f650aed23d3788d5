//! What an embedder of `arb` takes: all IO around the court, and no judgement.
//!
//! A bug here may delay an action, never change a decision: everything that decides is in `arb-core`. A node brings four
//! things of its own, and gives them to a [`host::Host`], which carries each of the court's actions out by one of them:
//!
//! | trait | is |
//! |---|---|
//! | [`source::ChainSource`] | the block chain and the mempool: blocks, searches, broadcasts, estimates |
//! | [`signer::Signer`] | whoever has the keys; [`signer::KeySigner`] has them in memory |
//! | [`wallet::Wallet`] | confirmed coins that pay fees, and scripts to sweep to |
//! | [`node::Node`] | the Lightning node: upstream HTLCs, preimages, alerts |
//!
//! The [`driver`] is the run loop, readable as documentation. [`source::next_blocks`] brings it the chain's news, and
//! `redb_store` (feature `redb`, on by default) keeps its journal in one file. [`keys`] derives BOLT 3's keys from secrets,
//! [`names`] has one word for whatever a tool shows.
//!
//! The simulated world is another package, `arb-lab`: an embedded chain with Bitcoin Core's script interpreter, a
//! counterparty, an adversary, fee markets, the demonstration and the simulator. Nothing here depends on it. The program
//! `arb` is in `arb-cli`.

pub mod driver;
pub mod host;
pub mod keys;
pub mod names;
pub mod node;
#[cfg(feature = "redb")]
pub mod redb_store;
pub mod signer;
pub mod source;
pub mod wallet;
