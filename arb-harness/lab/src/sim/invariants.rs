//! The invariants, one function each, named after the rule that it holds the court to. Each looks at values that are handed
//! to it and judges nothing else, so that a test can show it something wrong.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::bolt3::{PaymentHash, Preimage};
use arb_core::{
    Acknowledged, Action, Alert, ChainArbitrator, CloseKind, Conclusion, ContractId, ContractOutcome, ContractStatus,
    Docket, Event, Frame, HtlcKey, HtlcRef, Notice, Policy, Rejected, Sheet, Side, StageRecord, Upstream,
};
use bitcoin::{OutPoint, Transaction};

use super::Violation;
use super::lane::Lane;
use crate::chain::Chain;
use crate::check::check;

type Verdict = Result<(), Violation>;

fn violated<T>(invariant: &'static str, what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation::new(invariant, what))
}

/// I2: what is recovered is what was there.
pub(super) fn invariant_i2_recovery_equals_live(live: &ChainArbitrator, recovered: &ChainArbitrator) -> Verdict {
    if live.sequence() == recovered.sequence() && live != recovered {
        return violated("I2", format!("recovered at frame {}, the court is another one", live.sequence()));
    }
    if recovered.sequence() < live.sequence() {
        return violated("I2", format!("frame {} was lost", live.sequence()));
    }
    Ok(())
}

/// I2, I15: folding gives the live court; decided again, every event concludes the same.
pub(super) fn invariant_i2_replay_concludes_the_same(court: &ChainArbitrator, frames: &[Frame]) -> Verdict {
    check(court, frames).or_else(|failure| violated("I2", format!("{failure}: {failure:?}")))
}

/// What a run came to, as far as a run without faults must come to the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcomes {
    /// By channel: its number and each contract's end.
    pub(super) contracts: BTreeMap<(usize, ContractId), ContractOutcome>,
    /// What was done with each origin.
    pub(super) origins: BTreeMap<HtlcKey, Acknowledged>,
}

/// I3: crashes and failed writes change no outcome.
pub(super) fn invariant_i3_faults_change_no_outcome(with: &Outcomes, without: &Outcomes) -> Verdict {
    if with == without { Ok(()) } else { violated("I3", format!("with faults {with:?}; without {without:?}")) }
}

