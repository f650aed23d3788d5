//! Old commitments of ours: told from a breach by what their outputs prove (A32), and claimed as far as they are ours.

use arb_core::bolt3::{ChannelType, OutputKind, Point};
use arb_core::{
    Acknowledged, Action, Alert, CloseKind, CloseReason, ContractKind, ContractOutcome, Event, FailReason, Htlc,
    HtlcRef, Link, Rejected, RevokedCommitment, RevokedHtlc, Side,
};
use arb_harness::keys::ChannelKeys;
use arb_lab::fixture::{ChannelFixture, ChannelSetup, CommitmentState};
use bitcoin::{OutPoint, ScriptBuf, Transaction};

use crate::breach::{OFFERED, outcomes, spent, to_the_end};
use crate::test_court::{ANCHORS, CAPACITY_SAT, START, TYPES, TestCourt, channel, height, offered, spend, state};

/// An HTLC on every commitment of these tests, for which somebody waits upstream; too large to be given up.
fn relayed() -> Htlc {
    offered(0, 200_000, 1, START + 90, Link::Relay { deadline: height(START + 130) })
}

fn told(fixture: &ChannelFixture, number: u64, point: Option<Point>) -> Event {
    Event::PointLoaded { channel: fixture.id(), number, point }
}

fn our_point(fixture: &ChannelFixture, number: u64) -> Option<Point> {
    Some(fixture.setup().local.point(number).unwrap())
}

/// A channel that moved on from our commitment 0; the counterparty has revoked its own, or not yet.
fn moved_on(channel_type: ChannelType, first: CommitmentState, revoked: bool) -> (TestCourt, ChannelFixture) {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
    move_on(&mut test, &mut fixture, first, revoked);
    (test, fixture)
}

fn move_on(test: &mut TestCourt, fixture: &mut ChannelFixture, first: CommitmentState, revoked: bool) {
    test.open_bare(fixture);
    test.hear(fixture.remote_signed(0, first.clone()).unwrap());
    test.hear(fixture.local_signed(0, first.clone()).unwrap());
    test.hear(fixture.remote_signed(1, first.clone()).unwrap());
    if revoked {
        test.hear(fixture.remote_revoked(0).unwrap());
    }
    test.hear(fixture.local_signed(1, first).unwrap());
}

/// A running channel that is adopted at commitment 1, and knows nothing of commitment 0.
fn adopted(channel_type: ChannelType, first: CommitmentState) -> (TestCourt, ChannelFixture) {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
    let setup = fixture.setup().clone();
    test.signer.add_channel(setup.id, setup.funding, setup.local);
    for side in [Side::Local, Side::Remote] {
        fixture.sign_unheard(side, 0, first.clone());
    }
    test.hear(fixture.opened(fixture.standing(1, 1).unwrap()));
    // Whole, because the court has not heard of the one before.
    let sign = |fixture: &mut ChannelFixture, side| {
        fixture.sign_unheard(side, 1, first.clone());
        fixture.whole(side, 1).unwrap()
    };
    test.hear(sign(&mut fixture, Side::Remote));
    test.hear(sign(&mut fixture, Side::Local));
    test.hear(fixture.adopted());
    test.settle();
    (test, fixture)
}

/// The counterparty has nothing, so neither side's commitment has an output that tells whose it is, except `to_local`.
fn all_ours() -> CommitmentState {
    let htlc = relayed();
    let local_msat = CAPACITY_SAT * 1000 - htlc.amount_msat;
    CommitmentState { local_msat, remote_msat: 0, feerate_sat_per_kw: 1000, htlcs: vec![htlc] }
}

fn to_local(fixture: &ChannelFixture, number: u64) -> (OutPoint, ScriptBuf) {
    let commitment = fixture.commitment(Side::Local, number).unwrap();
    let vout = commitment.built.outputs.iter().position(|kind| *kind == OutputKind::ToOwner).unwrap();
    (commitment.outpoint(u32::try_from(vout).unwrap()), commitment.scripts[vout].clone().unwrap())
}

