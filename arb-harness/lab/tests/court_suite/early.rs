//! What is heard before it is told what it is about: preimages that transactions show, and what the node says of HTLCs that it tells
//! later. A checkpoint may be written half in between.

use arb_core::{
    ChainArbitrator, ContractOutcome, Event, Freshness, HtlcKey, HtlcRef, Link, Rejected, RejectedClass, Side, Upstream,
};
use arb_lab::fixture::ChannelFixture;
use arb_lab::fixture::hostile::unsigned;
use arb_lab::process::all_told;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, ScriptBuf, Transaction, Txid};

use crate::test_court::{
    ANCHORS, START, TYPES, TestCourt, channel, key, learned, offered, preimage, received, started, state,
};

const HTLC: HtlcRef = HtlcRef::offered(0);
const SETTLED: Option<Upstream> = Some(Upstream::Settled(arb_core::bolt3::Preimage([7; 32])));

/// As many preimages are kept as one commitment has HTLCs in one direction.
const MOST: u16 = 483;

/// Opens a channel of which the node has told nothing more.
fn joins(test: &mut TestCourt, number: u32, at: u64) -> ChannelFixture {
    let fixture = channel(number, ANCHORS);
    let setup = fixture.setup();
    test.signer.add_channel(setup.id, setup.funding, setup.local.clone());
    test.hear(fixture.opened(fixture.standing(at, at).unwrap()));
    fixture
}

/// A court with a closed channel, and the first output of the close.
fn old_close() -> (TestCourt, OutPoint) {
    let (mut test, mut old) = (TestCourt::new(), channel(3, ANCHORS));
    test.open(&mut old, &[]);
    let close = old.remote_commitment_tx(0).unwrap();
    test.block(std::slice::from_ref(&close));
    (test, OutPoint { txid: close.compute_txid(), vout: 0 })
}

/// A transaction that shows preimage 7 in a spend of this output.
fn shows(old: OutPoint) -> Transaction {
    unsigned([(old, vec![preimage(7).0.to_vec(), vec![0x51]])], 1, 300, &ScriptBuf::new())
}

/// A transaction that spends this output, and shows so many junk items in an input of somebody else's.
fn junk(old: OutPoint, items: core::ops::Range<u16>) -> Transaction {
    let foreign = OutPoint { txid: Txid::from_byte_array([9; 32]), vout: 0 };
    let items = items.map(|n| [n.to_le_bytes(); 16].concat()).collect();
    unsigned([(old, vec![vec![0x51]]), (foreign, items)], 1, 300, &ScriptBuf::new())
}

#[test]
fn a15_what_is_kept_for_later_is_emptied_when_everything_is_told() {
    for after_start in [true, false] {
        let (mut test, old) = old_close();
        for number in [4, 5] {
            let channel = (!after_start).then(|| joins(&mut test, number, 0));
            if after_start {
                test.hear(started(&format!("run {number}"), Freshness::Trusted, START));
            }
            let seen = Event::MempoolSeen { tx: junk(old, 0..MOST) };
            test.hear(seen.clone());
            test.again(&seen);
            test.again(&Event::MempoolSeen { tx: junk(old, MOST..MOST + 100) });
            test.hear(channel.map_or_else(all_told, |fixture| fixture.adopted()));
            assert_eq!(test.recovered(), test.court, "{after_start}");
        }
    }
}

#[test]
fn a15_junk_takes_no_place_of_what_spends_something_watched() {
    for (in_block, at_once) in [(false, false), (true, false), (false, true), (true, true)] {
        let (mut test, old) = old_close();
        let mut third = joins(&mut test, 4, 0);
        let mut seen = vec![junk(old, 0..3 * MOST)];
        if at_once {
            let shown = shows(old).input.remove(0);
            seen[0].input[0] = shown;
        } else {
            seen.push(shows(old));
        }
        for tx in seen {
            if in_block {
                test.quiet_block(&[tx]);
            } else {
                test.hear(Event::MempoolSeen { tx });
            }
        }
        test.open_states(&mut third, &[offered(0, 20_000, 7, START + 30, Link::Own)]);
        test.hear(third.adopted());
        assert_eq!(test.outcome(&third, HTLC), SETTLED, "{in_block} {at_once}");
        assert_eq!(test.recovered(), test.court);
    }
}

