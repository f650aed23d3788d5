//! A planted violation for each invariant: it proves that the check can fail.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::bolt3::Preimage;
use arb_core::sweep::{Branch, Declined, FeeInputs, Plan, Reason};
use arb_core::{
    Acknowledged, Block, ChainArbitrator, ChannelId, ChannelIndex, CloseKind, Conclusion, ContractId, ContractKind,
    ContractOutcome, ContractStatus, Disconnected, Docket, Entry, Event, FailReason, Frame, Height, Htlc, HtlcKey,
    HtlcRef, JournalIdentity, Link, Policy, Record, Rejected, Sheet, Side, Stage, StageRecord, Sweep, Upstream,
};
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, BlockHash, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Txid};

use super::actions::*;
use super::journal::Excuses;
use super::outcomes::*;
use super::prices::invariant_i8_prices_rise_and_budgets_hold;
use super::recovery::*;
use super::sheet::*;
use super::stakes::{AtStake, PenaltyOutput};
use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::channel::{Change, Message};

const INDEX: ChannelIndex = ChannelIndex::new(0);
const CHANNEL: ChannelId = ChannelId([1; 32]);
const HTLC: HtlcRef = HtlcRef::offered(0);

fn name<T>(verdict: Result<T, Violation>) -> Option<&'static str> {
    verdict.err().map(|violation| violation.invariant)
}

fn frames(heard: Event, concluded: Vec<Conclusion>) -> Vec<Frame> {
    let concluded = concluded.into_iter().map(|what| Record { channel: INDEX, what }).collect();
    vec![Frame { sequence: 1, entries: vec![Entry { heard, concluded }] }]
}

fn nothing_heard() -> Event {
    Event::ChannelForgotten { channel: CHANNEL }
}

fn failed(why: FailReason) -> Conclusion {
    Conclusion::Released { htlc: HTLC, outcome: Upstream::Failed(why) }
}

fn settled() -> Conclusion {
    Conclusion::Released { htlc: HTLC, outcome: Upstream::Settled(Preimage([7; 32])) }
}

/// A world with a channel whose unrevoked commitments all have an HTLC that we sent.
fn world() -> World {
    let mut world = World::fair(5);
    world.open().ok().unwrap();
    let key = world.channels[0].next_id(Side::Local);
    let payment_hash = Preimage([7; 32]).hash();
    let cltv_expiry = Height::new(1_100);
    let htlc = Htlc { key, amount_msat: 50_000_000, payment_hash, cltv_expiry, link: Link::Own, tag: Vec::new() };
    world.channels[0].propose(Side::Local, Change::Add(htlc));
    for message in [Message::RemoteSigned, Message::RemoteRevoked, Message::LocalSigned] {
        assert_eq!(world.exchange(0, message).ok(), Some(true));
    }
    world
}

fn docket(stage: StageRecord) -> Docket {
    let contract = ContractStatus {
        id: ContractId::Output(OutPoint::null()),
        kind: ContractKind::ToLocal,
        htlc: None,
        amount_sat: 1,
        resolvers: Vec::new(),
        stage,
        next_output: None,
        declined: None,
    };
    let stage = Stage::Resolving(CloseKind::Local);
    let (sweeps, coins_wanted) = (Vec::new(), Vec::new());
    Docket { stage, limbo_sat: 1, contracts: vec![contract], sweeps, coins_wanted, alerts: Vec::new(), alarm: None }
}

#[test]
fn i2_a_court_that_forgot_or_dreamt() {
    let court = |journal: u8| {
        let world = World::fair(5);
        let identity = JournalIdentity { journal: [journal; 32], ..world.process.identity };
        let mut court = ChainArbitrator::new();
        court.fold(&frames(Event::JournalOpened(identity), Vec::new())[0]).unwrap();
        court
    };
    let live = court(1);
    assert_eq!(name(invariant_i2_recovery_equals_live(&live, &court(1))), None);
    assert_eq!(name(invariant_i2_recovery_equals_live(&live, &court(2))), Some("I2"));
    assert_eq!(name(invariant_i2_recovery_equals_live(&live, &ChainArbitrator::new())), Some("I2"));
    assert_eq!(name(invariant_i2_replay_concludes_the_same(&live, &[])), Some("I2"));
}

