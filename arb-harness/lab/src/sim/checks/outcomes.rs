//! I4, I5, I12 and I14: every HTLC has one outcome, no failure comes too early, every channel is resolved, and no loss is
//! silent.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::bolt3::{PaymentHash, Preimage};
use arb_core::{
    Acknowledged, Alert, ChannelId, ChannelIndex, Conclusion, Event, Frame, HtlcRef, Notice, Policy, Side, Upstream,
};
use bitcoin::{OutPoint, Transaction};

use super::{Verdict, violated};
use crate::chain::Chain;
use crate::sim::violation::Violation;
use crate::sim::world::channel::SimChannel;

/// I4: outcomes only rise, and no HTLC fails while a usable preimage is known.
pub(crate) fn invariant_i4_outcomes_only_rise(frames: &[Frame], index: ChannelIndex, channel: ChannelId) -> Verdict {
    let mut usable: BTreeMap<HtlcRef, Preimage> = BTreeMap::new();
    let mut released: BTreeMap<HtlcRef, Upstream> = BTreeMap::new();
    for entry in frames.iter().flat_map(|frame| &frame.entries) {
        if let Event::PreimageLearned { preimage, usable_for } = &entry.heard {
            let ours = usable_for.iter().filter(|key| key.channel == channel);
            usable.extend(ours.map(|key| (key.htlc, *preimage)));
        }
        for record in entry.concluded.iter().filter(|record| record.channel == index) {
            if let Conclusion::PreimageUsable { htlc, preimage } = &record.what {
                usable.insert(*htlc, *preimage);
            }
            let Conclusion::Released { htlc, outcome } = &record.what else { continue };
            let before = released.insert(*htlc, *outcome);
            match (before, outcome) {
                (None | Some(Upstream::Failed(_)), Upstream::Settled(_)) => {}
                (None, Upstream::Failed(why)) if usable.contains_key(htlc) => {
                    return violated("I4", format!("{htlc} was failed ({why:?}) although its preimage was usable"));
                }
                (None, Upstream::Failed(_)) => {}
                (Some(before), _) => return violated("I4", format!("{htlc}: {outcome:?} after {before:?}")),
            }
        }
    }
    Ok(())
}

/// I4: every HTLC that we sent, and that a commitment of the set had when the channel froze, has one outcome.
pub(crate) fn invariant_i4_every_htlc_has_an_outcome(
    owed: &BTreeSet<HtlcRef>,
    upstream: &BTreeMap<HtlcRef, Acknowledged>,
) -> Verdict {
    match owed.iter().find(|htlc| !upstream.contains_key(htlc)) {
        Some(htlc) => violated("I4", format!("{htlc} never had an outcome")),
        None => Ok(()),
    }
}

/// I4, R6: an HTLC does not fail after the chain has shown its preimage below the channel's close. Returns how many HTLCs
/// were settled after that.
pub(crate) fn invariant_i4_what_was_shown_is_not_failed(
    frames: &[Frame],
    index: ChannelIndex,
    funding: OutPoint,
    hashes: &BTreeMap<HtlcRef, PaymentHash>,
) -> Result<u64, Violation> {
    let (mut closes, mut shown, mut settled) = (BTreeSet::new(), BTreeSet::new(), 0);
    for entry in frames.iter().flat_map(|frame| &frame.entries) {
        if let Event::BlockConnected(block) = &entry.heard {
            for tx in &block.txs {
                if tx.input.iter().any(|input| input.previous_output == funding) {
                    closes.insert(tx.compute_txid());
                }
                let below = tx.input.iter().filter(|input| closes.contains(&input.previous_output.txid));
                let items = below.flat_map(|input| input.witness.iter());
                shown.extend(items.filter_map(|item| item.try_into().ok()).map(|item| Preimage(item).hash()));
            }
        }
        for record in entry.concluded.iter().filter(|record| record.channel == index) {
            let Conclusion::Released { htlc, outcome } = &record.what else { continue };
            match (outcome, hashes.get(htlc).is_some_and(|hash| shown.contains(hash))) {
                (Upstream::Failed(why), true) => {
                    return violated("I4", format!("{htlc} was failed ({why:?}); the chain had shown its preimage"));
                }
                (Upstream::Settled(_), true) => settled += 1,
                (Upstream::Failed(_) | Upstream::Settled(_), false) => {}
            }
        }
    }
    Ok(settled)
}

/// I4, R8: an HTLC of which a mempool showed the preimage is settled at once, or the node is slow to acknowledge it.
pub(crate) fn invariant_i4_what_a_mempool_shows_is_settled(htlc: HtlcRef, settled: bool) -> Verdict {
    if settled {
        Ok(())
    } else {
        violated("I4", format!("a mempool showed the preimage of {htlc}; it was not settled"))
    }
}

