//! Incidents of other implementations, by their number in the project's list: what became of an HTLC's origin.

use arb_core::{
    Acknowledged, Alert, CloseKind, ContractOutcome, Event, FailReason, HtlcRef, Link, Side, StageRecord, Upstream,
};
use arb_lab::fixture::{ChannelFixture, ChannelSetup, Close};
use arb_lab::peer::{Claimant, Rates};
use bitcoin::{ScriptBuf, Transaction};

use crate::bench::{
    ANCHORS, Bench, CAPACITY_SAT, START, TYPES, channel, key, learned, offered, output_of, position, preimage,
    received, spend, state,
};

const RATES: Rates = Rates { feerate_sat_per_kw: 500, floor_sat_per_kvb: 1000 };
const SETTLED: fn(u8) -> Option<Upstream> = |secret| Some(Upstream::Settled(preimage(secret)));

fn failed(why: FailReason) -> Option<Upstream> {
    Some(Upstream::Failed(why))
}

/// The counterparty takes what we offered, with the preimage, from whichever commitment confirmed.
pub fn peer_takes(fixture: &ChannelFixture, side: Side, number: u64, htlc: HtlcRef, secret: u8) -> Transaction {
    let commitment = fixture.commitment(side, number).unwrap();
    let claimant = Claimant { fixture, side: Side::Remote, commitment: &commitment, rates: RATES };
    let index = position(fixture, side, number, htlc);
    match side {
        Side::Local => claimant.direct(index, Some(preimage(secret)), ScriptBuf::new()).unwrap().unwrap(),
        Side::Remote => claimant.second_level(index, Some(preimage(secret)), None).unwrap(),
    }
}

#[test]
fn b1_a_revoked_close_is_not_mutual_whatever_it_pays_to() {
    for channel_type in TYPES {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
        bench.open(&mut fixture, &[offered(0, 50_000, 1, 500, Link::Own)]);
        bench.update(&mut fixture, 1, &[]);
        let revoked = fixture.remote_commitment_tx(0).unwrap();
        // The counterparty's closing script is the very script of its revoked output.
        let script = revoked.output.last().unwrap().script_pubkey.clone();
        let close = Close {
            local_sat: 4_000_000,
            local_script: fixture.setup().fallback_script.clone(),
            remote_sat: 4_000_000,
            remote_script: script,
        };
        bench.hear(fixture.mutual_close(close).unwrap().event);
        // Even with the txid on the list of closings the number and the secret decide.
        let closing = arb_core::ClosingSigned { channel: fixture.id(), tx: revoked.clone(), local_output: None };
        bench.hear(Event::ClosingSigned(Box::new(closing)));
        bench.block(std::slice::from_ref(&revoked));
        assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Revoked));
        assert!(matches!(bench.alerts(&fixture)[..], [Alert::RevokedCommitment { number: 0, .. }]));
        // Its outputs are watched: a preimage there still counts.
        let outpoint = output_of(&fixture, Side::Remote, 0, HtlcRef::offered(0));
        assert!(bench.court.channel(bench.index(&fixture)).unwrap().watches(&outpoint));
    }
}

#[test]
fn b4_a_preimage_for_an_htlc_that_only_their_commitment_still_has_settles() {
    for channel_type in TYPES {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
        let htlc = HtlcRef::offered(0);
        bench.open(&mut fixture, &[offered(0, 50_000, 1, 500, Link::Own)]);
        // The counterparty fails it: our commitment 1 is without it, theirs still has it.
        bench.hear(fixture.local_signed(1, state(&[])).unwrap());
        bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
        assert_eq!(bench.outcome(&fixture, htlc), None);
        bench.block(&[peer_takes(&fixture, Side::Remote, 0, htlc, 1)]);
        assert_eq!(bench.outcome(&fixture, htlc), SETTLED(1));
        assert_eq!(bench.origin(&fixture, htlc), Some(Acknowledged::Settled));
    }
}

