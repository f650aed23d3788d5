//! From contracts to the sweeper's terms, and from its plans to signed transactions.

pub(crate) mod build;
pub(crate) mod child;
pub(crate) mod path;
pub(crate) mod preference;
pub(crate) mod sign;
pub(crate) mod wants;

use crate::resolver::Claim;
use crate::sweep::Stake;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bitcoin::Transaction;

/// One outpoint that the channel wants spent.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    pub(crate) claim: Arc<Claim>,
    /// The unconfirmed commitment that the claim pays for as its child, with its witness: both are sent as one package.
    /// `None` for a claim of a confirmed close.
    pub(crate) parent: Option<Box<ParentTx>>,
}

/// An unconfirmed commitment, and what its child may cost.
#[derive(Clone, Debug)]
pub(crate) struct ParentTx {
    pub(crate) tx: Transaction,
    /// The fee that the commitment itself pays, in sat.
    pub(crate) fee_sat: u64,
    /// What it has for us: our main output, and the HTLCs that it is in time for, in sat.
    pub(crate) at_stake_sat: u64,
    /// What missing each deadline of a claim that needs it loses, nearest first.
    pub(crate) stakes: Vec<Stake>,
}
