//! What is stored of one channel: facts with heights, ratchets, outstanding requests (R9).
//!
//! Tests: `arb-harness/lab/tests/court_suite/ratchets.rs`, `arb-log/tests/earlier_journals.rs`.

use crate::api::event::{Acknowledged, CloseReason};
use crate::api::facts::{ChannelFacts, Htlc, Standing};
use crate::api::ids::{ActionId, HtlcRef};
use crate::api::notice::{FreezeReason, Notice};
use crate::api::outcome::Upstream;
use crate::api::past::RevokedCommitment;
use crate::api::policy::Policy;
use crate::api::units::Height;
use crate::bolt3::{CompactSig, PaymentHash, Point, Preimage};
use crate::channel::chain::ChainFacts;
use crate::channel::close::Close;
use crate::channel::commitments::CommitmentSet;
use crate::channel::requests::{Requests, SignedTx};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use bitcoin::{OutPoint, Txid};
use core::ops::Deref;
use serde::{Deserialize, Serialize};

/// One channel of the court: its facts, its ratchets and its outstanding requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelArbitrator {
    pub(super) state: State,
}

/// The crate reads a channel's fields through this; only code inside `channel` can write them (R1).
#[doc(hidden)]
impl Deref for ChannelArbitrator {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

/// The fields of a channel.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub(crate) facts: ChannelFacts,
    /// The channel's own policy; `None`: the court's.
    pub(crate) policy: Option<Box<Policy>>,
    pub(crate) short_channel_id: Option<u64>,
    pub(crate) set: CommitmentSet,
    /// The HTLCs on any commitment of the set, and those whose released outcome is not acknowledged. Once frozen, none leaves.
    pub(crate) htlcs: BTreeMap<HtlcRef, HtlcState>,
    /// The lowest HTLC id that was never used: (offered, received).
    pub(crate) next_htlc: (u64, u64),
    pub(crate) ratchet: Ratchet,
    /// The candidates that were loaded for each revoked commitment that confirmed, by number. An empty list: log and node
    /// know none.
    pub(crate) revoked: BTreeMap<u64, Vec<RevokedCommitment>>,
    /// Our per-commitment points that the node told for commitments that confirmed, by number. `None`: it cannot tell.
    pub(crate) points: BTreeMap<u64, Option<Point>>,
    pub(crate) chain: ChainFacts,
    pub(crate) requests: Requests,
    /// Raised notices that no `Performed` event has acknowledged.
    pub(crate) outbox: BTreeMap<ActionId, Notice>,
    /// The ids of all notices that were ever raised: none is raised twice.
    pub(crate) raised: BTreeSet<ActionId>,
    /// The court's count of starts when the node had told everything of this channel; `None` while it joins.
    pub(crate) adopted: Option<u64>,
    /// The tip when the channel was last judged.
    pub(crate) seen: Height,
    /// Whether it was last touched while blocks were missing: then it is judged again after catching up (R11).
    pub(crate) deferred: bool,
    /// Whether it was last touched before the node had told everything: then it is judged again after that (R11).
    pub(crate) untold: bool,
    /// The sequence of the last frame that changed it.
    pub(crate) changed_at: u64,
    /// The classified spend of the funding. It follows from the other fields and is kept in memory because it costs elliptic
    /// curve arithmetic. Neither stored nor compared.
    #[serde(skip)]
    pub(crate) close: Memo<Close>,
}

/// A derived value that is kept in memory only. Any two are equal, so a state equals one that has not derived it yet.
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
    /// The expiry of its upstream HTLC; `None` if the court does not know it, or if there is none.
    pub(crate) upstream_expiry: Option<Height>,
    /// Whether it was ever on our commitment and on their oldest unrevoked one at once, any candidate of that number: only then
    /// may it be claimed on chain (LR4).
    pub(crate) irrevocable: bool,
}

/// A preimage that may be used for an HTLC, and the tip since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usable {
    pub(crate) preimage: Preimage,
    pub(crate) since: Height,
    /// A transaction showed it first, so the node may not know it: the court settles the upstream HTLC also while the channel
    /// is open (A5). What the node told of an open channel, it settles itself.
    pub(crate) shown: bool,
}

/// A preimage that a transaction showed before an HTLC was told that it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShownEarly {
    pub(crate) preimage: Preimage,
    /// An input showed it that spends something watched.
    pub(crate) is_watched: bool,
}

/// What the node said of an HTLC before it told the HTLC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ToldEarly {
    pub(crate) preimage: Option<Preimage>,
    /// It is irrevocably committed.
    pub(crate) is_committed: bool,
}

