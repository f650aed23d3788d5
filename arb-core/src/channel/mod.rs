//! One channel of the court: facts with heights, ratchets, outstanding requests (R9). Nothing derived is stored.
//!
//! `apply` is the only mutator and judges nothing; what follows from the state is worked out in [`crate::view`].

mod apply;
mod chain;
mod commitments;

pub(crate) use chain::{ChainFacts, KeptTx, Level};
pub(crate) use commitments::{Commitment, CommitmentSet, LocalCommitment, Rebuilt};

use crate::bolt3::{CompactSig, Preimage};
use crate::event::{Acknowledged, BroadcastRejection, Bump, CloseReason};
use crate::facts::{ChannelFacts, Funding, Htlc, Side, Standing};
use crate::ids::{ActionId, ChannelId, HtlcRef};
use crate::notice::{FreezeReason, Notice};
use crate::outcome::Upstream;
use crate::record::Sweep;
use crate::revoked::RevokedCommitment;
use crate::sweep::{self, Desk, Trouble};
use crate::units::Height;
use crate::view::{Close, classify, commitment_number};
use crate::wire;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use serde::{Deserialize, Serialize};

/// What kind of transaction spends a funding output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CloseKind {
    /// Our commitment.
    Local,
    /// The counterparty's commitment, the oldest that is not revoked.
    Remote,
    /// The counterparty's commitment that we signed last, with the one before not yet revoked.
    RemotePending,
    /// A commitment that the counterparty revoked.
    Revoked,
    /// A closing transaction that we signed.
    Mutual,
    /// None that we know: newer than our state, or foreign.
    Unknown,
}

/// The stages of a channel. Never back to `Open` once left (R10).
///
/// ```text
/// Open ──(HTLC deadline · operator · peer's error · peer went on chain)──► GoingToChain
///   │                                                                       │ our signature was given out
///   │ funding output spent, in any stage, classified                        ▼
///   ├───────────────────────────────────────────────────────────────► AwaitingCommitment
///   ▼                                                                       │ funding output spent
/// Resolving ◄───────────────────────────────────────────────────────────────┘
///   │ all contracts irrevocable, outbox acknowledged
///   ▼
/// Resolved
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// In use, or at least able to be.
    Open,
    /// Frozen; our commitment is not signed yet, or must not be.
    GoingToChain,
    /// Our commitment was given out; waits for whatever spends the funding.
    AwaitingCommitment,
    /// A spend of the funding is confirmed.
    Resolving(CloseKind),
    /// Everything is irrevocable and acknowledged.
    Resolved,
}

/// A channel under the court's watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelArbitrator {
    pub(crate) facts: ChannelFacts,
    pub(crate) short_channel_id: Option<u64>,
    pub(crate) set: CommitmentSet,
    /// The union of the commitment set; once frozen it only grows.
    pub(crate) htlcs: BTreeMap<HtlcRef, HtlcState>,
    /// The least id that was never used, by direction: offered, received.
    pub(crate) next_htlc: (u64, u64),
    pub(crate) ratchet: Ratchet,
    /// What was loaded of revoked commitments that confirmed, every candidate by number; none where nobody knows it.
    pub(crate) revoked: BTreeMap<u64, Vec<RevokedCommitment>>,
    pub(crate) chain: ChainFacts,
    pub(crate) requests: Requests,
    /// What waits for `Performed`.
    pub(crate) outbox: BTreeMap<ActionId, Notice>,
    /// Every notice that was ever raised: none is raised twice.
    pub(crate) raised: BTreeSet<ActionId>,
    /// The tip when the channel was last judged.
    pub(crate) seen: Height,
    /// Touched while blocks were still being caught up: judged again when that is done (R11).
    pub(crate) deferred: bool,
    /// The frame that changed it last.
    pub(crate) changed_at: u64,
    /// The classified spend of the funding: follows from the set and the chain's facts, kept because it costs elliptic
    /// curve arithmetic. Not stored, not compared.
    #[serde(skip)]
    pub(crate) close: Memo<Close>,
}

