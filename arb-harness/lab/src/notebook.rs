//! A node that records everything it is told, and does nothing else.

use std::collections::BTreeMap;

use arb_core::bolt3::Preimage;
use arb_core::{
    Acknowledged, Alert, ChannelId, ContractReport, FailReason, FreezeReason, HtlcKey, RevokedCommitment, Sheet,
};
use arb_harness::node::Node;

/// A node that records everything, for tests and for the demonstration. It stands for the node's own database, so a restart
/// of the court does not touch it.
#[derive(Clone, Debug, Default)]
pub struct Notebook {
    /// The outcome of the upstream of each HTLC that we sent, and the preimage if it was settled.
    pub origins: BTreeMap<HtlcKey, (Acknowledged, Option<Preimage>)>,
    /// HTLCs whose settlement was asked for after their upstream had failed, each once.
    pub contradictions: Vec<HtlcKey>,
    /// The preimages that the node has, by received HTLC.
    pub preimages: BTreeMap<HtlcKey, Preimage>,
    /// The past commitments that the node has on record, by channel and number; several candidates if it does not know
    /// which one was signed.
    pub past: BTreeMap<(ChannelId, u64), Vec<RevokedCommitment>>,
    /// Why the court froze each channel.
    pub frozen: BTreeMap<ChannelId, FreezeReason>,
    /// Alerts, in order, each once.
    pub alerts: Vec<(ChannelId, Alert)>,
    /// Reports, in order, each once.
    pub reports: Vec<(ChannelId, ContractReport)>,
    /// The balance sheet of each resolved channel.
    pub sheets: BTreeMap<ChannelId, Sheet>,
    /// The damage that was found in rows of the log, in order.
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
        // Idempotent: the upstream keeps its first outcome.
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
