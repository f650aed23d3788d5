//! What every judgement reads.

use crate::api::facts::Link;
use crate::api::ids::{ChannelIndex, HtlcRef};
use crate::api::units::Height;
use crate::channel::{HtlcState, untold_until};
use crate::court::draft::CourtView;
use crate::view::ChannelView;

/// The court around the channel that is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) court: CourtView<'a>,
    /// The tip is the best known block.
    pub(crate) caught_up: bool,
    /// The node has told all that it knows of the channel: this, too, conclusions from absence wait for (R11).
    pub(crate) told: bool,
}

impl Bench<'_> {
    /// Whether conclusions from absence are allowed (R11).
    pub(crate) const fn is_present(&self) -> bool {
        self.caught_up && self.told
    }

    /// The height until which a failure of an upstream HTLC waits for the node to tell every channel; `None` if it does not (A9).
    pub(crate) fn untold_until(&self, view: &ChannelView<'_>, state: &HtlcState) -> Option<Height> {
        untold_until(state, view.policy).filter(|_| self.court.any_untold())
    }
}

/// The upstream HTLC of an HTLC that we sent; `None` if it is no forward, or if the upstream is not known here. One of another hash
/// is not its upstream (A49).
pub(crate) fn upstream_of(
    court: CourtView<'_>,
    channel: ChannelIndex,
    htlc: HtlcRef,
) -> Option<(ChannelIndex, HtlcRef)> {
    let sent = &court.channel(channel)?.htlcs.get(&htlc)?.htlc;
    let Link::Forward(key) = sent.link else { return None };
    let upstream = court.index_of(&key.channel)?;
    let incoming = &court.channel(upstream)?.htlcs.get(&key.htlc)?.htlc;
    (incoming.payment_hash == sent.payment_hash).then_some((upstream, key.htlc))
}
