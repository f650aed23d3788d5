//! What is public stays public (R10, I10), and what a reorg restores (I6).

use arb_core::{
    Action, CloseKind, CloseReason, Event, FreezeReason, Heard, HtlcRef, InputSignature, Link, Rejected, Scanned, Side,
    Signed, Stage, Standing,
};
use arb_harness::signer::Signer;
use arb_lab::fixture::Close;

use crate::test_court::{
    ANCHORS, START, TYPES, TestCourt, channel, height, learned, offered, output_of, received, state,
};

#[test]
fn from_commitment_n_plus_1_on_commitment_n_is_never_asked_for_signed_or_sent() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        test.open(&mut fixture, &[offered(0, 50_000, 1, 500, Link::Own)]);
        // The request for our commitment 0, as a copy of the court makes it.
        let mut other = test.fork();
        other.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
        other.settle();
        let request = other.asked[0].1.clone();
        let old = fixture.local_commitment_tx(0).unwrap().compute_txid();
        assert_eq!(request.tx.compute_txid(), old);
        test.hear(fixture.local_signed(1, state(&[])).unwrap());
        test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
        let signatures = test.signer.sign(&request).unwrap();
        let signed = Event::Signed(Box::new(Signed { channel: fixture.id(), request: request.id, signatures }));
        assert_eq!(test.refuse(&signed), Rejected::UnknownRequest(request.id));
        test.settle();
        test.blocks_to(START + 10);
        let new = fixture.local_commitment_tx(1).unwrap().compute_txid();
        // Commitment 1, or the child that pays for it.
        let of_new = |tx: &bitcoin::Transaction| {
            tx.compute_txid() == new || tx.input.iter().any(|input| input.previous_output.txid == new)
        };
        assert!(test.asked.iter().all(|(_, request)| of_new(&request.tx)));
        assert!(test.sent.iter().all(|(_, tx)| of_new(tx)));
        assert!(test.sent.len() >= 10, "it is sent in every block");
        // Still so after commitment 0 confirmed and a reorg removed it.
        test.block(&[fixture.local_commitment_tx(0).unwrap()]);
        test.disconnect_to(START);
        test.blocks_to(START + 3);
        assert!(test.sent.iter().all(|(_, tx)| tx.compute_txid() != old));
    }
}

#[test]
fn in_the_very_step_that_accepts_n_plus_1_number_n_is_gone() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    let close = Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator };
    let next = fixture.local_signed(1, state(&[])).unwrap();
    // In the other order the channel is frozen first, and commitment 0 is the one to send.
    let mut step = test.court.step();
    assert_eq!(step.hear(&close), Ok(Heard::Accepted));
    assert_eq!(step.hear(&next), Err(Rejected::Frozen(fixture.id())));
    drop(step);
    let mut step = test.court.step();
    for event in [&next, &close] {
        assert_eq!(step.hear(event), Ok(Heard::Accepted));
    }
    let due = step.commit(&mut test.frames).unwrap();
    let asked = due.iter().find_map(|action| match action {
        Action::Sign(request) => Some(request.tx.compute_txid()),
        _ => None,
    });
    assert_eq!(asked, Some(fixture.local_commitment_tx(1).unwrap().compute_txid()));
}

#[test]
fn a_reorg_of_the_close_never_opens_the_channel_again() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.disconnect_to(START);
    let frozen = test.court.channel(test.index(&fixture)).unwrap().frozen();
    assert_eq!(frozen, Some(FreezeReason::FundingSpent));
    assert_eq!(test.docket(&fixture).stage, Stage::GoingToChain);
    assert_eq!(test.refuse(&fixture.local_signed(1, state(&[])).unwrap()), Rejected::Frozen(fixture.id()));
}

#[test]
fn a_commitment_swapped_by_a_reorg_is_another_close_with_its_own_claims() {
    // B15, B18, B57: claims follow from the confirmed commitment and the preimages, not from the one seen first.
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let htlcs = [offered(0, 50_000, 1, START + 60, Link::Own), received(0, 60_000, 2, START + 60)];
    test.open(&mut fixture, &htlcs);
    test.hear(fixture.remote_signed(1, state(&htlcs)).unwrap());
    test.block(&[fixture.local_commitment_tx(0).unwrap()]);
    assert_eq!(test.close_kind(&fixture), Some(CloseKind::Local));
    test.disconnect_to(START);
    for (number, kind) in [(0, CloseKind::Remote), (1, CloseKind::RemotePending)] {
        let mut test = test.fork();
        test.block(&[fixture.remote_commitment_tx(number).unwrap()]);
        assert_eq!(test.close_kind(&fixture), Some(kind));
        test.hear(learned(&fixture, HtlcRef::received(0), 2));
        test.settle();
        let outpoint = output_of(&fixture, Side::Remote, number, HtlcRef::received(0));
        let claims = |tx: &bitcoin::Transaction| tx.input[0].previous_output == outpoint;
        assert!(test.sent.iter().any(|(_, tx)| claims(tx)), "{kind:?}");
        test.mine_to(START + 200);
        assert!(test.node.sheets[&fixture.id()].balances());
        assert_eq!(test.node.sheets[&fixture.id()].lost_sat, 0);
    }
}

