//! The node's side of the court: it settles and fails origins, knows preimages, and is told what happens.

use arb_core::bolt3::Preimage;
use arb_core::{
    Acknowledged, Alert, ChannelId, ContractReport, FailReason, FreezeReason, HtlcKey, RevokedCommitment, Sheet,
};

/// What a Lightning node does for its court.
pub trait Node {
    /// Settles an HTLC's origin, durably; what it answers is what was done with the origin, now or earlier.
    fn settle(&mut self, htlc: HtlcKey, preimage: Preimage) -> Acknowledged;

    /// Fails an HTLC's origin, durably.
    fn fail(&mut self, htlc: HtlcKey, why: FailReason) -> Acknowledged;

    /// The preimage of a received HTLC, if it may be used for it.
    fn preimage(&mut self, htlc: HtlcKey) -> Option<Preimage>;

    /// What was signed for the counterparty under this number, as far as the node's own records tell: for commitments that
    /// are older than the channel's place in the court. A node without such records knows nothing.
    fn revoked(&mut self, _channel: ChannelId, _number: u64) -> Vec<RevokedCommitment> {
        Vec::new()
    }

    /// The channel takes no more updates.
    fn freeze(&mut self, channel: ChannelId, why: FreezeReason);

    /// A person should know.
    fn alert(&mut self, channel: ChannelId, alert: &Alert);

    /// A contract is over.
    fn report(&mut self, channel: ChannelId, report: &ContractReport);

    /// A channel is resolved.
    fn resolved(&mut self, channel: ChannelId, sheet: &Sheet);

    /// The journal's rows of a channel are damaged.
    fn damaged(&mut self, channel: ChannelId, why: &str);
}