fn asks(test: &TestCourt) -> bool {
    test.court.actions_due().iter().any(|action| matches!(action, Action::LoadPoint { number: 0, .. }))
}

fn accuses(test: &TestCourt, fixture: &ChannelFixture) -> bool {
    let of_breach =
        |alert: &Alert| matches!(alert, Alert::RevokedCommitment { .. } | Alert::RevokedStateMissing { .. });
    test.alerts(fixture).iter().any(of_breach)
}

fn warns(test: &TestCourt, fixture: &ChannelFixture) -> bool {
    test.alerts(fixture).iter().any(|alert| matches!(alert, Alert::SupersededCommitment { number: 0, .. }))
}

#[test]
fn a32_an_old_commitment_of_ours_accuses_nobody_and_pays_us_after_its_delay() {
    for channel_type in TYPES {
        for variant in 0..3 {
            let first = state(&[relayed()]);
            let (mut test, fixture) = match variant {
                0 => adopted(channel_type, first),
                _ => moved_on(channel_type, first, variant == 1),
            };
            let ours = fixture.local_commitment_tx(0).unwrap();
            test.block(std::slice::from_ref(&ours));
            assert_eq!(test.close_kind(&fixture), Some(CloseKind::Superseded), "{channel_type:?} {variant}");
            assert!(warns(&test, &fixture) && asks(&test), "told at once, and asked for our point");
            let delay = u32::from(fixture.setup().local_delay_blocks);
            test.hear(told(&fixture, 0, our_point(&fixture, 0)));
            assert!(!asks(&test));
            test.blocks_to(START + delay - 1);
            assert!(!spent(&test, &[&ours]).contains(&to_local(&fixture, 0).0));
            test.blocks_to(START + delay);
            assert!(spent(&test, &[&ours]).contains(&to_local(&fixture, 0).0), "in the first block that may hold it");
            assert_eq!(test.outcome(&fixture, OFFERED), None, "its output may still be claimed with the preimage");
            to_the_end(&mut test, &fixture);
            assert!(!accuses(&test, &fixture));
            assert_eq!(outcomes(&test, ContractKind::ToLocal), [ContractOutcome::Claimed]);
            assert_eq!(test.acknowledged(&fixture, OFFERED), Some(Acknowledged::Failed), "long past every expiry");
            let sheet = test.node.sheets[&fixture.id()];
            assert!(sheet.balances() && sheet.lost_sat == 0, "{sheet:?}");
            assert!(sheet.peer_sat >= CAPACITY_SAT / 2, "{sheet:?}");
        }
    }
}

#[test]
fn a32_what_the_counterparty_takes_of_it_is_a_loss() {
    for channel_type in TYPES {
        for knows in [false, true] {
            let (mut test, fixture) = moved_on(channel_type, state(&[]), true);
            let ours = fixture.local_commitment_tx(0).unwrap();
            test.block(std::slice::from_ref(&ours));
            test.hear(told(&fixture, 0, our_point(&fixture, 0).filter(|_| knows)));
            test.settle();
            let (outpoint, script) = to_local(&fixture, 0);
            let witness = vec![vec![0x30; 71], vec![1], script.into_bytes()];
            let sat = ours.output[outpoint.vout as usize].value.to_sat();
            test.block(&[spend(&[(outpoint, witness)], ScriptBuf::new(), sat)]);
            to_the_end(&mut test, &fixture);
            let sheet = test.node.sheets[&fixture.id()];
            assert!(sheet.balances() && sheet.lost_sat == sat && sheet.swept_sat == 0, "{sheet:?}");
            let lost = |alert: &Alert| matches!(alert, Alert::OutputLost { outpoint: of, .. } if *of == outpoint);
            assert_eq!(test.alerts(&fixture).iter().any(lost), knows);
        }
    }
}

