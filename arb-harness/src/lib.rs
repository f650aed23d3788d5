//! The harness.
pub mod chain;
pub mod fixture;
pub mod keys;
pub mod peer;
pub mod redb_store;
pub mod signer;
pub mod wallet;
