//! The IO around the `arb` court, for nodes that embed it.
//!
//! Everything that decides is in `arb-core`: a bug here may delay an action, never change a decision. A node implements four
//! traits and gives them to a [`host::Host`], which carries each action of the court out by one of them:
//!
//! | trait | does |
//! |---|---|
//! | [`source::ChainSource`] | the block chain and the mempool: blocks, searches, broadcasts, estimates |
//! | [`signer::Signer`] | signs with the node's keys; [`signer::KeySigner`] holds them in memory |
//! | [`wallet::Wallet`] | gives confirmed coins that pay fees, and scripts to sweep to |
//! | [`node::Node`] | the Lightning node: upstream HTLCs, preimages, alerts |
//!
//! The [`driver`] is the run loop, readable as documentation. [`source::next_blocks`] brings it blocks and reorgs, and
//! `redb_store` (feature `redb`, on by default) keeps its journal in one file. [`keys`] derives BOLT 3's keys from secrets,
//! [`watch`] warns of a silent source and of a wallet with too little, and [`names`] has one word for each kind of contract,
//! resolver, outcome and close.
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
pub mod watch;
