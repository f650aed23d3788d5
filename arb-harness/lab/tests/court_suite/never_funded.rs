//! Channels whose funding never confirms (A19).

use arb_core::bolt3::ChannelType;
use arb_core::{
    Acknowledged, Action, CloseReason, Event, FailReason, FreezeReason, Freshness, Heard, Htlc, HtlcRef, Link,
    Rejected, RejectedClass, Side, Stage, Upstream,
};
use arb_lab::fixture::{ChannelFixture, CommitmentState};
use arb_lab::process::all_told;
use bitcoin::{Transaction, absolute, transaction};

use crate::breach::to_the_end;
use crate::test_court::{
    CAPACITY_SAT, START, TYPES, TestCourt, channel, height, learned, offered, preimage, received, started, state,
};

/// A channel whose funding is this transaction's first output; it has no input, which no test here looks at.
fn unfunded(channel_type: ChannelType) -> (ChannelFixture, Transaction) {
    let mut setup = channel(1, channel_type).setup().clone();
    let funding = Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: Vec::new(),
        output: vec![setup.funding_txout()],
    };
    setup.funding = bitcoin::OutPoint::new(funding.compute_txid(), 0);
    setup.funding_confirmed = None;
    (ChannelFixture::new(setup), funding)
}

fn never(fixture: &ChannelFixture) -> Event {
    Event::NeverFunded { channel: fixture.id() }
}

fn forwarded() -> [Htlc; 3] {
    let link = Link::Relay { deadline: height(START + 200) };
    [
        offered(0, 50_000, 1, START + 100, link),
        offered(1, 60_000, 2, START + 100, link),
        received(0, 70_000, 3, START + 100),
    ]
}

#[test]
fn a19_a_channel_that_can_never_be_funded_is_forgotten_and_costs_nothing_meanwhile() {
    for channel_type in TYPES {
        for why in [None, Some(CloseReason::PeerError), Some(CloseReason::Operator)] {
            let (mut fixture, _) = unfunded(channel_type);
            let mut test = TestCourt::new();
            test.open(&mut fixture, &[]);
            if let Some(why) = why {
                test.hear(Event::CloseRequested { channel: fixture.id(), why });
                assert_eq!(
                    test.refuse(&Event::ChannelForgotten { channel: fixture.id() }),
                    Rejected::CannotForget(fixture.id())
                );
            }
            test.blocks_to(START + 5);
            let index = test.index(&fixture);
            let changed = test.court.channel(index).unwrap().changed_at();
            test.blocks_to(START + 300);
            assert_eq!(test.docket(&fixture).alarm, None, "{why:?}");
            assert_eq!(test.court.channel(index).unwrap().changed_at(), changed, "no block touched it");
            test.hear(never(&fixture));
            test.settle();
            assert!(test.node.sheets.contains_key(&fixture.id()) && test.court.channel(index).is_none());
            // It left no tombstone: a channel of this id may be opened again.
            test.hear(fixture.opened(fixture.standing(0, 0).unwrap()));
        }
    }
}

#[test]
fn a19_its_htlcs_get_their_outcomes_first() {
    for channel_type in TYPES {
        let (mut fixture, _) = unfunded(channel_type);
        let mut test = TestCourt::new();
        test.open(&mut fixture, &forwarded());
        test.hear(learned(&fixture, HtlcRef::offered(1), 2));
        test.acknowledges = false;
        test.hear(never(&fixture));
        test.settle();
        test.again(&never(&fixture));
        assert_eq!(test.outcome(&fixture, HtlcRef::offered(0)), Some(Upstream::Failed(FailReason::OnNoCommitment)));
        assert_eq!(test.outcome(&fixture, HtlcRef::offered(1)), Some(Upstream::Settled(preimage(2))));
        test.block(&[]);
        assert!(!test.node.sheets.contains_key(&fixture.id()), "the node has not acknowledged them");
        test.acknowledges = true;
        test.restart();
        assert_eq!(test.acknowledged(&fixture, HtlcRef::offered(0)), Some(Acknowledged::Failed));
        assert_eq!(test.acknowledged(&fixture, HtlcRef::offered(1)), Some(Acknowledged::Settled));
        assert!(test.node.sheets.contains_key(&fixture.id()));
    }
}

