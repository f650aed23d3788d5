//! Contracts as the sweeper's terms, and its plans as transactions.

pub(crate) mod build;
pub(crate) mod child;
pub(crate) mod path;
pub(crate) mod sign;
pub(crate) mod wants;

use crate::resolver::Claim;
use crate::sweep::Stake;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bitcoin::Transaction;

/// One outpoint to be spent.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    pub(crate) claim: Arc<Claim>,
    /// The unconfirmed commitment that a child pays for, signed: they travel together.
    pub(crate) parent: Option<Box<ParentTx>>,
}

/// An unconfirmed commitment, and what missing each deadline of a claim that needs it loses.
#[derive(Clone, Debug)]
pub(crate) struct ParentTx {
    pub(crate) tx: Transaction,
    pub(crate) fee_sat: u64,
    pub(crate) stakes: Vec<Stake>,
}