#[test]
fn i3_another_outcome_with_faults() {
    let without = Outcomes::default();
    let mut with = without.clone();
    assert_eq!(invariant_i3_faults_change_no_outcome(&with, &without), Ok(true));
    with.contracts.insert((0, ContractId::NoOutput(HTLC)), ContractOutcome::Lost);
    assert_eq!(name(invariant_i3_faults_change_no_outcome(&with, &without)), Some("I3"));
    with.contracts.clear();
    with.upstream.insert(HtlcKey { channel: CHANNEL, htlc: HTLC }, Acknowledged::Failed);
    assert_eq!(name(invariant_i3_faults_change_no_outcome(&with, &without)), Some("I3"));
}

#[test]
fn i3_another_close_unless_both_sides_had_sent_theirs() {
    let close = |height, tx: u8, was_a_race| Close { height, txid: Txid::from_byte_array([tx; 32]), was_a_race };
    let run = |closes: &[(usize, Close)]| Outcomes { closes: closes.iter().cloned().collect(), ..Outcomes::default() };
    let judge = |with: &Outcomes, without: &Outcomes| invariant_i3_faults_change_no_outcome(with, without);
    let is_i3 = |verdict: Result<bool, Violation>| verdict.is_err_and(|why| why.invariant == "I3");
    assert_eq!(judge(&run(&[(0, close(5, 1, true))]), &run(&[(0, close(9, 1, true))])), Ok(true));
    assert_eq!(judge(&run(&[(0, close(5, 1, true))]), &run(&[(0, close(5, 2, true))])), Ok(false));
    assert!(is_i3(judge(&run(&[(0, close(5, 1, true))]), &run(&[(0, close(5, 2, false))]))));
    assert!(is_i3(judge(&run(&[(0, close(5, 1, true))]), &run(&[]))));
    // What differs after a race is excused by it, and not what differs before.
    let race = |height| [(1, close(height, 1, true)), (0, close(5, 1, false))];
    let other = |height| [(1, close(height, 2, true)), (0, close(5, 2, false))];
    assert_eq!(judge(&run(&race(4)), &run(&other(6))), Ok(false));
    assert!(is_i3(judge(&run(&race(6)), &run(&other(7)))));
    // Without a race equal closes excuse nothing.
    let mut with = run(&[(0, close(5, 1, true))]);
    let without = with.clone();
    with.contracts.insert((0, ContractId::NoOutput(HTLC)), ContractOutcome::Lost);
    assert!(is_i3(judge(&with, &without)));
}

#[test]
fn i4_a_failure_with_a_preimage_or_after_an_outcome() {
    let timed_out = || failed(FailReason::TimedOut);
    let rise = |frames: &[Frame]| name(invariant_i4_outcomes_only_rise(frames, INDEX, CHANNEL));
    assert_eq!(rise(&frames(nothing_heard(), vec![timed_out(), settled()])), None);
    assert_eq!(rise(&frames(nothing_heard(), vec![timed_out(), timed_out()])), Some("I4"));
    assert_eq!(rise(&frames(nothing_heard(), vec![settled(), timed_out()])), Some("I4"));
    assert_eq!(rise(&frames(nothing_heard(), vec![settled(), settled()])), Some("I4"));
    let usable = Conclusion::PreimageUsable { htlc: HTLC, preimage: Preimage([7; 32]) };
    assert_eq!(rise(&frames(nothing_heard(), vec![usable, timed_out()])), Some("I4"));
    let usable_for = vec![HtlcKey { channel: CHANNEL, htlc: HTLC }];
    let learnt = Event::PreimageLearned { preimage: Preimage([7; 32]), usable_for };
    assert_eq!(rise(&frames(learnt, vec![timed_out()])), Some("I4"));
    let owed = BTreeSet::from([HTLC]);
    let upstream = BTreeMap::from([(HTLC, Acknowledged::Failed)]);
    assert_eq!(name(invariant_i4_every_htlc_has_an_outcome(&owed, &upstream)), None);
    assert_eq!(name(invariant_i4_every_htlc_has_an_outcome(&owed, &BTreeMap::new())), Some("I4"));
}

