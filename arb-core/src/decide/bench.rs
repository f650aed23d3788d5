//! What every judgement reads.

use crate::api::facts::Link;
use crate::api::ids::{ChannelIndex, HtlcRef};
use crate::court::draft::CourtView;

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
}

/// The upstream HTLC of an HTLC that we sent; `None` if it is no forward, or if the upstream is not known here.
pub(crate) fn upstream_of(
    court: CourtView<'_>,
    channel: ChannelIndex,
    htlc: HtlcRef,
) -> Option<(ChannelIndex, HtlcRef)> {
    let Link::Forward(key) = court.channel(channel)?.htlcs.get(&htlc)?.htlc.link else { return None };
    let upstream = court.index_of(&key.channel)?;
    court.channel(upstream)?.htlcs.contains_key(&key.htlc).then_some((upstream, key.htlc))
}
