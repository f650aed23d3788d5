//! What was asked of the outside, and what came of it.

use crate::api::event::{BroadcastRejection, Bump};
use crate::api::ids::ActionId;
use crate::api::plan::Sweep;
use crate::api::units::Height;
use crate::api::wire;
use crate::sweep::Sweeper;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bitcoin::{OutPoint, ScriptBuf, Transaction, Txid};
use serde::{Deserialize, Serialize};

/// What was asked for, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Requests {
    pub(crate) scripts: ScriptsRequest,
    /// Prices, groups and coins.
    pub(crate) sweeper: Sweeper,
    /// The transactions of the desk's groups.
    pub(crate) sweeps: BTreeMap<u32, SweepState>,
    /// Every wallet coin that a sweep ever used, with its value.
    pub(crate) coins: BTreeMap<OutPoint, u64>,
    /// What the operator wants, for one claim or for all.
    pub(crate) bumps: BTreeMap<Option<OutPoint>, Bump>,
    /// Requests that the signer refused.
    pub(crate) refused: BTreeSet<ActionId>,
    /// What the network said last about our commitment, if that was a refusal.
    pub(crate) commitment_rejected: Option<(Txid, BroadcastRejection)>,
}

impl Requests {
    /// What the operator wants for this outpoint.
    pub(crate) fn bumps_of(&self, outpoint: &OutPoint) -> impl Iterator<Item = &Bump> {
        self.bumps.get(&None).into_iter().chain(self.bumps.get(&Some(*outpoint)))
    }
}

/// The request for a fresh script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ScriptsRequest {
    #[default]
    NotAsked,
    Asked {
        at: Height,
    },
    Offered(ScriptBuf),
}

/// A group's planned transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SweepState {
    pub(crate) sweep: Sweep,
    pub(crate) txid: Txid,
    /// The complete transaction, once the signer answered: the first valid answer wins.
    pub(crate) signed: Option<SignedTx>,
    /// The version before, which is sent for as long as this one is not signed.
    pub(crate) before: Option<SignedTx>,
    /// Versions that were replaced before the signer answered, oldest first: a late answer is better than none.
    pub(crate) unsigned: Vec<Sweep>,
    /// What the network said last, if that was a refusal.
    pub(crate) rejected: Option<BroadcastRejection>,
}

/// A signed transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SignedTx(#[serde(with = "wire::tx")] pub(crate) Transaction);