/// The outcome that was released upstream, and the node's acknowledgement; `None` until it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Released {
    pub(crate) outcome: Upstream,
    pub(crate) acknowledged: Option<Acknowledged>,
}

/// A commitment of the counterparty that was seen unconfirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// The transaction, complete.
    pub(crate) tx: SignedTx,
    /// The tip when it was first seen.
    pub(crate) since: Height,
    /// What it had to pay then to confirm while ours waits for it, in sat per kw.
    pub(crate) estimate_sat_per_kw: u32,
}

/// The numbers of a newer state than ours that somebody showed; 0 if none was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shown {
    /// Of our newest commitment, at least.
    pub(crate) local: u64,
    /// Of the counterparty's oldest commitment that is not revoked, at least.
    pub(crate) remote: u64,
}

/// What only grows (R10), unless a field says when it ends: a reorg undoes none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ratchet {
    pub(crate) frozen: Option<FreezeReason>,
    /// Our commitment may be signed and sent.
    pub(crate) went_to_chain: bool,
    /// Our state is older than the counterparty's: nothing of ours is signed or sent (F5), until the channel is adopted anew.
    pub(crate) outdated: bool,
    /// The numbers that prove it: no standing below them is accepted.
    pub(crate) shown: Shown,
    /// The greatest numbers that the counterparty claimed without a proof: (next commitment, next revocation).
    pub(crate) claimed: Option<(u64, u64)>,
    /// The court's count of suspicions when the counterparty last showed that our state is current: a higher count since
    /// means that the journal may be stale (F5).
    pub(crate) cleared: u64,
    pub(crate) usable: BTreeMap<HtlcRef, Usable>,
    /// Preimages that transactions which spend something watched showed while the node was still telling, and that fit no HTLC
    /// then: one that fits may be told later (A15). The mempool may never show them again.
    pub(crate) shown_early: BTreeMap<PaymentHash, ShownEarly>,
    /// What the node said of HTLCs before it told them, while the channel joins.
    pub(crate) told_early: BTreeMap<HtlcRef, ToldEarly>,
    /// Received HTLCs whose preimage will not come, so that we stop contesting their outputs.
    pub(crate) given_up: BTreeSet<HtlcRef>,
    pub(crate) released: BTreeMap<HtlcRef, Released>,
    /// What was ever given up for its upstream while the counterparty held it, in satoshi (A12). A good end takes nothing back:
    /// the node need not tell of it.
    pub(crate) wagered_sat: u64,
    /// Our signatures for our current commitment, by funding.
    pub(crate) commitment_signed: BTreeMap<OutPoint, CompactSig>,
    /// Why a close was asked for: by the operator, or by the counterparty's error. The first reason stays.
    pub(crate) close_requested: Option<CloseReason>,
    /// A spend of a funding that is no closing transaction was seen unconfirmed.
    pub(crate) peer_on_chain: bool,
    /// The counterparty's commitments of the set that were seen unconfirmed: each can be sent again with a child.
    pub(crate) seen: BTreeMap<Txid, Seen>,
    /// Unconfirmed commitments of either side that may be in mempools, with how many outputs each has. What spends one of these
    /// may show a preimage (A42).
    pub(crate) in_view: BTreeMap<Txid, u32>,
    /// The tip when a revoked commitment was first seen unconfirmed.
    pub(crate) cheat_seen: Option<Height>,
    /// The node forgot the channel.
    pub(crate) forgotten: bool,
    /// The node said that no funding can confirm any more (A19), and none has confirmed since.
    pub(crate) never_funded: bool,
    /// It held an HTLC once, so the node must not forget it (F1, F3).
    pub(crate) held_htlc: bool,
    /// Closing transactions that we signed, each with the index of our output; `None` if it has none of ours.
    pub(crate) closings: BTreeMap<Txid, Option<u32>>,
}

impl ChannelArbitrator {
    pub(crate) fn new(facts: ChannelFacts, standing: Standing, seen: Height) -> Self {
        let chain = ChainFacts::new(&facts, seen);
        let state = State {
            set: CommitmentSet::new(standing),
            facts,
            policy: None,
            short_channel_id: None,
            htlcs: BTreeMap::new(),
            next_htlc: (0, 0),
            ratchet: Ratchet::default(),
            revoked: BTreeMap::new(),
            points: BTreeMap::new(),
            chain,
            requests: Requests::default(),
            outbox: BTreeMap::new(),
            raised: BTreeSet::new(),
            adopted: None,
            seen,
            deferred: false,
            untold: true,
            changed_at: 0,
            close: Memo::default(),
        };
        Self { state }
    }
}