#[test]
fn b7_a_revoked_close_fails_every_outgoing_htlc_by_id_once_it_is_buried() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[]);
    // Three of one hash and one amount, one of another; and one whose preimage we know.
    let live = [0, 1, 2].map(|id| offered(id, 50_000, 1, 500, Link::Own));
    let live = [&live[..], &[offered(3, 50_000, 2, 500, Link::Own), offered(4, 50_000, 3, 500, Link::Own)]].concat();
    bench.update(&mut fixture, 1, &live);
    bench.hear(learned(&fixture, HtlcRef::offered(4), 3));
    bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Revoked));
    let depth = bench.court.policy().fail_depth(CAPACITY_SAT).get();
    bench.blocks_to(START + depth - 1);
    let outcomes = |bench: &Bench| (0..5).map(|id| bench.outcome(&fixture, HtlcRef::offered(id))).collect::<Vec<_>>();
    assert_eq!(outcomes(&bench), [None, None, None, None, SETTLED(3)]);
    bench.block(&[]);
    let fail = failed(FailReason::Revoked);
    assert_eq!(outcomes(&bench), [fail, fail, fail, fail, SETTLED(3)]);
    let done = (0..5).map(|id| bench.origin(&fixture, HtlcRef::offered(id)));
    let expected = [Acknowledged::Failed, Acknowledged::Failed, Acknowledged::Failed, Acknowledged::Failed];
    assert!(done.eq(expected.into_iter().chain([Acknowledged::Settled]).map(Some)));
    assert_eq!(bench.node.contradictions, []);
}

#[test]
fn b8_of_two_htlcs_with_one_hash_and_amount_each_gets_its_own_outcome() {
    for (channel_type, side) in TYPES.into_iter().flat_map(|kind| [(kind, Side::Local), (kind, Side::Remote)]) {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
        bench.open(&mut fixture, &[offered(0, 50_000, 1, 520, Link::Own), offered(1, 50_000, 1, 500, Link::Own)]);
        bench.block(&[fixture.commitment_tx(side, 0).unwrap()]);
        // Id 1 expires first and is timed out; nobody knows the preimage.
        bench.mine_to(500);
        let first = output_of(&fixture, side, 0, HtlcRef::offered(1));
        let ours = bench.sent.iter().any(|(_, tx)| tx.input.iter().any(|input| input.previous_output == first));
        assert!(ours, "{channel_type:?} {side:?}: the one that expired is claimed, and no other");
        let second = output_of(&fixture, side, 0, HtlcRef::offered(0));
        assert!(!bench.sent.iter().any(|(_, tx)| tx.input.iter().any(|input| input.previous_output == second)));
        bench.mine_to(510);
        assert_eq!(bench.outcome(&fixture, HtlcRef::offered(1)), failed(FailReason::TimedOut));
        assert_eq!(bench.outcome(&fixture, HtlcRef::offered(0)), None);
        // Now the counterparty takes the other one. Both had that hash: the one that was failed for good is a loss.
        bench.block(&[peer_takes(&fixture, side, 0, HtlcRef::offered(0), 1)]);
        assert_eq!(bench.outcome(&fixture, HtlcRef::offered(0)), SETTLED(1));
        assert_eq!(bench.outcome(&fixture, HtlcRef::offered(1)), failed(FailReason::TimedOut));
        bench.mine_to(800);
        let outcome = |id| {
            let reports = bench.node.reports.iter();
            let mut of = reports.filter(|(_, report)| report.htlc == Some(HtlcRef::offered(id)));
            of.next().map(|(_, report)| report.outcome)
        };
        assert_eq!((outcome(0), outcome(1)), (Some(ContractOutcome::TakenByPeer), Some(ContractOutcome::Claimed)));
    }
}

#[test]
fn b38_a_revocation_key_is_no_preimage_and_no_error() {
    for side in [Side::Local, Side::Remote] {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
        let htlc = HtlcRef::offered(0);
        bench.open(&mut fixture, &[offered(0, 50_000, 1, 500, Link::Own)]);
        bench.block(&[fixture.commitment_tx(side, 0).unwrap()]);
        let commitment = fixture.commitment(side, 0).unwrap();
        let (outpoint, _, script) = commitment.htlc_output(0).unwrap();
        let key = commitment.built.keys.revocation.0.to_vec();
        let witness = vec![vec![0x30; 71], key, script.to_bytes()];
        bench.block(&[spend(&[(outpoint, witness)], ScriptBuf::new(), 1000)]);
        assert_eq!(bench.outcome(&fixture, htlc), None);
        bench.blocks_to(START + 2 + bench.court.policy().fail_depth(CAPACITY_SAT).get());
        assert_eq!(bench.outcome(&fixture, htlc), failed(FailReason::TimedOut));
        bench.blocks_to(START + 110);
        assert_eq!(bench.contract_report(&fixture, htlc), Some(ContractOutcome::Lost));
    }
}

#[test]
fn b39_an_annex_hides_no_preimage() {
    for side in [Side::Local, Side::Remote] {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
        let htlc = HtlcRef::offered(0);
        bench.open(&mut fixture, &[offered(0, 50_000, 1, 500, Link::Own)]);
        bench.block(&[fixture.commitment_tx(side, 0).unwrap()]);
        let mut tx = peer_takes(&fixture, side, 0, htlc, 1);
        tx.input[0].witness.push([0x50, 1, 2]);
        bench.block(&[tx]);
        assert_eq!(bench.outcome(&fixture, htlc), SETTLED(1));
        bench.blocks_to(START + 110);
        assert_eq!(bench.contract_report(&fixture, htlc), Some(ContractOutcome::TakenByPeer));
    }
}

