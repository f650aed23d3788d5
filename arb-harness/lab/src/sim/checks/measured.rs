//! What the balance oracle measures of a channel that the court is done with, and what of it was promised (I11, I14).

use std::collections::BTreeMap;

use arb_core::{CloseKind, HtlcRef};

use crate::balance_oracle::{self, Knowledge, Known, Missed};
use crate::sim::plan::seeds::our_scripts;
use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::channel::Measured;

/// In so many blocks open to our transactions, a waiting claim should confirm.
const CHANCES: usize = 2;

impl World {
    /// Measures a channel that the court is done with: its sheet, and what was lost although it was promised.
    pub(crate) fn measure(&self, channel: usize) -> Result<Measured, Violation> {
        let Some(kind) = self.close_kind(channel) else {
            return Err(Violation::new("I12", format!("channel {channel} is gone, and its funding is unspent")));
        };
        let (all, no_htlc) = (self.usable(channel), BTreeMap::new());
        let ours = our_scripts();
        let known = |usable_since| Known {
            fixture: &self.channels[channel].fixture,
            ours: &ours,
            usable_since,
            commitment: self.knowledge(channel, kind),
        };
        let (lost_sat, kept_out_sat) = match kind {
            CloseKind::Unknown | CloseKind::Superseded => (0, 0),
            CloseKind::Revoked => {
                let missed = balance_oracle::missed(&self.chain, &known(&all)).map_err(Violation::world)?;
                self.split_missed(channel, &missed)
            }
            CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending | CloseKind::Mutual => {
                // HTLCs are counted one by one (I16).
                let sheet = balance_oracle::sheet(&self.chain, &known(&no_htlc)).map_err(Violation::world)?;
                (sheet.map_or(0, |sheet| sheet.lost_sat), 0)
            }
        };
        let sheet = balance_oracle::sheet(&self.chain, &known(&all)).map_err(Violation::world)?;
        let unclaimed = balance_oracle::unclaimed(&self.chain, &known(&all)).map_err(Violation::world)?;
        Ok(Measured { kind, height: self.height(), sheet, lost_sat, kept_out_sat, unclaimed })
    }

    /// The tip from which on each received HTLC could be claimed.
    fn usable(&self, channel: usize) -> BTreeMap<HtlcRef, u32> {
        let at = &self.channels[channel];
        let received = at.htlcs().filter(|htlc| !htlc.key.is_offered());
        received.filter_map(|htlc| Some((htlc.key, *self.seen.usable_since.get(&at.key(htlc.key))?))).collect()
    }

    /// What the court may know of the confirmed commitment.
    fn knowledge(&self, channel: usize, kind: CloseKind) -> Knowledge {
        match kind {
            CloseKind::Unknown | CloseKind::Superseded => Knowledge::Nothing,
            CloseKind::Revoked if self.has_no_record(channel) => Knowledge::RevokedUntold,
            CloseKind::Revoked => Knowledge::Revoked,
            CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending | CloseKind::Mutual => Knowledge::Live,
        }
    }

    /// What we missed of a revoked commitment, in two sums: what was promised, and what was not because our claims were
    /// kept out or the revocation came late.
    fn split_missed(&self, channel: usize, missed: &[Missed]) -> (u64, u64) {
        let sum = |promised: bool| {
            let of = missed.iter().filter(|missed| self.is_promised(channel, missed) == promised);
            of.map(|missed| missed.value_sat).sum()
        };
        (sum(true), sum(false))
    }

    /// Whether I14 promises an output of a revoked commitment: it is not small, and our claim had its chances before the
    /// cheating peer's delay was over.
    fn is_promised(&self, channel: usize, missed: &Missed) -> bool {
        let at = &self.channels[channel];
        let end = missed.since + u32::from(at.plan.delays.1);
        let first = missed.since.max(at.revoked_late.unwrap_or(0)).max(at.joined.unwrap_or(0)) + 1;
        let chances = self.seen.fair_blocks.range(first..end.max(first)).count();
        let last = self.seen.fair_blocks.range(end.saturating_sub(2).max(first)..end.max(first)).count();
        // If prices vary, only a claim at the end of its curve is sure to confirm.
        let in_time = chances >= CHANCES && (self.conditions.is_flat() || last >= CHANCES);
        missed.value_sat > self.conditions.small_sat() && in_time
    }
}