#[test]
fn a19_never_with_a_confirmed_funding() {
    for channel_type in TYPES {
        let (mut fixture, funding) = unfunded(channel_type);
        let refused = Rejected::CannotForget(fixture.id());
        let too_soon = Rejected::ForgottenTooSoon(fixture.id());
        assert_eq!((too_soon.class(), refused.class()), (RejectedClass::NotYet, RejectedClass::Mistake));
        let mut test = TestCourt::new();
        test.hear(fixture.opened(fixture.standing(0, 0).unwrap()));
        assert_eq!(test.refuse(&never(&fixture)), too_soon, "the chain was not searched");
        test.signer.add_channel(fixture.setup().id, fixture.setup().funding, fixture.setup().local.clone());
        test.open_states(&mut fixture, &[]);
        test.settle();
        let mut behind = test.fork();
        behind.best = Some(START + 9);
        behind.block(&[]);
        assert_eq!(behind.refuse(&never(&fixture)), too_soon, "it may be in a block that is still to come");
        let mut confirmed = test.fork();
        confirmed.block(std::slice::from_ref(&funding));
        assert_eq!(confirmed.refuse(&never(&fixture)), refused);
        // After a reorg it is unconfirmed again.
        confirmed.disconnect_to(START);
        confirmed.quiet_block(&[]);
        assert_eq!(confirmed.try_hear(&never(&fixture)), Ok(Heard::Accepted));
        // The node was wrong: it confirms before the node has taken the end of the channel.
        test.hear(fixture.remote_signed(1, state(&forwarded())).unwrap());
        test.acknowledges = false;
        test.hear(never(&fixture));
        test.settle();
        test.block(std::slice::from_ref(&funding));
        test.acknowledges = true;
        test.block(&[]);
        assert!(!test.node.sheets.contains_key(&fixture.id()), "what it holds of ours is not forgotten");
        assert_eq!(test.docket(&fixture).stage, Stage::AwaitingCommitment);
        let channel = test.court.channel(test.index(&fixture)).unwrap();
        assert_eq!(channel.frozen(), Some(FreezeReason::Forgotten));
        let txid = fixture.local_commitment_tx(0).unwrap().compute_txid();
        assert!(test.sent.iter().any(|(_, tx)| tx.compute_txid() == txid), "our commitment brings it back");
    }
}

/// The node says that it is never funded, and carries out the freeze. Returns the event that carries out the end.
fn ended(test: &mut TestCourt, fixture: &ChannelFixture) -> Event {
    test.hear(never(fixture));
    carry_out_freeze(test)
}

fn carry_out_freeze(test: &mut TestCourt) -> Event {
    let performed = |test: &TestCourt, wanted: fn(&Action) -> bool| {
        let due = test.court.actions_due().into_iter().find(wanted);
        match due.unwrap() {
            Action::FreezeChannel { id, channel, .. } | Action::ChannelResolved { id, channel, .. } => {
                Event::Performed { channel, id }
            }
            other => panic!("{other:?}"),
        }
    };
    let freeze = performed(test, |due| matches!(due, Action::FreezeChannel { .. }));
    test.hear(freeze);
    performed(test, |due| matches!(due, Action::ChannelResolved { .. }))
}

fn sends_ours(test: &TestCourt, fixture: &ChannelFixture) -> bool {
    let txid = fixture.local_commitment_tx(0).unwrap().compute_txid();
    test.sent.iter().any(|(_, tx)| tx.compute_txid() == txid)
}

