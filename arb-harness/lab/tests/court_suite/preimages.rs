//! Preimages that chain and mempool show (R8): for open channels, in what spends an unconfirmed commitment, and for HTLCs that
//! are told later.

use arb_core::{
    Acknowledged, Action, CloseReason, Event, FreezeReason, HtlcRef, Link, Rejected, Side, Stage, Upstream,
};
use arb_lab::fixture::ChannelFixture;
use arb_lab::fixture::hostile::unsigned;
use bitcoin::OutPoint;

use crate::incidents_outcomes::peer_takes;
use crate::test_court::{ANCHORS, START, TYPES, TestCourt, channel, key, learned, offered, preimage, received, state};

const HTLC: HtlcRef = HtlcRef::offered(0);
const SETTLED: Option<Upstream> = Some(Upstream::Settled(preimage_1()));

const fn preimage_1() -> arb_core::bolt3::Preimage {
    arb_core::bolt3::Preimage([1; 32])
}

/// A forward over two open channels, and a third channel that is closed, of which the first output of the close is returned.
fn forward_and_old_close(expiry: u32) -> (TestCourt, ChannelFixture, ChannelFixture, OutPoint) {
    let (mut test, mut up, mut down) = (TestCourt::new(), channel(1, ANCHORS), channel(2, ANCHORS));
    test.open(&mut up, &[received(0, 51_000, 1, expiry + 40)]);
    test.open(&mut down, &[offered(0, 50_000, 1, expiry, Link::Forward(key(&up, HtlcRef::received(0))))]);
    let mut old = channel(3, ANCHORS);
    test.open(&mut old, &[]);
    let close = old.remote_commitment_tx(0).unwrap();
    test.block(std::slice::from_ref(&close));
    (test, up, down, OutPoint { txid: close.compute_txid(), vout: 0 })
}

/// A transaction of anybody that spends this output, with the preimage as a spare item.
fn shows(outpoint: OutPoint) -> bitcoin::Transaction {
    let witness = vec![preimage(1).0.to_vec(), vec![0x51]];
    unsigned([(outpoint, witness)], 1, 300, &bitcoin::ScriptBuf::new())
}

fn settles(test: &TestCourt) -> usize {
    let due = test.court.actions_due();
    due.iter().filter(|due| matches!(due, Action::SettleUpstream { .. })).count()
}

#[test]
fn a5_what_chain_or_mempool_shows_settles_the_htlc_of_an_open_channel_at_once() {
    for in_block in [true, false] {
        let (mut test, up, down, old) = forward_and_old_close(START + 30);
        test.acknowledges = false;
        if in_block {
            test.block(&[shows(old)]);
        } else {
            test.hear(Event::MempoolSeen { tx: shows(old) });
            test.settle();
        }
        assert_eq!(test.docket(&down).stage, Stage::Open);
        assert_eq!(test.outcome(&down, HTLC), SETTLED);
        // It stays due, also after other notices are carried out and after a restart.
        assert_eq!(settles(&test), 1);
        test.restart();
        assert_eq!(settles(&test), 1);
        // The upstream HTLC can be claimed on chain before it expires.
        let usable = test.court.channel(test.index(&up)).unwrap().usable(HtlcRef::received(0));
        assert_eq!(usable, Some(preimage(1)));
        let mut late = test.fork();
        // The deadline is off once the settlement is acknowledged, and not before.
        test.hear(Event::UpstreamAcknowledged { htlc: key(&down, HTLC), outcome: Acknowledged::Settled });
        test.blocks_to(START + 49);
        assert_eq!(test.docket(&down).stage, Stage::Open);
        late.blocks_to(START + 49);
        let frozen = late.court.channel(late.index(&down)).unwrap().frozen();
        assert_eq!(frozen, Some(FreezeReason::Deadline(HTLC)));
        // The counterparty settles or fails it by messages: nothing is left.
        test.update(&mut { down }, 1, &[]);
    }
}

#[test]
fn a5_what_the_node_told_of_an_open_channel_it_settles_itself() {
    let (mut test, _, down, old) = forward_and_old_close(START + 30);
    test.hear(learned(&down, HTLC, 1));
    test.block(&[shows(old)]);
    assert_eq!((test.outcome(&down, HTLC), settles(&test)), (None, 0));
    test.blocks_to(START + 49);
    assert_eq!(test.docket(&down).stage, Stage::Open);
}