#[test]
fn a_signature_that_was_given_stays_and_is_the_one_that_is_sent_again() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    test.settle();
    let first = test.sent[0].1.clone();
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.disconnect_to(START);
    test.settle();
    test.block(&[]);
    let ours: Vec<_> = test.sent.iter().filter(|(_, tx)| tx.compute_txid() == first.compute_txid()).collect();
    assert!(ours.len() >= 2 && ours.iter().all(|(_, tx)| *tx == first));
    let funding = fixture.setup().funding;
    let commitments = test.asked.iter().filter(|(_, request)| request.tx.input[0].previous_output == funding);
    assert_eq!(commitments.count(), 1, "more than one request");
}

#[test]
fn a_broadcast_repeats_in_every_block_under_another_id() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    test.settle();
    let broadcast = |test: &TestCourt| {
        let due = test.court.actions_due();
        due.into_iter().find_map(|action| match action {
            Action::Broadcast { id, .. } => Some(id),
            _ => None,
        })
    };
    let first = broadcast(&test).unwrap();
    assert_eq!(broadcast(&test), Some(first), "the id is the same within a block");
    assert_eq!(test.recovered().actions_due(), test.court.actions_due(), "the actions are the same after a restart");
    test.block(&[]);
    assert_ne!(broadcast(&test), Some(first));
}

#[test]
fn lr4_an_htlc_that_was_irrevocable_once_may_be_claimed_for_ever() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[received(0, 60_000, 2, START + 60)]);
    // Only our commitment has removed it; the counterparty's confirms.
    test.hear(fixture.local_signed(1, state(&[])).unwrap());
    test.hear(learned(&fixture, HtlcRef::received(0), 2));
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    let outpoint = output_of(&fixture, Side::Remote, 0, HtlcRef::received(0));
    test.block(&[]);
    assert!(test.sent.iter().any(|(_, tx)| tx.input[0].previous_output == outpoint));
}

#[test]
fn the_first_valid_signature_wins() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    test.settle();
    let request = test.asked[0].1.clone();
    let other = vec![InputSignature::Channel(arb_core::bolt3::CompactSig([1; 64]))];
    test.again(&Event::Signed(Box::new(Signed { channel: fixture.id(), request: request.id, signatures: other })));
}

#[test]
fn b62_a20_a_mutual_close_that_a_reorg_took_away_is_no_reason_for_our_commitment_unless_asked_for() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        test.open(&mut fixture, &[]);
        let script = fixture.setup().fallback_script.clone();
        let close = Close {
            local_sat: 4_000_000,
            local_script: script.clone(),
            remote_sat: 4_000_000,
            remote_script: script.to_p2wsh(),
        };
        let mutual = fixture.mutual_close(close).unwrap();
        test.hear(mutual.event);
        test.block(core::slice::from_ref(&mutual.tx));
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Mutual));
        test.disconnect_to(START);
        test.block(&[]);
        test.block(&[]);
        assert!(test.asked.is_empty() && test.sent.is_empty(), "our commitment was signed or sent");
        let mut other = test.fork();
        other.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
        other.settle();
        assert!(!other.sent.is_empty(), "an explicit request goes to chain (A20)");
        test.block(&[mutual.tx]);
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Mutual));
    }
}

#[test]
fn a_scan_that_ends_below_the_height_at_which_it_was_asked_for_is_refused() {
    let (mut test, fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.block(&[]);
    let opened = fixture.opened(Standing::default());
    test.hear(opened);
    let scan = |test: &TestCourt, through: u32| {
        let parent = fixture.setup().funding.txid;
        let through = test.tip_at(through);
        Event::Scanned(Box::new(Scanned {
            channel: fixture.id(),
            parent,
            through,
            confirmed: None,
            spends: Vec::new(),
        }))
    };
    let why = Rejected::ScanTooShort { through: height(START), needed: height(START + 1) };
    assert_eq!(test.refuse(&scan(&test, START)), why);
    // A reorg took the tip below that height; a scan up to the new tip is accepted.
    test.disconnect_to(START);
    test.hear(scan(&test, START));
}
