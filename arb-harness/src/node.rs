//! The node's side of the court: it settles and fails upstream HTLCs, knows preimages, and is told what happens.

use arb_core::bolt3::{Point, Preimage};
use arb_core::{
    Acknowledged, Alert, ChannelId, ContractReport, FailReason, FreezeReason, HtlcKey, RevokedCommitment, Sheet,
};

/// What a Lightning node does for its court. Every call may come again, also after a restart.
pub trait Node {
    /// Settles, durably, the upstream HTLC of `htlc`, which we sent, or our own payment. Answers what was done upstream, now
    /// or earlier.
    fn settle(&mut self, htlc: HtlcKey, preimage: Preimage) -> Acknowledged;

    /// Fails, durably, the upstream HTLC of `htlc`, which we sent, or our own payment. Answers as [`settle`](Self::settle) does.
    fn fail(&mut self, htlc: HtlcKey, why: FailReason) -> Acknowledged;

    /// The preimage of a received HTLC, if this HTLC may be claimed with it.
    fn preimage(&mut self, htlc: HtlcKey) -> Option<Preimage>;

    /// What the node's own records have of the counterparty's commitment with this number, which was signed before the channel
    /// joined the court. Empty for a node without such records.
    fn revoked(&mut self, _channel: ChannelId, _number: u64) -> Vec<RevokedCommitment> {
        Vec::new()
    }

    /// Our per-commitment point (BOLT 3) for our commitment with this number, as the node's seed gives it. With it, our main
    /// output on an old commitment of ours is found and claimed. `None` for a node that cannot tell.
    fn point(&mut self, _channel: ChannelId, _number: u64) -> Option<Point> {
        None
    }

    /// The channel must take no more updates: it is going to chain.
    fn freeze(&mut self, channel: ChannelId, why: FreezeReason);

    /// An operator should know this.
    fn alert(&mut self, channel: ChannelId, alert: &Alert);

    /// A contract ended, and how.
    fn report(&mut self, channel: ChannelId, report: &ContractReport);

    /// Every contract of the channel ended irrevocably; the sheet says where every satoshi went (I11).
    fn resolved(&mut self, channel: ChannelId, sheet: &Sheet);

    /// The journal's rows of this channel's past commitments are damaged: an operator should know.
    fn damaged(&mut self, channel: ChannelId, why: &str);
}
