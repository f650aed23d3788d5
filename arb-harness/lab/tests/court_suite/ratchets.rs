//! What is public stays public (R10, I10), and what a reorg gives back (I6).

use arb_core::{
    Action, CloseKind, CloseReason, Event, FreezeReason, Heard, HtlcRef, InputSignature, Link, Rejected, Scanned, Side,
    Signed, Stage, Standing,
};
use arb_harness::signer::Signer;
use arb_lab::fixture::Close;

use crate::bench::{ANCHORS, Bench, START, TYPES, channel, height, learned, offered, output_of, received, state};

#[test]
fn from_commitment_n_plus_1_on_commitment_n_is_never_asked_for_signed_or_sent() {
    for channel_type in TYPES {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
        bench.open(&mut fixture, &[offered(0, 50_000, 1, 500, Link::Own)]);
        // The request that the court would have made for number 0, as another court makes it.
        let mut other = bench.fork();
        other.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
        other.settle();
        let request = other.asked[0].1.clone();
        let old = fixture.local_commitment_tx(0).unwrap().compute_txid();
        assert_eq!(request.tx.compute_txid(), old);
        bench.hear(fixture.local_signed(1, state(&[])).unwrap());
        bench.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
        let signatures = bench.signer.sign(&request).unwrap();
        let signed = Event::Signed(Box::new(Signed { channel: fixture.id(), request: request.id, signatures }));
        assert_eq!(bench.refuse(&signed), Rejected::UnknownRequest(request.id));
        bench.settle();
        bench.blocks_to(START + 10);
        let new = fixture.local_commitment_tx(1).unwrap().compute_txid();
        // It, and the child that pays for it.
        let of_new = |tx: &bitcoin::Transaction| {
            tx.compute_txid() == new || tx.input.iter().any(|input| input.previous_output.txid == new)
        };
        assert!(bench.asked.iter().all(|(_, request)| of_new(&request.tx)));
        assert!(bench.sent.iter().all(|(_, tx)| of_new(tx)));
        assert!(bench.sent.len() >= 10, "in every block");
        // And it holds when the old one confirms and leaves again.
        bench.block(&[fixture.local_commitment_tx(0).unwrap()]);
        bench.disconnect_to(START);
        bench.blocks_to(START + 3);
        assert!(bench.sent.iter().all(|(_, tx)| tx.compute_txid() != old));
    }
}

#[test]
fn in_the_very_step_that_accepts_n_plus_1_number_n_is_gone() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[]);
    let close = Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator };
    let next = fixture.local_signed(1, state(&[])).unwrap();
    // Heard the other way round the channel is frozen, and number 0 is the one to send.
    let mut step = bench.court.step();
    assert_eq!(step.hear(&close), Ok(Heard::Accepted));
    assert_eq!(step.hear(&next), Err(Rejected::Frozen(fixture.id())));
    drop(step);
    let mut step = bench.court.step();
    for event in [&next, &close] {
        assert_eq!(step.hear(event), Ok(Heard::Accepted));
    }
    let due = step.commit(&mut bench.frames).unwrap();
    let asked = due.iter().find_map(|action| match action {
        Action::Sign(request) => Some(request.tx.compute_txid()),
        _ => None,
    });
    assert_eq!(asked, Some(fixture.local_commitment_tx(1).unwrap().compute_txid()));
}

#[test]
fn a_reorg_of_the_close_never_opens_the_channel_again() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[]);
    bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    bench.disconnect_to(START);
    let frozen = bench.court.channel(bench.index(&fixture)).unwrap().frozen();
    assert_eq!(frozen, Some(FreezeReason::FundingSpent));
    assert_eq!(bench.docket(&fixture).stage, Stage::GoingToChain);
    assert_eq!(bench.refuse(&fixture.local_signed(1, state(&[])).unwrap()), Rejected::Frozen(fixture.id()));
}

#[test]
fn a_commitment_swapped_by_a_reorg_is_another_close_with_its_own_claims() {
    // B15, B18, B57: claims follow from the confirmed commitment and the preimages, not from what was seen first.
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    let htlcs = [offered(0, 50_000, 1, START + 60, Link::Own), received(0, 60_000, 2, START + 60)];
    bench.open(&mut fixture, &htlcs);
    bench.hear(fixture.remote_signed(1, state(&htlcs)).unwrap());
    bench.block(&[fixture.local_commitment_tx(0).unwrap()]);
    assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Local));
    bench.disconnect_to(START);
    for (number, kind) in [(0, CloseKind::Remote), (1, CloseKind::RemotePending)] {
        let mut bench = bench.fork();
        bench.block(&[fixture.remote_commitment_tx(number).unwrap()]);
        assert_eq!(bench.close_kind(&fixture), Some(kind));
        bench.hear(learned(&fixture, HtlcRef::received(0), 2));
        bench.settle();
        let outpoint = output_of(&fixture, Side::Remote, number, HtlcRef::received(0));
        let claims = |tx: &bitcoin::Transaction| tx.input[0].previous_output == outpoint;
        assert!(bench.sent.iter().any(|(_, tx)| claims(tx)), "{kind:?}");
        bench.mine_to(START + 200);
        assert!(bench.node.sheets[&fixture.id()].balances());
        assert_eq!(bench.node.sheets[&fixture.id()].lost_sat, 0);
    }
}