#[test]
fn b59_a_revoked_number_that_is_also_ours_is_revoked() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[]);
    // Ours is number 1; theirs goes on to 2, so that their revoked 1 has the number of ours.
    bench.update(&mut fixture, 1, &[offered(0, 50_000, 1, 500, Link::Own)]);
    bench.hear(fixture.remote_signed(2, state(&[])).unwrap());
    bench.hear(fixture.remote_revoked(1).unwrap());
    bench.block(&[fixture.remote_commitment_tx(1).unwrap()]);
    assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Revoked));
    bench.disconnect_to(START);
    bench.block(&[fixture.local_commitment_tx(1).unwrap()]);
    assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Local));
}

/// A channel whose sides trim differently: the counterparty's commitments have no output for this HTLC, ours have.
fn asymmetric() -> (Bench, ChannelFixture) {
    // Our dust limit is 546 on both sides, but HTLC-success on theirs costs more than HTLC-timeout on ours.
    let (mut bench, fixture) = (Bench::new(), channel(1, arb_core::bolt3::ChannelType::StaticRemotekey));
    bench.open_bare(&fixture);
    (bench, fixture)
}

#[test]
fn b63_an_htlc_that_one_unrevoked_commitment_has_an_output_for_is_not_failed_at_once() {
    // At 1000 sat/kw HTLC-timeout costs 663 sat, HTLC-success 703: between 1209 and 1249 only ours has an output.
    let sat = 546 + 663 + 20;
    let htlc = HtlcRef::offered(0);
    let (mut bench, mut fixture) = asymmetric();
    bench.hear(fixture.remote_signed(0, state(&[offered(0, sat, 1, 500, Link::Own)])).unwrap());
    bench.hear(fixture.local_signed(0, state(&[offered(0, sat, 1, 500, Link::Own)])).unwrap());
    bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    assert_eq!(bench.outcome(&fixture, htlc), None, "a reorg to ours would bring its output back");
    let depth = bench.court.policy().fail_depth(CAPACITY_SAT).get();
    bench.blocks_to(START + depth);
    assert_eq!(bench.outcome(&fixture, htlc), failed(FailReason::NotOnConfirmed));
    assert_eq!(bench.contract(&fixture, htlc).stage, StageRecord::Done(ContractOutcome::NoOutput));

    // Trimmed on both: no valid commitment has an output, so nothing is waited for (LL7, RL5).
    let (mut bench, mut fixture) = asymmetric();
    bench.open_states(&mut fixture, &[offered(0, 546 + 600, 1, 500, Link::Own)]);
    bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    assert_eq!(bench.outcome(&fixture, htlc), failed(FailReason::OnNoCommitment));
}

#[test]
fn b63_nor_is_one_that_only_their_pending_commitment_has() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    let htlc = HtlcRef::offered(0);
    bench.open(&mut fixture, &[]);
    bench.hear(fixture.remote_signed(1, state(&[offered(0, 50_000, 1, 500, Link::Own)])).unwrap());
    bench.block(&[fixture.local_commitment_tx(0).unwrap()]);
    assert_eq!(bench.outcome(&fixture, htlc), None);
    // The reorg that it waited for.
    bench.disconnect_to(START);
    bench.block(&[fixture.remote_commitment_tx(1).unwrap()]);
    assert_eq!(bench.close_kind(&fixture), Some(CloseKind::RemotePending));
    bench.block(&[peer_takes(&fixture, Side::Remote, 1, htlc, 1)]);
    assert_eq!(bench.outcome(&fixture, htlc), SETTLED(1));
}

#[test]
fn l7_an_htlc_trimmed_on_the_confirmed_commitment_only_gets_exactly_one_outcome() {
    let sat = 546 + 663 + 20;
    for side in [Side::Local, Side::Remote] {
        let (mut bench, mut fixture) = asymmetric();
        let upstream = &mut channel(2, ANCHORS);
        bench.open(upstream, &[received(7, 2000, 1, 540)]);
        let link = Link::Forward(key(upstream, HtlcRef::received(7)));
        bench.open_states(&mut fixture, &[offered(0, sat, 1, 500, link)]);
        bench.block(&[fixture.commitment_tx(side, 0).unwrap()]);
        bench.mine_to(530);
        let outcomes: Vec<_> = bench.frames.0.iter().flat_map(|frame| &frame.entries).collect();
        let released = outcomes.iter().flat_map(|entry| &entry.concluded);
        let released = released.filter(|record| matches!(record.what, arb_core::Conclusion::Released { .. })).count();
        assert_eq!(released, 1, "{side:?}");
        assert_eq!(bench.origin(&fixture, HtlcRef::offered(0)), Some(Acknowledged::Failed), "{side:?}");
    }
}