/// The court as it is recovered from a checkpoint of which the court's row is of frame `at` and some channels' rows are newer.
fn half_written(test: &TestCourt, at: usize, newer: impl Fn(usize) -> bool) -> ChainArbitrator {
    let mut then = ChainArbitrator::new();
    test.frames.0[..at].iter().for_each(|frame| then.fold(frame).unwrap());
    let rows = |court: &ChainArbitrator, is_newer: bool| {
        let rows = (0..).zip(court.channels()).filter(|(place, _)| newer(*place) == is_newer);
        rows.map(|(_, (index, channel))| (index, channel.clone())).collect::<Vec<_>>()
    };
    let rows = rows(&then, false).into_iter().chain(rows(&test.court, true));
    let mut court = ChainArbitrator::restore(then.snapshot(), then.tombstones().cloned(), rows).unwrap();
    test.frames.0[at..].iter().for_each(|frame| court.fold(frame).unwrap());
    court
}

#[test]
fn a15_a_half_written_checkpoint_changes_nothing_of_what_was_shown_early() {
    for in_block in [true, false] {
        let (mut test, old) = old_close();
        let (mut third, mut fourth) = (joins(&mut test, 4, 0), joins(&mut test, 5, 0));
        if in_block {
            test.quiet_block(&[shows(old), junk(old, 0..3)]);
        } else {
            test.hear(Event::MempoolSeen { tx: shows(old) });
        }
        test.open_states(&mut third, &[offered(0, 20_000, 7, START + 30, Link::Own)]);
        test.hear(third.adopted());
        test.open_states(&mut fourth, &[]);
        for told in [false, true] {
            if told {
                test.hear(fourth.adopted());
            }
            for at in 1..test.frames.0.len() {
                for newer in 0..8 {
                    let half = half_written(&test, at, |place| newer >> place & 1 == 1);
                    assert_eq!(half, test.court, "{in_block} {told}: court of frame {at}, rows {newer:03b} are newer");
                    assert!(*half.indexes() == half.rebuilt_indexes());
                }
            }
        }
    }
}

#[test]
fn a15_a_preimage_counts_for_the_htlcs_that_are_told_and_later_for_the_others() {
    for side in [Side::Local, Side::Remote] {
        let (mut test, mut one) = (TestCourt::new(), channel(1, ANCHORS));
        test.open(&mut one, &[received(0, 51_000, 1, START + 70)]);
        let mut two = joins(&mut test, 2, 0);
        let (in_one, in_two) = (HtlcRef::received(0), HtlcRef::received(4));
        let wrong = HtlcRef::received(5);
        let usable_for = vec![key(&two, in_two), key(&one, in_one), key(&two, wrong)];
        let event = Event::PreimageLearned { preimage: preimage(1), usable_for };
        test.hear(event.clone());
        test.again(&event);
        let usable = |test: &TestCourt, fixture: &ChannelFixture, htlc| {
            test.court.channel(test.index(fixture)).unwrap().usable(htlc)
        };
        assert_eq!((usable(&test, &one, in_one), usable(&test, &two, in_two)), (Some(preimage(1)), None));
        let htlcs = [(3, 1), (4, 1), (5, 2)].map(|(id, secret)| received(id, 51_000, secret, START + 70));
        let told = [two.local_signed(0, state(&htlcs)), two.remote_signed(0, state(&htlcs))].map(Result::unwrap);
        let first =
            told.iter().position(|event| matches!(event, Event::LocalCommitmentSigned(_)) == (side == Side::Local));
        test.hear(told[first.unwrap()].clone());
        let of_two = [3, 4, 5].map(|id| usable(&test, &two, HtlcRef::received(id)));
        assert_eq!(of_two, [None, Some(preimage(1)), None], "for that one alone (R8), and only if it fits");
        test.again(&event_for(&one, &two, in_one, in_two));
        test.hear(two.adopted());
        assert_eq!(test.recovered(), test.court);
    }
}