#[test]
fn i4_a_preimage_in_a_mempool_that_settles_nothing() {
    assert_eq!(name(invariant_i4_what_a_mempool_shows_is_settled(HTLC, false)), Some("I4"));
    assert_eq!(name(invariant_i4_what_a_mempool_shows_is_settled(HTLC, true)), None);
}

#[test]
fn i4_a_failure_after_the_chain_showed_its_preimage() {
    let funding = OutPoint::new(Txid::all_zeros(), 5);
    let tx = |previous_output, item: &[u8]| {
        let witness = bitcoin::Witness::from_slice(&[item]);
        let input = vec![TxIn { previous_output, witness, ..TxIn::default() }];
        Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input, output: Vec::new() }
    };
    let close = tx(funding, &[0; 71]);
    let claim = tx(OutPoint::new(close.compute_txid(), 0), &[7; 32]);
    let hashes = BTreeMap::from([(HTLC, Preimage([7; 32]).hash())]);
    let verdict = |txs: &[&Transaction], outcome: Conclusion| {
        let heard = block_with(97, txs.iter().copied().cloned().collect());
        let frames = frames(heard, vec![outcome]);
        invariant_i4_what_was_shown_is_not_failed(&frames, INDEX, funding, &hashes).map_err(|why| why.invariant)
    };
    let revoked = || failed(FailReason::Revoked);
    assert_eq!(verdict(&[&close], revoked()), Ok(0), "nothing was shown");
    assert_eq!(verdict(&[&claim], revoked()), Ok(0), "it is not below the close");
    assert_eq!(verdict(&[&close, &claim], revoked()), Err("I4"));
    assert_eq!(verdict(&[&close, &claim], settled()), Ok(1));
}

/// A world in which a cheating peer got everything: a revoked commitment, its HTLC with the preimage, and the second-level
/// output.
fn world_with_a_stolen_htlc() -> World {
    let mut world = world();
    assert!(world.channels[0].propose_end(HTLC, false));
    for message in [Message::LocalSigned, Message::RemoteSigned, Message::RemoteRevoked] {
        assert_eq!(world.exchange(0, message).ok(), Some(true));
    }
    let tx = world.channels[0].fixture.remote_commitment_tx(1).unwrap();
    world.chain.mine_txs(vec![tx]).unwrap();
    let plan = world.channels[0].peer.plan_mut();
    (plan.claims, plan.sweeps) = (true, true);
    plan.preimages.insert(Preimage([7; 32]), 0);
    for _ in 0..70 {
        for tx in world.peer_acts(0).ok().unwrap() {
            world.chain.submit(tx).unwrap();
        }
        world.chain.mine();
    }
    world
}

#[test]
fn i14_what_a_cheat_has_is_lost_unless_we_had_no_chance() {
    let mut world = world_with_a_stolen_htlc();
    let kept_out = world.measure(0).ok().unwrap();
    assert_eq!((kept_out.kind, kept_out.lost_sat), (CloseKind::Revoked, 0));
    assert!(kept_out.kept_out_sat > 50_000, "{kept_out:?}");
    // Our own balance is still unspent; the HTLC and the peer's balance are lost.
    let stolen_sat = kept_out.sheet.unwrap().lost_sat;
    assert!(stolen_sat > 50_000 && stolen_sat < kept_out.kept_out_sat, "{stolen_sat}");
    world.seen.fair_blocks = (1_000..1_200).collect();
    let lost = world.measure(0).ok().unwrap();
    assert_eq!((lost.lost_sat, lost.kept_out_sat), (kept_out.kept_out_sat, 0));
    // An HTLC that was paid downstream needs a settlement upstream or a loss on record, unless it had an outcome before.
    world.channels[0].measured = Some(lost);
    assert_eq!(name(world.links()), None);
    world.channels[0].owed.insert(HTLC);
    assert_eq!(name(world.links()), Some("I14"));
}

