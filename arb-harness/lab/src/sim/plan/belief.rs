//! What is hard to believe in a run: channels that join late, starts after which the node tells everything again, a journal
//! from a backup, search results of a chain that a reorg has taken, outcomes that are acknowledged late. It has a stream of
//! numbers of its own, so the rest of a world does not depend on it.

use arb_core::HtlcKey;

use super::Plan;
use super::economy::Focus;
use super::rng::Rng;
use super::seeds::bytes_of;

/// The most blocks after which the node acknowledges an outcome.
pub(crate) const LATEST: u32 = 500;

/// What is hard to believe in a run.
#[derive(Clone, Debug)]
pub(crate) struct Belief {
    seed: u64,
    /// For each channel, the act before which it joins the court; `None` if it is there from the start.
    pub(crate) joins_at: Vec<Option<u64>>,
    /// The acts before which a backup of the journal is made, and comes in the journal's place (A4).
    pub(crate) backup: Option<(u64, u64)>,
    /// Whether the peer of a restored journal speaks before the node tells its channels (A4).
    pub(crate) peer_speaks_first: bool,
    /// Whether the node's own store is as old as the restored journal for a while (A4).
    pub(crate) node_is_old: bool,
    /// Whether a confirmed mutual close leaves the chain for ever (A20).
    pub(crate) mutual_leaves: bool,
    /// Of a hundred acts, so many are followed by a transaction that shows a preimage (A5, A42).
    pub(crate) shows_percent: u64,
    /// Of a hundred forwards, so many go out as two HTLCs (A9).
    pub(crate) splits_percent: u64,
}

impl Belief {
    /// Draws it for a seed; `None` for a world of another kind.
    pub(crate) fn draw(seed: u64, focus: Option<Focus>, plan: &Plan) -> Option<Self> {
        let mut rng = Rng::new(seed, 6);
        let joins_at = plan.channels.iter().map(|_| {
            let at = rng.between(1, plan.acts.0 + plan.acts.1);
            Some(at).filter(|_| rng.percent(40) && !plan.one_peer)
        });
        let joins_at = joins_at.collect();
        let taken = rng.between(0, plan.acts.0);
        let backup = Some((taken, rng.between(taken, plan.acts.0))).filter(|_| rng.percent(50));
        let belief = Self {
            seed,
            joins_at,
            backup,
            peer_speaks_first: rng.percent(50),
            node_is_old: rng.percent(50),
            mutual_leaves: rng.percent(60),
            shows_percent: 12,
            splits_percent: 50,
        };
        Some(belief).filter(|_| focus == Some(Focus::Belief))
    }

    /// A number from `low` to `high` that follows from a name and a number alone: not from what was drawn before.
    fn number(&self, name: &str, of: u64, low: u64, high: u64) -> u64 {
        let [a, b, c, d, ..] = bytes_of(self.seed, name, of);
        low + u64::from(u32::from_le_bytes([a, b, c, d])) % (high - low + 1)
    }

    /// After how many blocks the node acknowledges the outcome of an HTLC (A58).
    pub(crate) fn acknowledges_after(&self, htlc: &HtlcKey) -> u32 {
        let [first, ..] = htlc.channel.0;
        let of = htlc.htlc.id.wrapping_mul(256).wrapping_add(u64::from(first));
        let blocks = match self.number("lateness", of, 0, 99) {
            0..=59 => 0,
            60..=84 => self.number("late", of, 1, 40),
            _ => self.number("very late", of, 100, u64::from(LATEST)),
        };
        u32::try_from(blocks).unwrap_or(0)
    }

    /// Whether the result of a search that ends at this height is under way for a while (A10).
    pub(crate) fn search_is_slow(&self, height: u32) -> bool {
        self.number("search", u64::from(height), 0, 99) < 50
    }

    /// Whether the node first tells something else of a revoked commitment (A13).
    pub(crate) fn misremembers(&self, number: u64) -> bool {
        self.number("record", number, 0, 99) < 60
    }
}