/// Without an output of the counterparty, the point is the only proof. Until it comes, nothing is failed and nobody accused.
#[test]
fn a32_while_nothing_tells_whose_it_is_no_upstream_fails_and_nobody_is_accused() {
    for channel_type in TYPES {
        for was_adopted in [false, true] {
            let (mut test, fixture) = match was_adopted {
                true => adopted(channel_type, all_ours()),
                false => moved_on(channel_type, all_ours(), true),
            };
            test.withholds_rows = true;
            let ours = fixture.local_commitment_tx(0).unwrap();
            test.block(std::slice::from_ref(&ours));
            assert_eq!(test.close_kind(&fixture), Some(CloseKind::Unknown));
            assert!(asks(&test) && test.alerts(&fixture).is_empty(), "one block for the answer");
            test.block(&[]);
            let unknown = Alert::UnknownCommitment { txid: ours.compute_txid() };
            assert!(test.alerts(&fixture).contains(&unknown), "then a person is told (R13)");
            // Neither log nor node knows a candidate, as with rows that do not fit.
            let none = Event::RevokedLoaded { channel: fixture.id(), number: 0, candidates: Vec::new() };
            test.hear(none);
            test.blocks_to(START + 40);
            assert_eq!(test.outcome(&fixture, OFFERED), None);
            assert!(!accuses(&test, &fixture) && asks(&test));
            test.hear(told(&fixture, 0, our_point(&fixture, 0)));
            assert_eq!(test.close_kind(&fixture), Some(CloseKind::Superseded));
            to_the_end(&mut test, &fixture);
            assert_eq!(outcomes(&test, ContractKind::ToLocal), [ContractOutcome::Claimed]);
            assert!(!accuses(&test, &fixture) && warns(&test, &fixture));
        }
    }
}

/// A node that cannot tell leaves it undecided: the upstream HTLC fails only long past every expiry, with a risk on record.
#[test]
fn a32_undecided_for_ever_still_ends() {
    for channel_type in TYPES {
        let (mut test, fixture) = adopted(channel_type, all_ours());
        test.block(&[fixture.local_commitment_tx(0).unwrap()]);
        test.hear(told(&fixture, 0, None));
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Unknown));
        test.blocks_to(START + 130 + 99);
        assert!(test.outcome(&fixture, OFFERED).is_none() && !accuses(&test, &fixture));
        to_the_end(&mut test, &fixture);
        let risk = Alert::Risk { htlc: OFFERED, why: FailReason::ForgetDepth, amount_sat: 200_000 };
        assert!(test.alerts(&fixture).contains(&risk));
    }
}

/// All that both have is in one HTLC, which is returned as well.
fn only_htlc() -> (Htlc, CommitmentState) {
    let htlc = offered(0, CAPACITY_SAT - 20_000, 1, START + 90, Link::Own);
    let state = CommitmentState {
        local_msat: 20_000_000,
        remote_msat: 0,
        // The fee takes what is left of our balance.
        feerate_sat_per_kw: 20_000_000 / 1124,
        htlcs: vec![htlc.clone()],
    };
    (htlc, state)
}

/// Without an output that tells, a candidate that gives the txid tells.
#[test]
fn a32_a_breach_stays_one() {
    for channel_type in TYPES {
        let (mut test, fixture) = adopted(channel_type, all_ours());
        // Their commitment has our main output, which has one script on all of theirs.
        let theirs = fixture.remote_commitment_tx(0).unwrap();
        test.block(std::slice::from_ref(&theirs));
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
        assert!(!asks(&test) && accuses(&test, &fixture));
    }
    let (only, only_htlc) = only_htlc();
    let (feerate_sat_per_kw, local_msat) = (only_htlc.feerate_sat_per_kw, only_htlc.local_msat);
    let (mut test, fixture) = adopted(ANCHORS, only_htlc);
    let theirs = fixture.remote_commitment_tx(0).unwrap();
    let kinds = &fixture.commitment(Side::Remote, 0).unwrap().built.outputs;
    assert!(!kinds.contains(&OutputKind::ToOwner) && !kinds.contains(&OutputKind::ToOther), "{kinds:?}");
    test.block(std::slice::from_ref(&theirs));
    assert_eq!(test.close_kind(&fixture), Some(CloseKind::Unknown));
    // Our point gives no output of it, which may have other reasons; only the candidate that gives its txid proves it.
    test.hear(told(&fixture, 0, our_point(&fixture, 0)));
    test.settle();
    assert_eq!(test.close_kind(&fixture), Some(CloseKind::Unknown));
    assert!(!accuses(&test, &fixture) && doubts(&test, &theirs));
    let htlcs = vec![RevokedHtlc::from(&only)];
    let candidates = vec![RevokedCommitment { feerate_sat_per_kw, local_msat, remote_msat: 0, htlcs }];
    test.hear(Event::RevokedLoaded { channel: fixture.id(), number: 0, candidates });
    assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
    test.settle();
    assert!(accuses(&test, &fixture));
}

