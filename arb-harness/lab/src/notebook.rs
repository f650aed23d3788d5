//! A node that writes everything down, and does nothing else.

use std::collections::BTreeMap;

use arb_core::bolt3::Preimage;
use arb_core::{
    Acknowledged, Alert, ChannelId, ContractReport, FailReason, FreezeReason, HtlcKey, RevokedCommitment, Sheet,
};
use arb_harness::node::Node;

/// A node that writes everything down: what tests and the demonstration ask afterwards. It stands for the node's own
/// database, so a restart of the court does not touch it.
#[derive(Clone, Debug, Default)]
pub struct Notebook {
    /// What became of each origin, and with which preimage.
    pub origins: BTreeMap<HtlcKey, (Acknowledged, Option<Preimage>)>,
    /// How often an origin's fate was asked to change after it was done: a settlement after a failure.
    pub contradictions: Vec<HtlcKey>,
    /// Preimages that the node has, by received HTLC.
    pub preimages: BTreeMap<HtlcKey, Preimage>,
    /// Past commitments that the node has on record, by channel and number.
    pub past: BTreeMap<(ChannelId, u64), Vec<RevokedCommitment>>,
    /// Why each channel was frozen.
    pub frozen: BTreeMap<ChannelId, FreezeReason>,
    /// Alerts, in order, each once.
    pub alerts: Vec<(ChannelId, Alert)>,
    /// Reports, in order, each once.
    pub reports: Vec<(ChannelId, ContractReport)>,
    /// Balance sheets.
    pub sheets: BTreeMap<ChannelId, Sheet>,
    /// Damaged rows, in order.
    pub damage: Vec<(ChannelId, String)>,
}

impl Node for Notebook {
    fn settle(&mut self, htlc: HtlcKey, preimage: Preimage) -> Acknowledged {
        match self.origins.get(&htlc) {
            Some((Acknowledged::Failed, _)) => {
                if !self.contradictions.contains(&htlc) {
                    self.contradictions.push(htlc);
                }
                Acknowledged::Failed
            }
            Some((Acknowledged::Settled, _)) => Acknowledged::Settled,
            None => {
                self.origins.insert(htlc, (Acknowledged::Settled, Some(preimage)));
                Acknowledged::Settled
            }
        }
    }

    fn fail(&mut self, htlc: HtlcKey, _why: FailReason) -> Acknowledged {
        // An origin is settled or failed once; said again, it is what it was.
        self.origins.entry(htlc).or_insert((Acknowledged::Failed, None)).0
    }

    fn preimage(&mut self, htlc: HtlcKey) -> Option<Preimage> {
        self.preimages.get(&htlc).copied()
    }

    fn revoked(&mut self, channel: ChannelId, number: u64) -> Vec<RevokedCommitment> {
        self.past.get(&(channel, number)).cloned().unwrap_or_default()
    }

    fn freeze(&mut self, channel: ChannelId, why: FreezeReason) {
        self.frozen.entry(channel).or_insert(why);
    }

    fn alert(&mut self, channel: ChannelId, alert: &Alert) {
        if !self.alerts.iter().any(|known| known.0 == channel && known.1 == *alert) {
            self.alerts.push((channel, alert.clone()));
        }
    }

    fn report(&mut self, channel: ChannelId, report: &ContractReport) {
        if !self.reports.iter().any(|known| known.0 == channel && known.1.id == report.id) {
            self.reports.push((channel, report.clone()));
        }
    }

    fn resolved(&mut self, channel: ChannelId, sheet: &Sheet) {
        self.sheets.entry(channel).or_insert(*sheet);
    }

    fn damaged(&mut self, channel: ChannelId, why: &str) {
        self.damage.push((channel, why.to_owned()));
    }
}