#[test]
fn a42_a_preimage_counts_in_a_spend_of_a_commitment_that_is_unconfirmed() {
    for (channel_type, side) in TYPES.into_iter().flat_map(|kind| [(kind, Side::Local), (kind, Side::Remote)]) {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        test.open(&mut fixture, &[offered(0, 50_000, 1, START + 30, Link::Own)]);
        let takes = Event::MempoolSeen { tx: peer_takes(&fixture, side, 0, HTLC, 1) };
        test.again(&takes);
        match side {
            // Ours is in view once its signature was given out.
            Side::Local => {
                test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
                test.settle();
            }
            Side::Remote => {
                let tx = fixture.remote_commitment_tx(0).unwrap();
                test.hear(Event::MempoolSeen { tx });
            }
        }
        // Also from a checkpoint or a log.
        test.restart();
        test.hear(takes.clone());
        assert_eq!(test.outcome(&fixture, HTLC), SETTLED, "{channel_type:?} {side:?}");
        test.again(&takes);
    }
}

#[test]
fn a42_in_one_step_and_after_a_reorg() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 30, Link::Own)]);
    let (close, takes) = (fixture.remote_commitment_tx(0).unwrap(), peer_takes(&fixture, Side::Remote, 0, HTLC, 1));
    let mut other = test.fork();
    let mut step = other.court.step();
    step.hear(&Event::MempoolSeen { tx: close.clone() }).unwrap();
    step.hear(&Event::MempoolSeen { tx: takes.clone() }).unwrap();
    step.commit(&mut other.frames).unwrap();
    assert_eq!(other.outcome(&fixture, HTLC), SETTLED);
    // Seen, confirmed, and unconfirmed again.
    test.hear(Event::MempoolSeen { tx: close.clone() });
    test.block(&[close]);
    test.disconnect_to(START);
    test.hear(Event::MempoolSeen { tx: takes });
    assert_eq!(test.outcome(&fixture, HTLC), SETTLED);
}

#[test]
fn a42_a_revoked_commitment_is_in_view_too() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let htlcs = [offered(0, 50_000, 1, START + 30, Link::Own)];
    test.open(&mut fixture, &htlcs);
    test.update(&mut fixture, 1, &htlcs);
    // The newest one was seen first.
    for number in [1, 0] {
        let tx = fixture.remote_commitment_tx(number).unwrap();
        test.hear(Event::MempoolSeen { tx });
    }
    test.hear(Event::MempoolSeen { tx: peer_takes(&fixture, Side::Remote, 0, HTLC, 1) });
    assert_eq!(test.outcome(&fixture, HTLC), SETTLED);
}

#[test]
fn a15_what_was_shown_counts_for_an_upstream_htlc_that_is_told_later() {
    let (mut test, mut up, mut down) = (TestCourt::new(), channel(1, ANCHORS), channel(2, ANCHORS));
    test.open_bare(&up);
    test.open(&mut down, &[offered(0, 50_000, 1, START + 30, Link::Forward(key(&up, HtlcRef::received(0))))]);
    test.block(&[down.remote_commitment_tx(0).unwrap()]);
    test.block(&[peer_takes(&down, Side::Remote, 0, HTLC, 1)]);
    test.open_states(&mut up, &[received(0, 51_000, 1, START + 70), received(1, 51_000, 1, START + 70)]);
    let usable = |test: &TestCourt, id| test.court.channel(test.index(&up)).unwrap().usable(HtlcRef::received(id));
    assert_eq!(usable(&test, 0), Some(preimage(1)));
    assert_eq!(usable(&test, 1), None, "never for a received HTLC without a link (R8)");
}

#[test]
fn a15_what_was_shown_counts_for_an_htlc_that_is_told_later() {
    // In the channel's own close, which is heard before the commitments are told.
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let setup = fixture.setup().clone();
    test.signer.add_channel(setup.id, setup.funding, setup.local);
    test.hear(fixture.opened(fixture.standing(0, 0).unwrap()));
    let htlcs = [offered(0, 50_000, 1, START + 30, Link::Own)];
    let mut told = fixture.clone();
    fixture.remote_signed(0, state(&htlcs)).unwrap();
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.block(&[peer_takes(&fixture, Side::Remote, 0, HTLC, 1)]);
    test.open_states(&mut told, &htlcs);
    assert_eq!(test.outcome(&fixture, HTLC), SETTLED);
    test.hear(fixture.adopted());
    // For another part of the same payment, which goes out later.
    let mut other = channel(2, ANCHORS);
    test.open(&mut other, &htlcs);
    assert_eq!(test.outcome(&other, HTLC), SETTLED);
}

#[test]
fn a15_a_preimage_for_an_unknown_htlc_is_refused_by_name() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 30, Link::Own)]);
    let usable_for = vec![key(&fixture, HTLC), key(&fixture, HtlcRef::received(5))];
    let event = Event::PreimageLearned { preimage: preimage(1), usable_for };
    assert_eq!(test.refuse(&event), Rejected::UnknownHtlc(HtlcRef::received(5)));
}