fn event_for(one: &ChannelFixture, two: &ChannelFixture, in_one: HtlcRef, in_two: HtlcRef) -> Event {
    Event::PreimageLearned { preimage: preimage(1), usable_for: vec![key(one, in_one), key(two, in_two)] }
}

#[test]
fn a9_a_preimage_that_is_told_before_its_htlc_settles_for_the_other_parts() {
    let (mut test, mut up, mut first) = (TestCourt::new(), channel(1, ANCHORS), channel(2, ANCHORS));
    test.open(&mut up, &[received(0, 101_000, 7, START + 300)]);
    let link = Link::Forward(key(&up, HtlcRef::received(0)));
    test.open(&mut first, &[offered(0, 50_000, 7, START + 5, link)]);
    let mut second = joins(&mut test, 3, 0);
    test.block(&[first.remote_commitment_tx(0).unwrap()]);
    test.mine_to(START + 20);
    test.hear(learned(&second, HTLC, 7));
    test.open_states(&mut second, &[offered(0, 50_000, 7, START + 100, link)]);
    assert_eq!(test.outcome(&first, HTLC), SETTLED);
}

#[test]
fn a15_what_is_kept_of_htlcs_that_are_not_told_is_bounded_and_ends_with_the_word() {
    let mut test = TestCourt::new();
    let fixture = joins(&mut test, 1, 0);
    let keys =
        |ids: core::ops::Range<u64>| ids.map(|id| key(&fixture, HtlcRef::received(id))).collect::<Vec<HtlcKey>>();
    let event = |ids| Event::PreimageLearned { preimage: preimage(1), usable_for: keys(ids) };
    let most = 2 * u64::from(MOST);
    let refused = |test: &mut TestCourt, event: &Event| {
        let answer = test.try_hear(event).unwrap_err();
        assert_eq!((answer.class(), answer), (RejectedClass::NotYet, Rejected::HtlcNotTold(HtlcRef::received(most))));
    };
    refused(&mut test, &event(0..most + 1));
    test.hear(event(0..most));
    refused(&mut test, &event(most..most + 1));
    let word = Event::AdoptionComplete { channel: Some(fixture.id()), committed: keys(most..most + 1) };
    refused(&mut test, &word);
    test.hear(fixture.adopted());
    // A mistake, once everything is told.
    assert_eq!(test.refuse(&event(0..1)), Rejected::UnknownHtlc(HtlcRef::received(0)));
}

#[test]
fn a7_the_word_counts_for_the_htlcs_that_are_told_and_later_for_the_others() {
    for channel_type in TYPES {
        let mut test = TestCourt::new();
        let mut all: Vec<ChannelFixture> = Vec::new();
        for number in [1, 2] {
            let fixture = channel(number, channel_type);
            let setup = fixture.setup();
            test.signer.add_channel(setup.id, setup.funding, setup.local.clone());
            test.hear(fixture.opened(fixture.standing(5, 5).unwrap()));
            all.push(fixture);
        }
        // Each is in the middle of a removal: ours still has received HTLC 3, theirs lost it. One is told after the word.
        let three = HtlcRef::received(3);
        let htlcs = [received(3, 1_000_000, 2, START + 90)];
        let tell = |test: &mut TestCourt, fixture: &mut ChannelFixture| {
            test.hear(fixture.local_signed(5, state(&htlcs)).unwrap());
            test.hear(fixture.remote_signed(5, state(&[])).unwrap());
            test.hear(learned(fixture, three, 2));
        };
        tell(&mut test, &mut all[0]);
        let committed = all.iter().map(|fixture| key(fixture, three)).collect();
        let word = Event::AdoptionComplete { channel: None, committed };
        test.hear(word.clone());
        test.again(&word);
        tell(&mut test, &mut all[1]);
        let closes: Vec<Transaction> = all.iter().map(|fixture| fixture.local_commitment_tx(5).unwrap()).collect();
        test.block(&closes);
        test.mine_to(START + 250);
        for fixture in &all {
            assert_eq!(test.contract_report(fixture, three), Some(ContractOutcome::Claimed));
        }
    }
}
