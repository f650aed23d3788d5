//! The court's own state, without its channels.
//!
//! Tests: `arb-harness/lab/tests/court_suite/going_to_chain.rs`.

use crate::api::event::{Block, Disconnected, Freshness, JournalIdentity, Started, Tip};
use crate::api::fees::Fees;
use crate::api::ids::ChannelId;
use crate::api::policy::Policy;
use crate::api::units::{Blocks, Height};
use crate::channel::ChannelArbitrator;
use crate::sweep::Now;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use serde::{Deserialize, Serialize};

/// The most block hashes that are remembered, whatever the policy: every step copies them.
const HASHES_MAX: usize = 1_000;

/// The court's state without its channels: what a checkpoint stores as one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The sequence number of the last frame that it contains; 0 before the first.
    pub sequence: u64,
    pub(crate) identity: Option<JournalIdentity>,
    pub(crate) policy: Policy,
    pub(crate) tip: Tip,
    /// The hashes of the last blocks, the tip's last: at most `irrevocable_depth` and [`HASHES_MAX`], and none from before the
    /// journal.
    pub(crate) hashes: VecDeque<BlockHash>,
    pub(crate) best_height: Height,
    pub(crate) fees: Option<(Fees, Height)>,
    /// The estimates before that, oldest first, as far back as the court's `fee_stale`: what nobody contests looks at them (A47).
    pub(crate) fees_before: Vec<(Fees, Height)>,
    pub(crate) started: Option<Started>,
    /// How many starts said that the journal may be old. Until its counterparty has cleared the last one, a channel signs no
    /// commitment of ours (F5).
    pub(crate) suspicions: u64,
    /// How many starts were heard: after each the node tells everything again.
    pub(crate) starts: u64,
    /// The count of starts when the node had told everything of every channel.
    pub(crate) retold: u64,
    pub(crate) next_index: u32,
    /// Resolved channels that the node told again: their last action is due until the node carried it out (A52).
    pub(crate) resolved_again: BTreeSet<ChannelId>,
}

impl Snapshot {
    pub(crate) fn empty() -> Self {
        Self {
            sequence: 0,
            identity: None,
            policy: Policy::default(),
            tip: Tip { height: Height::new(0), hash: BlockHash::all_zeros() },
            hashes: VecDeque::new(),
            best_height: Height::new(0),
            fees: None,
            fees_before: Vec::new(),
            started: None,
            suspicions: 0,
            starts: 0,
            retold: 0,
            next_index: 0,
            resolved_again: BTreeSet::new(),
        }
    }

    /// The journal's first tip.
    pub(crate) fn begin_at(&mut self, tip: Tip) {
        self.tip = tip;
        self.best_height = tip.height;
        self.hashes = VecDeque::from([tip.hash]);
    }

    pub(crate) fn connect(&mut self, block: &Block) {
        self.tip = Tip { height: block.height, hash: block.hash };
        self.best_height = block.best_height;
        self.hashes.push_back(block.hash);
        let most = usize::try_from(self.policy.irrevocable_depth.get()).unwrap_or(HASHES_MAX).clamp(1, HASHES_MAX);
        let surplus = self.hashes.len().saturating_sub(most);
        self.hashes.drain(..surplus);
    }

    pub(crate) fn disconnect(&mut self, block: &Disconnected) {
        self.tip = Tip { height: block.height.before(Blocks::new(1)), hash: block.parent };
        self.best_height = block.best_height;
        self.hashes.pop_back();
        // Deeper than what is remembered, only the block that was just named is known.
        if self.hashes.is_empty() {
            self.hashes.push_back(block.parent);
        }
    }

    /// Whether this is one of the last blocks of the chain that the court heard.
    pub(crate) fn remembers(&self, block: &Tip) -> bool {
        let depth = self.tip.height.since(block.height).and_then(|depth| usize::try_from(depth.get()).ok());
        depth.and_then(|depth| self.hashes.iter().rev().nth(depth)) == Some(&block.hash)
    }

    /// Whether the tip is the best block that the chain source knows (R11).
    pub(crate) fn is_caught_up(&self) -> bool {
        self.tip.height >= self.best_height
    }

    /// The feerate for a confirmation target under a channel's policy, in satoshi per kiloweight; see [`Now::estimate`].
    pub(crate) fn feerate(&self, policy: &Policy, target: Blocks) -> u32 {
        self.now(policy, 0).estimate(target)
    }

    /// What a sweeper knows of the world.
    pub(crate) fn now<'a>(&'a self, policy: &'a Policy, wallet_output_weight: u64) -> Now<'a> {
        let (fees, fees_before) = (self.fees.as_ref(), &*self.fees_before);
        Now { tip: self.tip.height, policy, fees, fees_before, wallet_output_weight }
    }

    /// A new estimate. Those that ended `fee_stale` blocks ago are forgotten.
    pub(crate) fn hear_fees(&mut self, fees: &Fees) {
        let tip = self.tip.height;
        // One that was replaced in its own block, or that a reorg left in the future, was never in force in a block.
        let was_in_force = |at: Height| at < tip;
        self.fees_before.extend(self.fees.replace((fees.clone(), tip)).filter(|(_, at)| was_in_force(*at)));
        self.fees_before.retain(|(_, at)| was_in_force(*at));
        let is_over = |next: &(Fees, Height)| next.1.after(self.policy.fee_stale) <= tip;
        while self.fees_before.get(1).is_some_and(is_over) {
            self.fees_before.remove(0);
        }
    }

    /// Whether our commitment must be neither signed nor sent, because the journal may be old (F5).
    pub(crate) fn suspects(&self, channel: &ChannelArbitrator) -> bool {
        self.suspicions > channel.ratchet.cleared
    }

    /// Whether the node has told all that it knows of a channel: once since that joined, and again since the last start
    /// (R11).
    pub(crate) fn is_told(&self, channel: &ChannelArbitrator) -> bool {
        self.is_told_at(channel.adopted)
    }

    /// Whether a channel of which the node told everything at this count of starts is told now; `None`: it joins.
    pub(crate) fn is_told_at(&self, adopted: Option<u64>) -> bool {
        adopted.is_some_and(|at| at.max(self.retold) >= self.starts)
    }

    pub(crate) fn hear_started(&mut self, started: &Started) {
        self.starts = self.starts.saturating_add(1);
        self.best_height = self.best_height.max(started.best_height);
        if started.freshness == Freshness::Suspect {
            self.suspicions = self.suspicions.saturating_add(1);
        }
        self.started = Some(started.clone());
    }
}