/// Whether a person was told that the point gives no output of this commitment.
fn doubts(test: &TestCourt, tx: &Transaction) -> bool {
    let alert = Alert::PointGivesNoOutput { number: 0, txid: tx.compute_txid() };
    test.node.alerts.iter().any(|(_, told)| *told == alert)
}

#[test]
fn a32_a_point_that_gives_no_output_proves_nothing_and_ends_nothing() {
    for channel_type in TYPES {
        // Nothing tells whose it is; or the counterparty's output does.
        for (first, kind) in [(all_ours(), CloseKind::Unknown), (state(&[]), CloseKind::Superseded)] {
            let (mut test, fixture) = moved_on(channel_type, first, true);
            test.withholds_rows = true;
            let ours = fixture.local_commitment_tx(0).unwrap();
            test.block(std::slice::from_ref(&ours));
            assert!(!doubts(&test, &ours));
            test.hear(told(&fixture, 0, our_point(&fixture, 1)));
            test.settle();
            assert_eq!(test.close_kind(&fixture), Some(kind), "{channel_type:?}");
            assert!(doubts(&test, &ours) && !accuses(&test, &fixture));
            test.blocks_to(START + 200);
            assert!(!accuses(&test, &fixture) && !test.node.sheets.contains_key(&fixture.id()));
            // The right one is taken whenever it comes.
            test.hear(told(&fixture, 0, our_point(&fixture, 0)));
            assert_eq!(test.close_kind(&fixture), Some(CloseKind::Superseded));
            to_the_end(&mut test, &fixture);
            assert_eq!(outcomes(&test, ContractKind::ToLocal), [ContractOutcome::Claimed]);
        }
    }
}

/// That we had no such number proves no breach either: the journal may be old.
#[test]
fn a32_a_number_that_we_never_had_proves_nothing() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let (only, only_htlc) = only_htlc();
    test.open_bare(&fixture);
    test.hear(fixture.remote_signed(0, only_htlc.clone()).unwrap());
    test.hear(fixture.local_signed(0, only_htlc.clone()).unwrap());
    for number in [1, 2] {
        test.hear(fixture.remote_signed(number, only_htlc.clone()).unwrap());
        test.hear(fixture.remote_revoked(number - 1).unwrap());
    }
    test.withholds_rows = true;
    test.block(&[fixture.remote_commitment_tx(1).unwrap()]);
    assert_eq!(test.close_kind(&fixture), Some(CloseKind::Unknown), "{only:?}");
    assert!(!accuses(&test, &fixture));
    // The log's rows prove it.
    test.withholds_rows = false;
    test.settle();
    assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
    assert!(accuses(&test, &fixture));
}

/// A counterparty that copies our payment basepoint makes its revoked commitment pay "its" key. That proves nothing.
#[test]
fn a32_a_copied_payment_basepoint_hides_no_breach() {
    for channel_type in TYPES {
        let mut setup = ChannelSetup::from_seed(&[0x21; 32], 1, channel_type, CAPACITY_SAT);
        let mut secrets = setup.remote.secrets().clone();
        secrets.payment = setup.local.secrets().payment;
        setup.remote = ChannelKeys::new(secrets).unwrap();
        for (first, at_once) in [(state(&[relayed()]), true), (all_ours(), false)] {
            let (mut test, mut fixture) = (TestCourt::new(), ChannelFixture::new(setup.clone()));
            move_on(&mut test, &mut fixture, first, true);
            test.withholds_rows = true;
            test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
            let kind = if at_once { CloseKind::Revoked } else { CloseKind::Unknown };
            assert_eq!(test.close_kind(&fixture), Some(kind));
            // The log's rows give its txid.
            test.withholds_rows = false;
            test.settle();
            assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
            to_the_end(&mut test, &fixture);
            assert_eq!(test.node.sheets[&fixture.id()].lost_sat, 0);
        }
    }
}