/// Something derived that is kept in memory only: two states are equal whether or not they have worked it out.
#[derive(Clone, Debug)]
pub(crate) struct Memo<T>(pub(crate) Option<Arc<T>>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> PartialEq for Memo<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Memo<T> {}

/// An HTLC and what only grows about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HtlcState {
    pub(crate) htlc: Htlc,
    /// When its origin expires, where that is known to the court.
    pub(crate) upstream_expiry: Option<Height>,
    /// Irrevocably committed on both sides once: it may be claimed on chain (LR4).
    pub(crate) irrevocable: bool,
}

/// A preimage that may be used for an HTLC, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usable {
    pub(crate) preimage: Preimage,
    pub(crate) since: Height,
}

/// An origin's outcome and what the node said to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Released {
    pub(crate) outcome: Upstream,
    pub(crate) acknowledged: Option<Acknowledged>,
}

/// What only grows (R10): a reorg undoes none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ratchet {
    pub(crate) frozen: Option<FreezeReason>,
    /// Our commitment may be signed and sent.
    pub(crate) went_to_chain: bool,
    pub(crate) outdated: bool,
    /// The last suspicion that the counterparty's state cleared.
    pub(crate) cleared: u64,
    pub(crate) usable: BTreeMap<HtlcRef, Usable>,
    pub(crate) given_up: BTreeSet<HtlcRef>,
    pub(crate) released: BTreeMap<HtlcRef, Released>,
    /// Our signatures for our commitment, by funding.
    pub(crate) commitment_signed: BTreeMap<OutPoint, CompactSig>,
    /// The embedder, or the counterparty's error, asked for a close.
    pub(crate) close_requested: Option<CloseReason>,
    /// A commitment that is not ours was seen unconfirmed.
    pub(crate) peer_on_chain: bool,
    /// The counterparty's commitments of the set that were seen unconfirmed: they can be sent again, with a child.
    pub(crate) seen: BTreeMap<Txid, SignedTx>,
    /// The embedder forgot it.
    pub(crate) forgotten: bool,
    /// It held an HTLC once: it cannot be forgotten (F1, F3).
    pub(crate) held_htlc: bool,
    /// Closing transactions that we signed, with the output that is ours.
    pub(crate) closings: BTreeMap<Txid, Option<u32>>,
}

/// What was asked for, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Requests {
    pub(crate) scripts: ScriptsRequest,
    /// Prices, groups and coins.
    pub(crate) desk: Desk,
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

impl Requests {
    /// What the operator wants for this outpoint.
    pub(crate) fn bumps_of(&self, outpoint: &OutPoint) -> impl Iterator<Item = &Bump> {
        self.bumps.get(&None).into_iter().chain(self.bumps.get(&Some(*outpoint)))
    }
}

impl ChannelArbitrator {
    pub(crate) fn new(facts: ChannelFacts, standing: Standing, seen: Height) -> Self {
        let chain = ChainFacts::new(&facts, seen);
        Self {
            set: CommitmentSet::new(standing),
            facts,
            short_channel_id: None,
            htlcs: BTreeMap::new(),
            next_htlc: (0, 0),
            ratchet: Ratchet::default(),
            revoked: BTreeMap::new(),
            chain,
            requests: Requests::default(),
            outbox: BTreeMap::new(),
            raised: BTreeSet::new(),
            seen,
            deferred: false,
            changed_at: 0,
            close: Memo::default(),
        }
    }

    /// Works out the close again: whenever the set or the spends of the fundings changed, and after decoding.
    pub(crate) fn reclassify(&mut self) {
        let spent = self.chain.kept.values().any(|kept| kept.level == Level::Funding);
        // An open channel costs nothing here: no key is derived before something spends a funding.
        self.close = Memo(if spent { classify(self, &Secp256k1::new()).map(Arc::new) } else { None });
    }

    /// The channel's identity outside the court.
    pub const fn id(&self) -> &ChannelId {
        &self.facts.id
    }