#[test]
fn d6_our_own_direct_timeout_is_no_preimage() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    let htlc = HtlcRef::offered(0);
    bench.open(&mut fixture, &[offered(0, 50_000, 1, START + 10, Link::Own)]);
    bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    bench.mine_to(START + 12);
    let outpoint = output_of(&fixture, Side::Remote, 0, htlc);
    let (_, tx) = bench.sent.iter().find(|(_, tx)| tx.input[0].previous_output == outpoint).unwrap();
    assert_eq!(tx.input[0].witness.len(), 3, "signature, nothing, script");
    assert_eq!(bench.outcome(&fixture, htlc), None);
    bench.mine_to(START + 16);
    assert_eq!(bench.outcome(&fixture, htlc), failed(FailReason::TimedOut));
    bench.mine_to(START + 120);
    assert_eq!(bench.contract_report(&fixture, htlc), Some(ContractOutcome::Claimed));
}

#[test]
fn b27_a_preimage_on_chain_is_for_what_we_offered_and_its_upstream_alone() {
    // Downstream shows a preimage; an unrelated received HTLC has the same hash (CVE-2020-26896).
    let mut bench = Bench::new();
    let (mut upstream, mut down, mut other) = (channel(1, ANCHORS), channel(2, ANCHORS), channel(3, ANCHORS));
    bench.open(&mut upstream, &[received(0, 51_000, 1, 560)]);
    bench.open(&mut down, &[offered(0, 50_000, 1, 500, Link::Forward(key(&upstream, HtlcRef::received(0))))]);
    bench.open(&mut other, &[received(0, 50_000, 1, 500)]);
    bench.block(&[down.remote_commitment_tx(0).unwrap()]);
    bench.block(&[peer_takes(&down, Side::Remote, 0, HtlcRef::offered(0), 1)]);
    let usable = |fixture, htlc| bench.court.channel(bench.index(fixture)).unwrap().usable(htlc);
    assert_eq!(usable(&down, HtlcRef::offered(0)), Some(preimage(1)));
    assert_eq!(usable(&upstream, HtlcRef::received(0)), Some(preimage(1)));
    assert_eq!(usable(&other, HtlcRef::received(0)), None);
}

#[test]
fn two_fundings_a_close_on_either_is_classified() {
    for which in [0, 1] {
        let (mut bench, fixture) = (Bench::new(), channel(1, ANCHORS));
        let second = ChannelSetup {
            funding: bitcoin::OutPoint::new(fixture.setup().funding.txid, 3),
            ..fixture.setup().clone()
        };
        let mut both = [fixture, ChannelFixture::new(second)];
        bench.signer.add_channel(both[0].id(), both[0].setup().funding, both[0].setup().local.clone());
        let Event::ChannelOpened(mut opened) = both[0].opened(both[0].standing(0, 0).unwrap()) else { panic!() };
        opened.facts.fundings.extend(both[1].facts().fundings);
        bench.hear(Event::ChannelOpened(opened));
        bench.settle();
        let htlcs = [offered(0, 50_000, 1, 500, Link::Own)];
        bench.hear(both[0].remote_signed(0, state(&htlcs)).unwrap());
        both[1].remote_signed(0, state(&htlcs)).unwrap();
        let Event::LocalCommitmentSigned(mut signed) = both[0].local_signed(0, state(&htlcs)).unwrap() else {
            panic!()
        };
        let Event::LocalCommitmentSigned(other) = both[1].local_signed(0, state(&htlcs)).unwrap() else { panic!() };
        signed.signatures.extend(other.signatures);
        bench.hear(Event::LocalCommitmentSigned(signed));
        let spent = &both[which];
        bench.block(&[spent.local_commitment_tx(0).unwrap()]);
        assert_eq!(bench.close_kind(spent), Some(CloseKind::Local));
        bench.disconnect_to(START);
        bench.block(&[spent.remote_commitment_tx(0).unwrap()]);
        assert_eq!(bench.close_kind(spent), Some(CloseKind::Remote));
        bench.block(&[peer_takes(spent, Side::Remote, 0, HtlcRef::offered(0), 1)]);
        assert_eq!(bench.outcome(spent, HtlcRef::offered(0)), SETTLED(1));
    }
}
