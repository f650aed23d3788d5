//! The answers of admission, and what every refusal looks up.

use crate::api::ids::{ChannelId, HtlcKey, HtlcRef};
use crate::api::reject::Rejected;
use crate::channel::{ChannelArbitrator, HtlcState};
use crate::court::draft::CourtView;
use crate::view::ChannelView;
use alloc::collections::{BTreeMap, BTreeSet};
use bitcoin::Script;

/// What an admitted event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// New: it will be applied.
    New,
    /// It says nothing new.
    Duplicate,
    /// It is about something that has ended, and there is nothing left to compare it with.
    Past,
    /// It says nothing new, but what it asks for becomes due once more, so it is applied.
    Again,
    /// It is applied because it proves that our state is old, and permits nothing.
    Proof,
}

impl Admission {
    /// `New` if it says something new, else `Duplicate`.
    pub(crate) const fn new_if(new: bool) -> Self {
        if new { Self::New } else { Self::Duplicate }
    }
}

/// The longest text that is kept, in bytes.
const TEXT_MAX: usize = 256;

/// A channel by the id that the node knows it by.
pub(crate) fn channel<'a>(court: CourtView<'a>, id: &ChannelId) -> Result<&'a ChannelArbitrator, Rejected> {
    court.channel_of(id).ok_or(Rejected::UnknownChannel(*id))
}

/// What follows at the tip from a channel, by the id that the node knows it by.
pub(crate) fn channel_view<'a>(court: CourtView<'a>, id: &ChannelId) -> Result<ChannelView<'a>, Rejected> {
    court.index_of(id).and_then(|index| court.channel_view(index)).ok_or(Rejected::UnknownChannel(*id))
}

pub(crate) fn htlc<'a>(
    court: CourtView<'a>,
    key: &HtlcKey,
) -> Result<(&'a ChannelArbitrator, &'a HtlcState), Rejected> {
    let channel = channel(court, &key.channel)?;
    let joins = channel.adopted.is_none();
    let missing = if joins { Rejected::HtlcNotTold(key.htlc) } else { Rejected::UnknownHtlc(key.htlc) };
    let state = channel.htlcs.get(&key.htlc).ok_or(missing)?;
    Ok((channel, state))
}

/// Whether an id was used that the channel does not know any more, or the channel is resolved: its HTLC is over. While a channel
/// joins, a lower id may still be told (A15, A17).
pub(crate) fn is_over(court: CourtView<'_>, key: &HtlcKey) -> bool {
    let of_channel = |channel: &ChannelArbitrator| {
        let next = if key.htlc.is_offered() { channel.next_htlc.0 } else { channel.next_htlc.1 };
        channel.adopted.is_some() && key.htlc.id < next && !channel.htlcs.contains_key(&key.htlc)
    };
    court.tombstone(&key.channel).is_some() || court.channel_of(&key.channel).is_some_and(of_channel)
}

/// The HTLCs of one event that are not told yet.
#[derive(Default)]
pub(crate) struct NotTold(BTreeMap<ChannelId, BTreeSet<HtlcRef>>);

impl NotTold {
    /// The channel that keeps what the node says of this HTLC, which it has not told yet; `None` if it is not kept.
    pub(crate) fn keeps<'a>(&mut self, court: CourtView<'a>, key: &HtlcKey) -> Option<&'a ChannelArbitrator> {
        let channel = court.channel_of(&key.channel)?;
        let of_channel = self.0.entry(key.channel).or_default();
        let keeps = of_channel.contains(&key.htlc) || channel.keeps_for(key.htlc, of_channel.len());
        if keeps {
            of_channel.insert(key.htlc);
        }
        keeps.then_some(channel)
    }
}

/// Whether nodes relay payments to this script, and a wallet can own it (A34).
pub(crate) fn is_payable(script: &Script) -> bool {
    script.is_p2wpkh() || script.is_p2wsh() || script.is_p2tr() || script.is_p2pkh() || script.is_p2sh()
}

pub(crate) fn text(what: &'static str, text: &str) -> Result<(), Rejected> {
    if text.len() > TEXT_MAX {
        return Err(Rejected::TooLong { what, got: text.len(), max: TEXT_MAX });
    }
    Ok(())
}