    /// What never changes about it.
    pub const fn facts(&self) -> &ChannelFacts {
        &self.facts
    }

    /// The short channel id, if one was signalled.
    pub const fn short_channel_id(&self) -> Option<u64> {
        self.short_channel_id
    }

    /// Whether it refuses new commitments for ever, and why.
    pub const fn frozen(&self) -> Option<FreezeReason> {
        self.ratchet.frozen
    }

    /// Whether the counterparty proved a newer state, or the channel came from a backup.
    pub const fn is_outdated(&self) -> bool {
        self.ratchet.outdated
    }

    /// The sequence of the frame that changed it last.
    pub const fn changed_at(&self) -> u64 {
        self.changed_at
    }

    /// What was raised for the outside and waits for `Performed`.
    pub fn outbox(&self) -> impl Iterator<Item = (&ActionId, &Notice)> {
        self.outbox.iter()
    }

    /// The usable preimage of an HTLC.
    pub fn usable(&self, htlc: HtlcRef) -> Option<Preimage> {
        self.ratchet.usable.get(&htlc).map(|known| known.preimage)
    }

    /// The outcomes that were released for the origins of HTLCs that we sent, and what the node said to them.
    pub fn released(&self) -> impl Iterator<Item = (HtlcRef, Upstream, Option<Acknowledged>)> {
        self.ratchet.released.iter().map(|(htlc, state)| (*htlc, state.outcome, state.acknowledged))
    }

    /// The HTLCs of the union of the commitment set.
    pub fn htlcs(&self) -> impl Iterator<Item = &Htlc> {
        self.htlcs.values().map(|state| &state.htlc)
    }

    /// The numbers of the commitments that can confirm: ours, theirs, their pending ones.
    pub fn commitment_numbers(&self) -> (Option<u64>, Vec<u64>) {
        let local = self.set.local.as_ref().map(|local| local.commitment.number);
        (local, self.set.remotes.iter().map(|remote| remote.number).collect())
    }

    /// Whether a spend of this outpoint matters to this channel. Confirms what the outpoint index only suspects (R5).
    pub fn watches(&self, outpoint: &OutPoint) -> bool {
        self.facts.fundings.iter().any(|funding| funding.outpoint == *outpoint)
            || self.chain.kept.get(&outpoint.txid).is_some_and(|kept| {
                let output = usize::try_from(outpoint.vout).ok().and_then(|vout| kept.tx.output.get(vout));
                output.is_some_and(|output| self.watches_output(&outpoint.txid, kept, output))
            })
            || self.coins().any(|coin| coin == *outpoint)
    }

    /// Whether this transaction's mere confirmation matters: it carries a funding output.
    pub fn watches_parent(&self, txid: &Txid) -> bool {
        self.facts.fundings.iter().any(|funding| funding.outpoint.txid == *txid)
    }