#[test]
fn i5_a_failure_while_an_output_can_be_claimed() {
    let mut world = world();
    let policy = Policy::default();
    let verdict = |world: &World| {
        let (tip, _) = world.chain.tip();
        name(invariant_i5_no_failure_while_it_can_be_claimed(&world.chain, tip, &world.channels[0], &policy, HTLC))
    };
    assert_eq!(verdict(&world), Some("I5"), "a commitment with its output may confirm");
    let (remote, height) = (world.channels[0].remote, world.height());
    let tx = world.channels[0].fixture.remote_commitment_tx(remote).unwrap();
    world.chain.mine_txs(vec![tx]).unwrap();
    assert_eq!(world.height(), height + 1);
    assert_eq!(verdict(&world), Some("I5"), "the close is not buried");
    (0..10).for_each(|_| drop(world.chain.mine()));
    assert_eq!(verdict(&world), Some("I5"), "its output is unspent");
    let wager = || failed(FailReason::GivenUpForUpstream);
    let recorded = |frames: &[Frame]| name(invariant_i5_every_give_up_has_a_risk_on_record(frames, INDEX));
    assert_eq!(recorded(&frames(nothing_heard(), vec![failed(FailReason::TimedOut)])), None);
    assert_eq!(recorded(&frames(nothing_heard(), vec![wager()])), Some("I5"));
}

#[test]
fn i6_another_docket_after_the_same_blocks() {
    let before = [docket(StageRecord::ClaimWanted)];
    assert_eq!(name(invariant_i6_the_same_blocks_give_the_same_docket(&before, &before)), None);
    let after = [docket(StageRecord::Waiting { until: Height::new(7) })];
    assert_eq!(name(invariant_i6_the_same_blocks_give_the_same_docket(&before, &after)), Some("I6"));
}

#[test]
fn i7_a_sweep_of_what_is_spent_and_a_claim_that_nobody_makes() {
    let mut world = world();
    let tx = world.channels[0].fixture.local_commitment_tx(1).unwrap();
    let tip = world.height();
    assert_eq!(name(invariant_i7_no_sweep_spends_the_spent(&world.chain, tip, &tx)), None);
    world.chain.mine_txs(vec![tx.clone()]).unwrap();
    assert_eq!(name(invariant_i7_no_sweep_spends_the_spent(&world.chain, tip, &tx)), None, "not seen yet");
    assert_eq!(name(invariant_i7_no_sweep_spends_the_spent(&world.chain, tip + 1, &tx)), Some("I7"));
    let live = |uneconomic: BTreeSet<OutPoint>, stage| {
        name(invariant_i7_claims_are_live(&docket(stage), &[], |_| None, |outpoint| uneconomic.contains(outpoint)))
    };
    assert_eq!(live(BTreeSet::new(), StageRecord::ClaimWanted), Some("I7"));
    assert_eq!(live(BTreeSet::from([OutPoint::null()]), StageRecord::ClaimWanted), None);
    assert_eq!(live(BTreeSet::new(), StageRecord::Spent { until: Height::new(7) }), None);
}

/// A sweep of these outputs, 10,000 sat each, with this feerate wanted (sat per kw) and this fee.
pub(super) fn planned(members: &[OutPoint], wanted_sat_per_kw: u32, fee_sat: u64) -> Conclusion {
    let count = u64::try_from(members.len()).unwrap();
    let value = Amount::from_sat(count * 10_000 - fee_sat);
    let output = vec![TxOut { value, script_pubkey: ScriptBuf::new() }];
    let (version, lock_time) = (Version::TWO, LockTime::ZERO);
    let tx = Transaction { version, lock_time, input: Vec::new(), output };
    let plan = Plan {
        group: 0,
        members: members.to_vec(),
        fee_inputs: FeeInputs::default(),
        wanted_sat_per_kw,
        feerate_sat_per_kw: wanted_sat_per_kw.min(u32::try_from(fee_sat * 2).unwrap()),
        fee_sat,
        limit: None,
        reason: Reason {
            outpoint: members.first().copied().unwrap_or_default(),
            branch: Branch::Estimate,
            deadline: None,
            budget_sat: 10_000,
            at_stake_sat: 10_000,
            estimate_sat_per_kw: wanted_sat_per_kw,
            estimate_age: None,
        },
    };
    Conclusion::SweepPlanned(Box::new(Sweep { plan, tx }))
}

fn block_with(height: u32, txs: Vec<Transaction>) -> Event {
    let (hash, parent) = (BlockHash::all_zeros(), BlockHash::all_zeros());
    let (height, best_height) = (Height::new(height), Height::new(height));
    Event::BlockConnected(Box::new(Block { height, hash, parent, best_height, txs }))
}

fn block_at(height: u32) -> Event {
    block_with(height, Vec::new())
}