/// I4: what was released for an HTLC only rises, and never is a failure while a usable preimage is known.
pub(super) fn invariant_i4_outcomes_only_rise(
    frames: &[Frame],
    index: arb_core::ChannelIndex,
    channel: arb_core::ChannelId,
) -> Verdict {
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

/// I4: every HTLC that we sent and that a commitment of the set had when the channel froze has one outcome.
pub(super) fn invariant_i4_every_htlc_has_an_outcome(
    owed: &BTreeSet<HtlcRef>,
    origins: &BTreeMap<HtlcRef, Acknowledged>,
) -> Verdict {
    match owed.iter().find(|htlc| !origins.contains_key(htlc)) {
        Some(htlc) => violated("I4", format!("{htlc} never had an outcome")),
        None => Ok(()),
    }
}

/// I4, R6: a preimage that the chain has shown below a channel's close settles: its HTLC is not failed afterwards. How many
/// HTLCs were settled after it.
pub(super) fn invariant_i4_what_was_shown_is_not_failed(
    frames: &[Frame],
    index: arb_core::ChannelIndex,
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

fn buried(height: u32, depth: u32, tip: u32) -> bool {
    tip >= height.saturating_add(depth).saturating_sub(1)
}

/// I5: no failure, except by give-up, while a commitment that counts has an output that could still be claimed.
pub(super) fn invariant_i5_no_failure_while_it_can_be_claimed(
    chain: &Chain,
    tip: u32,
    lane: &Lane,
    policy: &Policy,
    htlc: HtlcRef,
) -> Verdict {
    let depth = policy.fail_depth(lane.plan.capacity_sat).get();
    let fixture = &lane.fixture;
    let output_on = |side, number| {
        let commitment = fixture.commitment(side, number).ok()?;
        let position = commitment.htlcs.iter().position(|other| other.key == htlc)?;
        commitment.htlc_output(position).ok().map(|(outpoint, _, _)| outpoint)
    };
    let live = lane.unrevoked().into_iter().find(|(side, number)| output_on(*side, *number).is_some());
    let spend = chain.spender_of(&fixture.setup().funding).filter(|(height, _, _)| *height <= tip);
    let Some((height, txid, _)) = spend else {
        return match live {
            Some(live) => violated("I5", format!("{htlc} failed at {tip}; {live:?} may confirm and has its output")),
            None => Ok(()),
        };
    };
    let close = chain.confirmed(&txid).and_then(|(_, tx)| fixture.recognise(tx).ok().flatten());
    let output = close.as_ref().and_then(|close| output_on(close.owner, close.number));
    let is_revoked = close.as_ref().is_some_and(|close| close.owner == Side::Remote && close.number < lane.remote);
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
            let preimage = chain.confirmed(&by).is_some_and(|(_, tx)| shows_preimage(lane, htlc, tx, input));
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

/// I5: a failure that is a wager stands beside a record of the risk.
pub(super) fn invariant_i5_every_wager_is_recorded(frames: &[Frame], index: arb_core::ChannelIndex) -> Verdict {
    let records = || {
        let all = frames.iter().flat_map(|frame| &frame.entries).flat_map(|entry| &entry.concluded);
        all.filter(|record| record.channel == index).map(|record| &record.what)
    };
    for what in records() {
        let Conclusion::Released { htlc, outcome: Upstream::Failed(why) } = what else { continue };
        let risk = |notice: &Notice| matches!(notice, Notice::Alert(Alert::Risk { htlc: other, .. }) if other == htlc);
        let recorded = records().any(|what| matches!(what, Conclusion::Noticed(notice) if risk(notice)));
        if why.is_give_up() && !recorded {
            return violated("I5", format!("{htlc} was failed by {why:?}, and nobody says that it is a wager"));
        }
    }
    Ok(())
}

fn shows_preimage(lane: &Lane, htlc: HtlcRef, tx: &Transaction, input: usize) -> bool {
    let hash = lane.htlcs().find(|other| other.key == htlc).map(|htlc| htlc.payment_hash);
    let items = tx.input.get(input).into_iter().flat_map(|input| input.witness.iter());
    items.filter_map(|item| item.try_into().ok()).any(|item| Some(Preimage(item).hash()) == hash)
}

/// I6: blocks that leave and come back leave no mark on what follows from them.
pub(super) fn invariant_i6_the_same_blocks_give_the_same_docket(before: &[Docket], after: &[Docket]) -> Verdict {
    let of = |dockets: &[Docket]| -> Vec<(arb_core::Stage, Vec<ContractStatus>)> {
        dockets.iter().map(|docket| (docket.stage, docket.contracts.clone())).collect()
    };
    if of(before) == of(after) {
        return Ok(());
    }
    violated("I6", format!("before the reorg {:?}; after it {:?}", of(before), of(after)))
}

/// I7: nothing that is sent spends what the court has seen spent.
pub(super) fn invariant_i7_no_sweep_spends_the_spent(chain: &Chain, tip: u32, tx: &Transaction) -> Verdict {
    for input in &tx.input {
        let spent = chain.spender_of(&input.previous_output).filter(|(height, _, _)| *height <= tip);
        if let Some((height, by, _)) = spent {
            let (txid, outpoint) = (tx.compute_txid(), input.previous_output);
            return violated("I7", format!("{txid} is sent at {tip}; {by} spent {outpoint} at {height}"));
        }
    }
    Ok(())
}

/// I7: every output that can be claimed has something under way, or a reason why not. `below` names the confirmed spend of
/// an output: what is claimed then is the second level.
pub(super) fn invariant_i7_claims_are_live(
    docket: &Docket,
    due: &[Action],
    below: impl Fn(&OutPoint) -> Option<OutPoint>,
    excused: impl FnOnce() -> BTreeSet<OutPoint>,
) -> Verdict {
    let wanted = docket.contracts.iter().filter(|contract| contract.stage == StageRecord::ClaimWanted);
    let outpoints = wanted.filter_map(|contract| match contract.id {
        ContractId::Output(outpoint) => Some(below(&outpoint).unwrap_or(outpoint)),
        ContractId::NoOutput(_) => None,
    });
    let idle: Vec<OutPoint> =
        outpoints.filter(|outpoint| !due.iter().any(|action| concerns(action, outpoint))).collect();
    if idle.is_empty() {
        return Ok(());
    }
    let excused = excused();
    match idle.iter().find(|outpoint| !excused.contains(outpoint)) {
        Some(outpoint) => {
            violated("I7", format!("{outpoint} can be claimed; nothing is due, and no reason is recorded"))
        }
        None => Ok(()),
    }
}

/// Whether an action is on its way to claim an output.
fn concerns(action: &Action, outpoint: &OutPoint) -> bool {
    let spends = |tx: &Transaction| tx.input.iter().any(|input| input.previous_output == *outpoint);
    match action {
        Action::Broadcast { txs, .. } => txs.iter().any(spends),
        Action::Sign(request) => spends(&request.tx),
        Action::RequestFeeInputs { owner, .. } => owner == outpoint,
        Action::RequestScripts { .. } => true,
        Action::SearchSpends { .. }
        | Action::HoldFeeInputs { .. }
        | Action::ReleaseFeeInputs { .. }
        | Action::FreezeChannel { .. }
        | Action::SettleUpstream { .. }
        | Action::FailUpstream { .. }
        | Action::AskForPreimage { .. }
        | Action::LoadRevoked { .. }
        | Action::Alert { .. }
        | Action::ReportOutcome { .. }
        | Action::ChannelResolved { .. } => false,
    }
}

/// I10: of our commitments only the newest is ever signed or sent.
pub(super) fn invariant_i10_only_our_newest_commitment(lane: &Lane, tx: &Transaction) -> Verdict {
    match lane.fixture.recognise(tx).ok().flatten() {
        Some(commitment) if commitment.owner == Side::Local && commitment.number == lane.local => Ok(()),
        Some(commitment) if commitment.owner == Side::Local && lane.arriving && commitment.number == lane.local + 1 => {
            Ok(())
        }
        Some(commitment) => violated(
            "I10",
            format!(
                "{:?} commitment {} is signed or sent; ours is {}",
                commitment.owner, commitment.number, lane.local
            ),
        ),
        None => violated("I10", format!("{} spends the funding and is no commitment", tx.compute_txid())),
    }
}

/// I11: the court's sheet balances, and is what the chain says.
pub(super) fn invariant_i11_every_satoshi_is_accounted_for(
    court: &Sheet,
    oracle: Option<&Sheet>,
    close: CloseKind,
) -> Verdict {
    if !court.balances() {
        return violated("I11", format!("the sheet of a {close:?} close does not balance: {court:?}"));
    }
    let Some(oracle) = oracle else { return Ok(()) };
    let merged = |sheet: &Sheet| Sheet {
        peer_sat: sheet.peer_sat + sheet.contested_unclaimed_sat + sheet.lost_sat,
        contested_unclaimed_sat: 0,
        lost_sat: 0,
        ..*sheet
    };
    let same = match close {
        // Of a commitment that the court has no record of it cannot know whose an unspent output is, nor which of two HTLCs
        // of one hash and amount a spent one was: it may overstate what was lost, never hide it.
        CloseKind::Unknown => merged(oracle) == merged(court) && court.lost_sat >= oracle.lost_sat,
        CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending | CloseKind::Revoked | CloseKind::Mutual => {
            oracle == court
        }
    };
    if !same {
        return violated("I11", format!("a {close:?} close: the court says {court:?}; the chain says {oracle:?}"));
    }
    Ok(())
}

/// I12: every channel that left `Open` is resolved and gone.
pub(super) fn invariant_i12_everything_ends(unresolved: &[(usize, String)]) -> Verdict {
    if unresolved.is_empty() { Ok(()) } else { violated("I12", format!("not resolved: {unresolved:?}")) }
}

/// I14, in part: over linked HTLCs never downstream paid and upstream not, without a record of the loss; and none without.
pub(super) fn invariant_i14_no_silent_loss_between_channels(paid: bool, settled: bool, recorded: bool) -> Verdict {
    match (paid, settled, recorded) {
        (true, false, false) => {
            violated("I14", "the downstream HTLC was paid, its origin was not settled, and nobody says so")
        }
        (false, _, true) => violated("I14", "a loss is reported, but the downstream HTLC was not paid"),
        (true, _, true) | (_, true, false) | (false, false, false) => Ok(()),
    }
}

/// A well-behaved outside is refused only for being late. After a write that was durable and reported failed the same blocks
/// are heard again, and all but the last are behind the tip by then.
pub(super) fn refusals_are_expected(why: &Rejected, heard_again: bool) -> Verdict {
    if heard_again && matches!(why, Rejected::HeightGap { .. } | Rejected::NotTheTip { .. }) {
        return Ok(());
    }
    let late = matches!(
        why,
        Rejected::Frozen(_)
            | Rejected::UnknownHtlc(_)
            | Rejected::UnknownChannel(_)
            | Rejected::UnknownRequest(_)
            | Rejected::UnknownUpstream(_)
    );
    if late { Ok(()) } else { violated("refusal", why.to_string()) }
}
