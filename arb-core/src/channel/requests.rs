//! What was asked of wallet, signer and network, and what they answered.

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

/// The outstanding requests, the answers to them, and what the operator asked of us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Requests {
    pub(crate) scripts: ScriptsRequest,
    /// Prices, groups, and the wallet's coins.
    pub(crate) sweeper: Sweeper,
    /// The planned transaction of each of the sweeper's groups, by the group's number.
    pub(crate) sweeps: BTreeMap<u32, SweepState>,
    /// Every wallet coin that a sweep ever used, with its value in sat.
    pub(crate) coins: BTreeMap<OutPoint, u64>,
    /// The operator's bumps: for one claim, or with `None` for all claims of the channel.
    pub(crate) bumps: BTreeMap<Option<OutPoint>, Bump>,
    /// Signing requests that the signer refused and has not answered since.
    pub(crate) refused: BTreeSet<ActionId>,
    /// The network's last answer about a transaction that is no planned sweep, such as our commitment: the txid and the
    /// reason of a refusal; `None` for an acceptance.
    pub(crate) commitment_rejected: Option<(Txid, BroadcastRejection)>,
}

impl Requests {
    /// The operator's bumps that apply to this outpoint.
    pub(crate) fn bumps_of(&self, outpoint: &OutPoint) -> impl Iterator<Item = &Bump> {
        self.bumps.get(&None).into_iter().chain(self.bumps.get(&Some(*outpoint)))
    }

    /// The budget that the operator allows for this outpoint, in sat: up to what is at stake, unless a larger bound was named
    /// (A26). `None` if no bump names a budget.
    pub(crate) fn bumped_budget_sat(&self, outpoint: &OutPoint, at_stake_sat: u64) -> Option<u64> {
        let allowed = |bump: &Bump| bump.budget_sat.map(|budget_sat| budget_sat.min(at_stake_sat)).max(bump.bound_sat);
        self.bumps_of(outpoint).filter_map(allowed).max()
    }
}

/// The request for a fresh wallet script that sweeps pay to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ScriptsRequest {
    #[default]
    NotAsked,
    Asked {
        /// The tip when it was asked for: if no answer comes within a block, the fallback script is used.
        at: Height,
    },
    Offered(ScriptBuf),
}

/// A group's planned transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SweepState {
    pub(crate) sweep: Sweep,
    pub(crate) txid: Txid,
    /// The complete transaction once the signer has answered. The first valid answer stays.
    pub(crate) signed: Option<SignedTx>,
    /// The last signed version before this one: it is sent until this one is signed.
    pub(crate) before: Option<SignedTx>,
    /// Versions that were replaced before the signer answered, oldest first: a late signature for one of them is taken.
    pub(crate) unsigned: Vec<Sweep>,
    /// The network's refusal of this version; `None` before an answer and after an acceptance.
    pub(crate) rejected: Option<BroadcastRejection>,
}

/// A signed transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SignedTx(#[serde(with = "wire::tx")] pub(crate) Transaction);

impl SweepState {
    /// Whether this is the version that is sent while the last one is unsigned.
    pub(crate) fn is_before(&self, txid: &Txid) -> bool {
        self.before.as_ref().is_some_and(|before| before.0.compute_txid() == *txid)
    }
}