fn block_left(height: u32) -> Event {
    let (hash, parent) = (BlockHash::all_zeros(), BlockHash::all_zeros());
    let (height, best_height) = (Height::new(height), Height::new(height));
    Event::BlockDisconnected(Disconnected { height, hash, parent, best_height })
}

/// A commitment with the fields that I8 reads, and an HTLC output of it.
fn commitment_with_htlc() -> (Transaction, OutPoint) {
    let (version, lock_time) = (Version::TWO, LockTime::ZERO);
    let tx = Transaction { version, lock_time, input: Vec::new(), output: Vec::new() };
    let outpoint = OutPoint::new(tx.compute_txid(), 7);
    (tx, outpoint)
}

#[test]
fn i7_what_is_no_excuse() {
    let outpoint = OutPoint::new(Txid::all_zeros(), 3);
    let excuses = |then: Event, what: Conclusion| {
        let mut all = frames(block_at(98), vec![planned(&[outpoint], 500, 250), what]);
        all.extend(frames(then, Vec::new()));
        let mut excuses = Excuses::default();
        all.iter().for_each(|frame| excuses.add(frame));
        excuses.has(&outpoint)
    };
    let dropped = |pauses| Conclusion::SweepDropped { group: 0, pauses };
    let why = Declined { least_sat_per_kw: 253, cost_sat: 300, budget_sat: 200 };
    assert!(excuses(block_at(99), Conclusion::Uneconomic { outpoint, why }));
    assert!(excuses(nothing_heard(), dropped(true)), "other coins are asked for in the next block");
    assert!(!excuses(block_at(99), dropped(true)), "and this is the next block");
    assert!(!excuses(nothing_heard(), dropped(false)));
}

#[test]
fn i8_a_price_that_falls_a_budget_that_is_exceeded_and_too_little_too_late() {
    let (policy, (commitment, outpoint)) = (Policy::default(), commitment_with_htlc());
    let at_stake = AtStake { htlcs: BTreeMap::from([(outpoint, (10_000, Some(101)))]), ..AtStake::default() };
    let verdict = |steps: Vec<(Event, Vec<Conclusion>)>| {
        let closed = (block_with(97, vec![commitment.clone()]), Vec::new());
        let steps = [closed].into_iter().chain(steps);
        let frames: Vec<Frame> = steps.flat_map(|(heard, concluded)| frames(heard, concluded)).collect();
        name(invariant_i8_prices_rise_and_budgets_hold(&frames, INDEX, &at_stake, &policy))
    };
    let at = |height, wanted, fee| (block_at(height), vec![planned(&[outpoint], wanted, fee)]);
    assert_eq!(verdict(vec![at(98, 500, 250), at(99, 900, 450), at(100, 10_000, 5_000), at(101, 10_000, 5_000)]), None);
    assert_eq!(verdict(vec![at(98, 500, 250), at(99, 499, 249)]), Some("I8"), "the price falls");
    assert_eq!(verdict(vec![at(98, 20_000, 5_001)]), Some("I8"), "more than half of it goes to fees");
    // One block before the deadline the rest of the budget is not on offer.
    assert_eq!(verdict(vec![at(98, 500, 250), at(100, 8_000, 4_000), (block_at(101), Vec::new())]), Some("I8"));
    // A40: first wanted when its deadline was over, and all is on offer six blocks later.
    let late = |blocks| {
        let then = (102..=blocks).map(|height| (block_at(height), Vec::new()));
        verdict([at(101, 500, 250)].into_iter().chain(then).collect())
    };
    assert_eq!((late(107), late(108)), (None, Some("I8")));
    let dropped = Conclusion::SweepDropped { group: 0, pauses: false };
    let drop_it = (block_at(100), vec![dropped]);
    assert_eq!(verdict(vec![at(98, 500, 250), drop_it, (block_at(101), Vec::new())]), None, "nothing is planned");
    let more_than_wanted = |mut planned: Conclusion| {
        let Conclusion::SweepPlanned(sweep) = &mut planned else { return planned };
        sweep.plan.feerate_sat_per_kw = sweep.plan.wanted_sat_per_kw + 1;
        planned
    };
    let step = (block_at(98), vec![more_than_wanted(planned(&[outpoint], 500, 250))]);
    assert_eq!(verdict(vec![step]), Some("I8"), "more is offered than anybody wants");
}