/// What is seen unconfirmed holds our newest commitment back only if it is a cheat (A62).
#[test]
fn a32_our_newest_commitment_is_sent_against_an_old_one_of_ours() {
    for channel_type in TYPES {
        for (cheats, first) in [(false, state(&[])), (false, all_ours()), (true, state(&[]))] {
            let (mut test, fixture) = moved_on(channel_type, first, true);
            let side = if cheats { Side::Remote } else { Side::Local };
            test.hear(Event::MempoolSeen { tx: fixture.commitment_tx(side, 0).unwrap() });
            test.settle();
            test.block(&[]);
            let newest = fixture.local_commitment_tx(1).unwrap().compute_txid();
            let sends = test.sent.iter().any(|(_, tx)| tx.compute_txid() == newest);
            assert_eq!(sends, !cheats, "{channel_type:?}");
        }
    }
}

#[test]
fn a32_a_restored_channel_claims_from_any_commitment_of_ours() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        let setup = fixture.setup().clone();
        test.signer.add_channel(setup.id, setup.funding, setup.local);
        fixture.sign_unheard(Side::Local, 7, state(&[]));
        test.hear(fixture.restored());
        test.hear(fixture.adopted());
        test.settle();
        let ours = fixture.local_commitment_tx(7).unwrap();
        test.block(std::slice::from_ref(&ours));
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Superseded));
        test.hear(told(&fixture, 7, our_point(&fixture, 7)));
        to_the_end(&mut test, &fixture);
        assert_eq!(outcomes(&test, ContractKind::ToLocal), [ContractOutcome::Claimed]);
    }
}

#[test]
fn a32_a_point_that_proved_it_stands() {
    let (mut test, fixture) = moved_on(ANCHORS, all_ours(), true);
    let early = told(&fixture, 0, our_point(&fixture, 0));
    test.again(&early);
    test.withholds_rows = true;
    let ours = fixture.local_commitment_tx(0).unwrap();
    test.quiet_block(std::slice::from_ref(&ours));
    assert_eq!(test.refuse(&told(&fixture, 0, Some(Point([7; 33])))), Rejected::BadKey);
    test.again(&told(&fixture, 1, our_point(&fixture, 1)));
    test.hear(told(&fixture, 0, None));
    test.again(&told(&fixture, 0, None));
    // A point that gives no output proves nothing.
    test.hear(told(&fixture, 0, our_point(&fixture, 1)));
    assert_eq!(test.close_kind(&fixture), Some(CloseKind::Unknown));
    test.hear(told(&fixture, 0, our_point(&fixture, 0)));
    test.again(&told(&fixture, 0, None));
    let refused = test.refuse(&told(&fixture, 0, our_point(&fixture, 1)));
    assert_eq!(refused, Rejected::PointContradicts { number: 0 });
    // A reorg removes the commitment; the answer stays for the next time.
    test.disconnect_to(START);
    test.quiet_block(&[]);
    test.quiet_block(&[ours]);
    assert_eq!(test.close_kind(&fixture), Some(CloseKind::Superseded));
    assert!(!asks(&test));
}

/// Asked for going to chain, a close of an old commitment changes nothing: nothing of ours can be sent any more.
#[test]
fn a32_an_operators_request_after_it_is_heard() {
    let (mut test, fixture) = moved_on(ANCHORS, state(&[]), true);
    let ours: Transaction = fixture.local_commitment_tx(0).unwrap();
    test.block(&[ours]);
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    test.hear(told(&fixture, 0, our_point(&fixture, 0)));
    to_the_end(&mut test, &fixture);
    assert_eq!(test.contract_report(&fixture, HtlcRef::offered(9)), None);
}