#[test]
fn a_signature_that_was_given_stays_and_is_the_one_that_is_sent_again() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[]);
    bench.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    bench.settle();
    let first = bench.sent[0].1.clone();
    bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    bench.disconnect_to(START);
    bench.settle();
    bench.block(&[]);
    let ours: Vec<_> = bench.sent.iter().filter(|(_, tx)| tx.compute_txid() == first.compute_txid()).collect();
    assert!(ours.len() >= 2 && ours.iter().all(|(_, tx)| *tx == first));
    let funding = fixture.setup().funding;
    let commitments = bench.asked.iter().filter(|(_, request)| request.tx.input[0].previous_output == funding);
    assert_eq!(commitments.count(), 1, "asked for once");
}

#[test]
fn a_broadcast_repeats_in_every_block_under_another_id() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[]);
    bench.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    bench.settle();
    let broadcast = |bench: &Bench| {
        let due = bench.court.actions_due();
        due.into_iter().find_map(|action| match action {
            Action::Broadcast { id, .. } => Some(id),
            _ => None,
        })
    };
    let first = broadcast(&bench).unwrap();
    assert_eq!(broadcast(&bench), Some(first), "the same action twice in one block");
    assert_eq!(bench.recovered().actions_due(), bench.court.actions_due(), "and after a restart");
    bench.block(&[]);
    assert_ne!(broadcast(&bench), Some(first));
}

#[test]
fn lr4_an_htlc_that_was_irrevocable_once_may_be_claimed_for_ever() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[received(0, 60_000, 2, START + 60)]);
    // Its removal has begun on our side only; theirs confirms.
    bench.hear(fixture.local_signed(1, state(&[])).unwrap());
    bench.hear(learned(&fixture, HtlcRef::received(0), 2));
    bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    let outpoint = output_of(&fixture, Side::Remote, 0, HtlcRef::received(0));
    bench.block(&[]);
    assert!(bench.sent.iter().any(|(_, tx)| tx.input[0].previous_output == outpoint));
}

#[test]
fn the_first_valid_signature_wins() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[]);
    bench.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    bench.settle();
    let request = bench.asked[0].1.clone();
    let other = vec![InputSignature::Channel(arb_core::bolt3::CompactSig([1; 64]))];
    bench.again(&Event::Signed(Box::new(Signed { channel: fixture.id(), request: request.id, signatures: other })));
}

#[test]
fn b62_a_mutual_close_that_a_reorg_took_away_is_no_reason_for_our_commitment() {
    for channel_type in TYPES {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
        bench.open(&mut fixture, &[]);
        let script = fixture.setup().fallback_script.clone();
        let close = Close {
            local_sat: 4_000_000,
            local_script: script.clone(),
            remote_sat: 4_000_000,
            remote_script: script.to_p2wsh(),
        };
        let mutual = fixture.mutual_close(close).unwrap();
        bench.hear(mutual.event);
        bench.block(core::slice::from_ref(&mutual.tx));
        assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Mutual));
        bench.disconnect_to(START);
        bench.block(&[]);
        bench.block(&[]);
        assert!(bench.asked.is_empty() && bench.sent.is_empty(), "our commitment was signed or sent");
        bench.block(&[mutual.tx]);
        assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Mutual));
    }
}

#[test]
fn a_scan_that_ends_below_the_height_at_which_it_was_asked_for_is_refused() {
    let (mut bench, fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.block(&[]);
    let opened = fixture.opened(Standing::default());
    bench.hear(opened);
    let scan = |through: u32| {
        let parent = fixture.setup().funding.txid;
        let through = height(through);
        Event::Scanned(Box::new(Scanned { channel: fixture.id(), parent, through, spends: Vec::new() }))
    };
    let why = Rejected::ScanTooShort { through: height(START), needed: height(START + 1) };
    assert_eq!(bench.refuse(&scan(START)), why);
    // A reorg took the tip below that: those blocks come again, and the scan is as good as it can be.
    bench.disconnect_to(START);
    bench.hear(scan(START));
}