#[test]
fn i8_a_claim_is_due_while_its_commitment_is_there_and_its_output_is_not_spent() {
    let (policy, (commitment, outpoint)) = (Policy::default(), commitment_with_htlc());
    let at_stake = AtStake { htlcs: BTreeMap::from([(outpoint, (10_000, Some(101)))]), ..AtStake::default() };
    let verdict = |steps: &[Event]| {
        let mut frames = frames(block_with(97, vec![commitment.clone()]), vec![planned(&[outpoint], 500, 250)]);
        frames.extend(steps.iter().flat_map(|heard| self::frames(heard.clone(), Vec::new())));
        name(invariant_i8_prices_rise_and_budgets_hold(&frames, INDEX, &at_stake, &policy))
    };
    let input = vec![TxIn { previous_output: outpoint, ..TxIn::default() }];
    let spend = Transaction { input, ..commitment.clone() };
    let blocks = |heights: std::ops::RangeInclusive<u32>| heights.map(block_at);
    let after = |first: &[Event], heights| -> Vec<Event> { first.iter().cloned().chain(blocks(heights)).collect() };
    let closed = |height| block_with(height, vec![commitment.clone()]);
    let spent = |height| block_with(height, vec![spend.clone()]);
    assert_eq!(verdict(&after(&[], 98..=100)), None, "there is time");
    assert_eq!(verdict(&after(&[], 98..=101)), Some("I8"), "there is none");
    assert_eq!(verdict(&after(&[block_left(97)], 97..=103)), None, "another close took the place of this one");
    assert_eq!(verdict(&after(&[block_left(97), closed(97)], 98..=101)), Some("I8"), "it is back");
    assert_eq!(verdict(&after(&[block_left(97), block_at(97), closed(98)], 99..=101)), Some("I8"), "it is back later");
    assert_eq!(verdict(&after(&[spent(98), block_left(98)], 98..=101)), Some("I8"), "the spend is gone");
    assert_eq!(verdict(&after(&[spent(98), block_left(98), spent(98)], 99..=103)), None, "it is spent");
}

#[test]
fn i8_a_penalty_that_costs_too_much_too_soon_or_offers_too_little_too_late() {
    let (policy, (commitment, outpoint)) = (Policy::default(), commitment_with_htlc());
    let at_stake = |htlc| {
        let penalties = BTreeMap::from([(outpoint, PenaltyOutput { amount_sat: 10_000, htlc })]);
        AtStake { penalties, delay_blocks: 40, ..AtStake::default() }
    };
    let verdict = |htlc, mut steps: Vec<(Event, Vec<Conclusion>)>| {
        // Offers are checked before the block after them.
        let Some((Event::BlockConnected(last), _)) = steps.last() else { panic!() };
        let before = last.height.get() - 1;
        steps.insert(steps.len() - 1, (block_at(before), Vec::new()));
        let closed = (block_with(97, vec![commitment.clone()]), Vec::new());
        let steps = [closed].into_iter().chain(steps);
        let frames: Vec<Frame> = steps.flat_map(|(heard, concluded)| frames(heard, concluded)).collect();
        name(invariant_i8_prices_rise_and_budgets_hold(&frames, INDEX, &at_stake(htlc), &policy))
    };
    let at = |height, fee: u64| {
        let wanted = u32::try_from(fee).unwrap() * 2;
        (block_at(height), vec![planned(&[outpoint], wanted, fee)])
    };
    // The peer's delay is over at 136.
    assert_eq!(verdict(None, vec![at(98, 5_000), at(118, 9_000), at(135, 9_670), at(137, 9_670)]), None);
    assert_eq!(verdict(None, vec![at(117, 5_001)]), Some("I8"), "more than half, and there is time");
    assert_eq!(verdict(None, vec![at(98, 5_000), at(136, 9_670)]), Some("I8"), "half of it, and there is none");
    // The peer's HTLC transaction comes first, and waits for an expiry before that.
    assert_eq!(verdict(Some(0), vec![at(98, 5_000), at(136, 9_670)]), None);
    assert_eq!(verdict(Some(0), vec![at(98, 5_000), at(137, 9_670)]), Some("I8"));
    assert_eq!(verdict(Some(120), vec![at(98, 5_000), at(140, 5_000)]), None, "there is time until 160");
    let witness = bitcoin::Witness::from_slice(&[[0_u8; 1]; 5]);
    let input = vec![TxIn { previous_output: outpoint, witness, ..TxIn::default() }];
    let output = vec![TxOut { value: Amount::from_sat(9_000), script_pubkey: ScriptBuf::new() }];
    let second = Transaction { input, output, ..commitment.clone() };
    let left = OutPoint::new(second.compute_txid(), 0);
    let taken = || (block_with(100, vec![second.clone()]), vec![planned(&[left], 9_000, 4_500)]);
    assert_eq!(verdict(Some(0), vec![taken(), at(138, 5_000)]), None, "the delay begins anew at 100");
    assert_eq!(verdict(Some(0), vec![taken(), at(139, 5_000)]), Some("I8"));
}

