//! What is stored of one channel: facts with heights, ratchets, outstanding requests (R9).

use crate::api::event::{Acknowledged, CloseReason};
use crate::api::facts::{ChannelFacts, Htlc, Standing};
use crate::api::ids::{ActionId, HtlcRef};
use crate::api::notice::{FreezeReason, Notice};
use crate::api::outcome::Upstream;
use crate::api::past::RevokedCommitment;
use crate::api::units::Height;
use crate::bolt3::{CompactSig, Preimage};
use crate::channel::chain::ChainFacts;
use crate::channel::close::Close;
use crate::channel::commitments::CommitmentSet;
use crate::channel::requests::{Requests, SignedTx};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use bitcoin::{OutPoint, Txid};
use core::ops::Deref;
use serde::{Deserialize, Serialize};

/// A channel under the court's watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelArbitrator {
    pub(super) state: State,
}

/// Everybody reads a channel's fields through this; only code inside `channel` can write them (R1).
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

impl ChannelArbitrator {
    pub(crate) fn new(facts: ChannelFacts, standing: Standing, seen: Height) -> Self {
        let chain = ChainFacts::new(&facts, seen);
        let state = State {
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
        };
        Self { state }
    }
}
