//! Channels whose funding never confirms (A19).

use arb_core::bolt3::ChannelType;
use arb_core::{
    Acknowledged, CloseReason, Event, FailReason, FreezeReason, Heard, Htlc, HtlcRef, Link, Rejected, Stage, Upstream,
};
use arb_lab::fixture::ChannelFixture;
use bitcoin::{Transaction, absolute, transaction};

use crate::test_court::{START, TYPES, TestCourt, channel, height, learned, offered, preimage, received, state};

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
        let mut test = TestCourt::new();
        test.hear(fixture.opened(fixture.standing(0, 0).unwrap()));
        assert_eq!(test.refuse(&never(&fixture)), refused, "the chain was not searched");
        test.signer.add_channel(fixture.setup().id, fixture.setup().funding, fixture.setup().local.clone());
        test.open_states(&mut fixture, &[]);
        test.settle();
        let mut behind = test.fork();
        behind.best = Some(START + 9);
        behind.block(&[]);
        assert_eq!(behind.refuse(&never(&fixture)), refused, "it may be in a block that is still to come");
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