#[test]
fn i10_a_commitment_that_is_not_our_newest() {
    let world = world();
    let channel = &world.channels[0];
    let ours = |number| channel.fixture.local_commitment_tx(number).unwrap();
    assert_eq!(name(invariant_i10_only_our_newest_commitment(channel, &ours(1))), None);
    assert_eq!(name(invariant_i10_only_our_newest_commitment(channel, &ours(0))), Some("I10"));
    let theirs = channel.fixture.remote_commitment_tx(1).unwrap();
    assert_eq!(name(invariant_i10_only_our_newest_commitment(channel, &theirs)), Some("I10"));
    let previous_output = channel.fixture.setup().funding;
    let foreign = Transaction { input: vec![TxIn { previous_output, ..TxIn::default() }], ..ours(1) };
    assert_eq!(name(invariant_i10_only_our_newest_commitment(channel, &foreign)), Some("I10"));
}

#[test]
fn i11_a_satoshi_that_nobody_has() {
    let sheet = Sheet { capacity_sat: 10, swept_sat: 6, peer_sat: 4, ..Sheet::default() };
    let other = Sheet { swept_sat: 5, lost_sat: 1, ..sheet };
    let verdict = |court: &Sheet, measured: &Sheet, kind| {
        name(invariant_i11_every_satoshi_is_accounted_for(court, Some(measured), kind))
    };
    assert_eq!(verdict(&sheet, &sheet, CloseKind::Local), None);
    assert_eq!(verdict(&other, &sheet, CloseKind::Local), Some("I11"));
    assert_eq!(verdict(&other, &sheet, CloseKind::Unknown), Some("I11"));
    let hidden = Sheet { peer_sat: 3, lost_sat: 1, ..sheet };
    assert_eq!(verdict(&sheet, &hidden, CloseKind::Unknown), Some("I11"));
    assert_eq!(verdict(&hidden, &sheet, CloseKind::Unknown), None);
    assert_eq!(verdict(&Sheet { fees_sat: 1, ..sheet }, &sheet, CloseKind::Revoked), Some("I11"));
    assert_eq!(verdict(&other, &sheet, CloseKind::Revoked), Some("I11"));
    let unspent = Sheet { peer_sat: 0, contested_unclaimed_sat: 4, ..sheet };
    assert_eq!(verdict(&unspent, &sheet, CloseKind::Unknown), None);
    assert_eq!(verdict(&unspent, &sheet, CloseKind::Remote), Some("I11"));
}

#[test]
fn i12_i14_and_refusals() {
    assert_eq!(name(invariant_i12_everything_ends(&[])), None);
    assert_eq!(name(invariant_i12_everything_ends(&[(0, String::new())])), Some("I12"));
    assert_eq!(name(invariant_i14_no_silent_loss_between_channels(true, true, false)), None);
    assert_eq!(name(invariant_i14_no_silent_loss_between_channels(true, false, true)), None);
    assert_eq!(name(invariant_i14_no_silent_loss_between_channels(true, false, false)), Some("I14"));
    assert_eq!(name(invariant_i14_no_silent_loss_between_channels(false, false, true)), Some("I14"));
    assert_eq!(name(refusals_are_expected(&Rejected::Frozen(CHANNEL), false)), None);
    let txid = Txid::all_zeros();
    assert!(name(refusals_are_expected(&Rejected::WrongCommitmentSignature { txid }, true)).is_some());
}
