//! What a simulation saw, counted by name. A count that stays at zero is a case that was not tested.

use std::collections::BTreeMap;

/// Every name that is counted, so that names that were never seen are shown with zero.
pub(crate) const NAMES: [&str; 134] = [
    "channel/one",
    "channel/linked",
    "channel/adopted",
    "channel/static_remotekey",
    "channel/anchors_zero_fee_htlc_tx",
    "close/ours",
    "close/theirs",
    "close/pending",
    "close/revoked",
    "close/mutual",
    "close/unknown",
    "fault/crash",
    "fault/crash_before_append",
    "fault/crash_after_append",
    "fault/crash_after_actions",
    "fault/lost_write",
    "fault/unreported_write",
    "fault/refused_batch",
    "reorg/1-2",
    "reorg/3-4",
    "reorg/5-6",
    "reorg/same_blocks",
    "reorg/empty_blocks",
    "reorg/commitment_swap",
    "reorg/to_revoked",
    "reorg/from_revoked",
    "reorg/between_revoked",
    "reorg/to_mutual",
    "revoked/idle",
    "revoked/own_number",
    "revoked/forgotten_htlc",
    "revoked/confessed",
    "revoked/own_block",
    "revoked/no_state",
    "revoked/told_by_node",
    "revoked/second_level",
    "revoked/second_level_success",
    "revoked/second_level_timeout",
    "revoked/aggregated",
    "revoked/two_channels",
    "revoked/taken",
    "revoked/taken_from_second_level",
    "revoked/preimage_shown",
    "revoked/got_away",
    "class/penalty_safe",
    "class/penalty_raced",
    "resolver/CommitSweep",
    "resolver/OutgoingContest",
    "resolver/OutgoingTimeout",
    "resolver/IncomingContest",
    "resolver/IncomingSuccess",
    "resolver/Anchor",
    "resolver/Breach",
    "outcome/claimed",
    "outcome/taken_by_peer",
    "outcome/unclaimed",
    "outcome/uneconomic",
    "outcome/no_output",
    "upstream/settled",
    "upstream/failed",
    "upstream/timed_out",
    "upstream/on_no_commitment",
    "upstream/not_on_confirmed",
    "upstream/revoked",
    "upstream/given_up",
    "freeze/deadline",
    "freeze/peer_on_chain",
    "freeze/funding_spent",
    "htlc/dust",
    "htlc/duplicate_hash",
    "htlc/duplicate_hash_and_amount",
    "htlc/only_pending",
    "htlc/trimmed_on_one_side",
    "htlc/preimage_learnt_late",
    "htlc/settled_off_chain",
    "htlc/failed_off_chain",
    "htlc/own_payment",
    "htlc/relayed",
    "htlc/given_up_by_node",
    "mempool/seen",
    "alert/loss",
    "linked/settled",
    "linked/failed",
    "market/flat",
    "market/calm",
    "market/day_night",
    "market/spike",
    "market/flood",
    "world/adversary",
    "world/poor",
    "world/money",
    "world/queue",
    "world/belief",
    "belief/joined",
    "belief/joined_in_an_update",
    "belief/joined_after_close",
    "belief/retold",
    "belief/restored",
    "belief/outdated",
    "belief/old_node",
    "belief/shown",
    "belief/split",
    "belief/split_paid_late",
    "belief/mutual_left",
    "belief/slow_search",
    "belief/late_acknowledgement",
    "belief/wrong_record",
    "wallet/gone_coin",
    "wallet/refused_coin",
    "wallet/deposit",
    "adversary/replace",
    "adversary/cycle",
    "adversary/stall",
    "adversary/pin",
    "adversary/evict",
    "adversary/mine",
    "adversary/spend_sat",
    "sweep/planned",
    "sweep/replaced",
    "sweep/grouped",
    "sweep/split",
    "sweep/limited_by_budget",
    "sweep/limited_by_coins",
    "child/ours",
    "child/theirs",
    "not_promised/market_sat",
    "not_promised/adversary_sat",
    "not_promised/kept_out_sat",
    "not_promised/late_sat",
    "out_of_reach/runs",
    "check/prices",
    "check/replayed",
    "check/without_faults",
    "check/race_of_commitments",
];

/// How often each name was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    /// Every name at zero.
    pub(crate) fn new() -> Self {
        Self(NAMES.iter().map(|name| (*name, 0)).collect())
    }

    /// Adds one.
    pub(crate) fn one(&mut self, name: &'static str) {
        self.many(name, 1);
    }

    /// Adds this many.
    pub(crate) fn many(&mut self, name: &'static str, more: u64) {
        debug_assert!(NAMES.contains(&name), "{name} is missing in NAMES, so it would not be shown with zero");
        *self.0.entry(name).or_insert(0) += more;
    }

    /// How often this was seen.
    pub(crate) fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Adds the counts of another run.
    pub(crate) fn add(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            *self.0.entry(name).or_insert(0) += count;
        }
    }

    /// The counts, in the order of their names.
    pub(crate) fn into_map(self) -> BTreeMap<&'static str, u64> {
        self.0
    }
}