fn buried(height: u32, depth: u32, tip: u32) -> bool {
    tip >= height.saturating_add(depth).saturating_sub(1)
}

/// I5: no HTLC fails, except by a give-up, while a commitment that can confirm has an output of it that can still be
/// claimed.
pub(crate) fn invariant_i5_no_failure_while_it_can_be_claimed(
    chain: &Chain,
    tip: u32,
    channel: &SimChannel,
    policy: &Policy,
    htlc: HtlcRef,
) -> Verdict {
    let depth = policy.fail_depth(channel.plan.capacity_sat).get();
    let fixture = &channel.fixture;
    let output_on = |side, number| {
        let commitment = fixture.commitment(side, number).ok()?;
        let position = commitment.htlcs.iter().position(|other| other.key == htlc)?;
        commitment.htlc_output(position).ok().map(|(outpoint, _, _)| outpoint)
    };
    let live = channel.unrevoked().into_iter().find(|(side, number)| output_on(*side, *number).is_some());
    let spend = chain.spender_of(&fixture.setup().funding).filter(|(height, _, _)| *height <= tip);
    let Some((height, txid, _)) = spend else {
        return match live {
            Some(live) => violated("I5", format!("{htlc} failed at {tip}; {live:?} may confirm and has its output")),
            None => Ok(()),
        };
    };
    let close = chain.confirmed(&txid).and_then(|(_, tx)| fixture.recognise(tx).ok().flatten());
    let output = close.as_ref().and_then(|close| output_on(close.owner, close.number));
    let is_revoked = close.as_ref().is_some_and(|close| close.owner == Side::Remote && close.number < channel.remote);
    let is_buried = buried(height, depth, tip);
    if is_buried && is_revoked {
        return Ok(());
    }
    if !is_buried && (live.is_some() || output.is_some()) {
        return violated("I5", format!("{htlc} failed at {tip}; the close at {height} is not buried"));
    }
    let Some(output) = output else { return Ok(()) };
    match chain.spender_of(&output) {
        Some((spent, by, input)) if buried(spent, depth, tip) => {
            let preimage = chain.confirmed(&by).is_some_and(|(_, tx)| shows_preimage(channel, htlc, tx, input));
            if preimage {
                violated("I5", format!("{htlc} failed at {tip}, but {by} shows its preimage"))
            } else {
                Ok(())
            }
        }
        Some((spent, _, _)) => violated("I5", format!("{htlc} failed at {tip}; its spend at {spent} is not buried")),
        None => violated("I5", format!("{htlc} failed at {tip}; {output} is unspent")),
    }
}

/// I5: every failure by a give-up has a risk on record.
pub(crate) fn invariant_i5_every_give_up_has_a_risk_on_record(frames: &[Frame], index: ChannelIndex) -> Verdict {
    let records = || {
        let all = frames.iter().flat_map(|frame| &frame.entries).flat_map(|entry| &entry.concluded);
        all.filter(|record| record.channel == index).map(|record| &record.what)
    };
    for what in records() {
        let Conclusion::Released { htlc, outcome: Upstream::Failed(why) } = what else { continue };
        let risk = |notice: &Notice| matches!(notice, Notice::Alert(Alert::Risk { htlc: other, .. }) if other == htlc);
        let recorded = records().any(|what| matches!(what, Conclusion::Noticed(notice) if risk(notice)));
        if why.is_give_up() && !recorded {
            return violated("I5", format!("{htlc} was failed by {why:?}, and no risk is on record"));
        }
    }
    Ok(())
}

fn shows_preimage(channel: &SimChannel, htlc: HtlcRef, tx: &Transaction, input: usize) -> bool {
    let hash = channel.htlcs().find(|other| other.key == htlc).map(|htlc| htlc.payment_hash);
    let items = tx.input.get(input).into_iter().flat_map(|input| input.witness.iter());
    items.filter_map(|item| item.try_into().ok()).any(|item| Some(Preimage(item).hash()) == hash)
}

/// I12: every channel that left `Open` is resolved, and the court no longer has it.
pub(crate) fn invariant_i12_everything_ends(unresolved: &[(usize, String)]) -> Verdict {
    if unresolved.is_empty() { Ok(()) } else { violated("I12", format!("not resolved: {unresolved:?}")) }
}

/// I14, in part: an HTLC that was paid downstream is settled upstream, or a loss is on record; and no loss is on record for
/// an HTLC that was not paid.
pub(crate) fn invariant_i14_no_silent_loss_between_channels(paid: bool, settled: bool, recorded: bool) -> Verdict {
    match (paid, settled, recorded) {
        (true, false, false) => {
            violated("I14", "the downstream HTLC was paid, its upstream HTLC was not settled, and no loss is on record")
        }
        (false, _, true) => violated("I14", "a loss is reported, but the downstream HTLC was not paid"),
        (true, _, true) | (_, true, false) | (false, false, false) => Ok(()),
    }
}