#[test]
fn a19_a_funding_that_confirms_before_the_end_is_carried_out_takes_it_back() {
    for channel_type in TYPES {
        for way in 0..3 {
            let (mut fixture, funding) = unfunded(channel_type);
            let mut test = TestCourt::new();
            test.open(&mut fixture, &[]);
            let end = ended(&mut test, &fixture);
            match way {
                0 => {
                    test.quiet_block(std::slice::from_ref(&funding));
                    test.again(&end);
                }
                1 => {
                    let block = test.next_block(std::slice::from_ref(&funding));
                    let answers = test.hear_all(&[block, end]);
                    assert_eq!(answers, [Ok(Heard::Accepted), Ok(Heard::Duplicate)]);
                }
                _ => {
                    // The block that has it is announced, and not heard yet.
                    test.hear(started("later", Freshness::Trusted, START + 1));
                    test.hear(all_told());
                    test.hear(end);
                    let mut without = test.fork();
                    without.block(&[]);
                    assert_eq!(without.court.index_of(&fixture.id()), None, "it ends after that block");
                    test.quiet_block(std::slice::from_ref(&funding));
                }
            }
            assert!(test.court.index_of(&fixture.id()).is_some(), "{way}: it holds our balance");
            test.settle();
            assert!(sends_ours(&test, &fixture) && test.node.sheets.is_empty(), "{way}");
            to_the_end(&mut test, &fixture);
            assert!(test.node.sheets[&fixture.id()].swept_sat > 0);
        }
    }
}

#[test]
fn a19_a_funding_that_confirmed_once_is_not_forgotten_when_a_reorg_takes_it() {
    for channel_type in TYPES {
        let (mut fixture, funding) = unfunded(channel_type);
        let mut test = TestCourt::new();
        test.open(&mut fixture, &[]);
        test.hear(never(&fixture));
        test.block(std::slice::from_ref(&funding));
        test.disconnect_to(START);
        test.settle();
        test.block(&[]);
        assert!(test.court.index_of(&fixture.id()).is_some(), "it may come back");
        // The node may say it once more.
        let mut again = test.fork();
        again.hear(never(&fixture));
        again.settle();
        assert_eq!(again.court.index_of(&fixture.id()), None);
        test.sent.clear();
        test.block(std::slice::from_ref(&funding));
        assert!(sends_ours(&test, &fixture));
    }
}

/// All of the channel is the counterparty's.
fn all_theirs() -> CommitmentState {
    CommitmentState { local_msat: 0, remote_msat: CAPACITY_SAT * 1000, feerate_sat_per_kw: 1000, htlcs: Vec::new() }
}

#[test]
fn i17_a_request_to_close_a_forgotten_channel_is_refused_or_carried_out() {
    for channel_type in TYPES {
        for why in [CloseReason::Operator, CloseReason::PeerError] {
            let (mut fixture, funding) = unfunded(channel_type);
            let close = Event::CloseRequested { channel: fixture.id(), why };
            let mut test = TestCourt::new();
            test.open(&mut fixture, &[]);
            let mut before = test.fork();
            before.hear(close.clone());
            before.hear(never(&fixture));
            before.again(&close);
            test.hear(never(&fixture));
            let refused = test.refuse(&close);
            assert_eq!((refused.class(), refused), (RejectedClass::NotYet, Rejected::NothingToClose(fixture.id())));
            test.quiet_block(std::slice::from_ref(&funding));
            test.hear(close);
            test.settle();
            assert!(sends_ours(&test, &fixture));

            // Confirmed, and nothing of it is ours: forgotten, and closed if somebody asks for it.
            let mut setup = channel(2, channel_type).setup().clone();
            setup.opener = Side::Remote;
            let mut fixture = ChannelFixture::new(setup);
            let close = Event::CloseRequested { channel: fixture.id(), why };
            test.open_bare(&fixture);
            let mut bare = test.fork();
            test.hear(fixture.remote_signed(0, all_theirs()).unwrap());
            test.hear(fixture.local_signed(0, all_theirs()).unwrap());
            for test in [&mut bare, &mut test] {
                test.hear(Event::ChannelForgotten { channel: fixture.id() });
            }
            assert_eq!(bare.refuse(&close), Rejected::NothingToClose(fixture.id()), "there is no commitment");
            let end = carry_out_freeze(&mut test);
            test.hear(close);
            test.again(&end);
            test.settle();
            assert!(sends_ours(&test, &fixture));
        }
    }
}