    /// Every outpoint that [`watches`](Self::watches) answers yes to: what the index holds for this channel.
    pub(crate) fn watched(&self) -> Vec<OutPoint> {
        let mut all: Vec<OutPoint> = self.facts.fundings.iter().map(|funding| funding.outpoint).collect();
        for (txid, kept) in &self.chain.kept {
            let outputs = (0..).zip(&kept.tx.output).filter(|(_, output)| self.watches_output(txid, kept, output));
            all.extend(outputs.map(|(vout, _)| OutPoint { txid: *txid, vout }));
        }
        all.extend(self.coins());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Everything below a funding spend counts down to the second level, whether or not its meaning is known yet (R5).
    /// A second level is always P2WSH: other outputs down there are somebody's wallet.
    fn watches_output(&self, txid: &Txid, kept: &KeptTx, output: &TxOut) -> bool {
        match kept.level {
            Level::Funding => !self.is_closing(txid, &kept.tx),
            Level::Commitment => output.script_pubkey.is_p2wsh(),
            Level::Second => false,
        }
    }

    /// Whether any output of a kept transaction is watched.
    pub(crate) fn watches_outputs(&self, txid: &Txid, kept: &KeptTx) -> bool {
        kept.tx.output.iter().any(|output| self.watches_output(txid, kept, output))
    }

    /// Whether this is a closing transaction that we signed. One that has a commitment's form is not trusted to be one,
    /// whatever we were told (B1): a revoked commitment's outputs are watched.
    pub(crate) fn is_closing(&self, txid: &Txid, tx: &Transaction) -> bool {
        self.ratchet.closings.contains_key(txid) && commitment_number(&self.facts, tx).is_none()
    }

    /// How far below a funding output a transaction is, if it matters to this channel at all.
    pub(crate) fn level_of(&self, tx: &Transaction) -> Option<Level> {
        let level = |outpoint: &OutPoint| {
            if self.facts.fundings.iter().any(|funding| funding.outpoint == *outpoint) {
                return Some(Level::Funding);
            }
            if !self.watches(outpoint) {
                return None;
            }
            match self.chain.kept.get(&outpoint.txid).map(|kept| kept.level) {
                Some(Level::Funding) => Some(Level::Commitment),
                Some(Level::Commitment | Level::Second) | None => Some(Level::Second),
            }
        };
        tx.input.iter().filter_map(|input| level(&input.previous_output)).min()
    }

    /// Whether a fall of the feerates could move something.
    pub(crate) fn waits_for_fees(&self) -> bool {
        let desk = &self.requests.desk;
        !desk.uneconomic.is_empty()
            || desk.asked.keys().any(|owner| desk.missing.contains_key(owner))
            || desk.groups.values().any(|group| group.trouble == Some(Trouble::TooCheap))
    }

    /// Whether it knows something of this height or above, which a disconnected block takes away.
    pub(crate) fn knows_of(&self, height: Height) -> bool {
        self.heights().iter().any(|known| *known >= height)
    }

    /// The heights that it knows something of.
    pub(crate) fn heights(&self) -> Vec<Height> {
        let mut heights: Vec<Height> = self.chain.kept.values().map(|kept| kept.height).collect();
        heights.extend(self.chain.fundings.iter().filter_map(|funding| funding.confirmed));
        heights.push(self.seen);
        heights.sort_unstable();
        heights.dedup();
        heights
    }

    /// The funding and the commitment that a signing request is for.
    pub(crate) fn commitment_asked(&self, secp: &Secp256k1<All>, request: &ActionId) -> Option<(Funding, Rebuilt)> {
        let local = self.set.local.as_ref()?;
        self.facts.fundings.iter().find_map(|funding| {
            let rebuilt = self.rebuild(secp, Side::Local, &local.commitment, funding, &[])?;
            (sweep::commitment_id(self, &rebuilt) == *request).then(|| (funding.clone(), rebuilt))
        })
    }

    /// The value of a wallet coin that a sweep uses, or used before it was dropped: it may confirm all the same.
    pub(crate) fn coin_value_sat(&self, outpoint: &OutPoint) -> Option<u64> {
        self.requests.coins.get(outpoint).copied()
    }

    /// The wallet's coins that live sweeps use, or that were offered for one that waits.
    pub(crate) fn coins(&self) -> impl Iterator<Item = OutPoint> {
        let desk = &self.requests.desk;
        let purses = desk.groups.values().map(|group| &group.purse).chain(desk.purses.values());
        purses.flat_map(|purse| &purse.coins).map(|coin| coin.outpoint)
    }

    /// The group and the version whose signing request this is: the last one, or one that it replaced unsigned.
    pub(crate) fn sweep_asked(&self, request: &ActionId) -> Option<(u32, &SweepState, &Sweep)> {
        let versions = self.requests.sweeps.iter().flat_map(|(group, state)| {
            let all = state.unsigned.iter().chain([&state.sweep]);
            all.map(move |sweep| (*group, state, sweep))
        });
        let mut versions = versions;
        versions.find(|(_, state, sweep)| {
            let txid = if core::ptr::eq(*sweep, &state.sweep) { state.txid } else { sweep.tx.compute_txid() };
            sweep::sweep_id(self, &txid) == *request
        })
    }
}
