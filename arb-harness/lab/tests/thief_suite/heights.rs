//! Deadlines whose alarm height passes before the court may act on them (R11, R5, I15).

use arb_core::{Blocks, ChainArbitrator, Event, HtlcRef, Policy};
use arb_lab::chain::flat_fees;

use crate::support::{block, blocks_to, channel, court, fixture, hear, learned, open, received};

/// R11: a decision that was put off because blocks are missing is made once they are heard, without an alarm height.
#[test]
fn a_preimage_that_comes_while_behind_still_takes_the_channel_to_chain() {
    let (mut court, mut fixture) = (court(), fixture(1));
    open(&mut court, &mut fixture, vec![received(0, 1_000_000, 120, 1)]);
    for height in 101..=105 {
        hear(&mut court, &block(height, 110, Vec::new()));
    }
    // The deadline, 18 blocks before the expiry, has passed, so its alarm height will not come.
    hear(&mut court, &learned(&fixture, HtlcRef::received(0), 1));
    for height in 106..=110 {
        hear(&mut court, &block(height, 110, Vec::new()));
    }
    assert!(channel(&court, &fixture).frozen().is_some());
}

/// The same if the chain source lowers its best height instead of delivering the missing blocks.
#[test]
fn a_best_height_that_falls_ends_the_wait() {
    let (mut court, mut fixture) = (court(), fixture(1));
    open(&mut court, &mut fixture, vec![received(0, 1_000_000, 115, 1)]);
    hear(&mut court, &block(101, 101, Vec::new()));
    let Event::BlockConnected(last) = block(102, 110, Vec::new()) else { panic!() };
    hear(&mut court, &Event::BlockConnected(last.clone()));
    hear(&mut court, &learned(&fixture, HtlcRef::received(0), 1));
    assert_eq!(channel(&court, &fixture).frozen(), None);
    let back = arb_core::Disconnected {
        height: last.height,
        hash: last.hash,
        parent: last.parent,
        best_height: court.tip().height.before(Blocks::new(1)),
    };
    hear(&mut court, &Event::BlockDisconnected(back));
    assert!(channel(&court, &fixture).frozen().is_some());
}

/// An HTLC that is worth less than a close only in a fee spike is reconsidered when fees fall.
#[test]
fn an_overdue_htlc_goes_to_chain_once_a_fee_spike_is_over() {
    let (mut court, mut fixture) = (court(), fixture(1));
    open(&mut court, &mut fixture, vec![received(0, 400_000, 200, 1)]);
    hear(&mut court, &learned(&fixture, HtlcRef::received(0), 1));
    blocks_to(&mut court, 181);
    hear(&mut court, &flat_fees(250_000, 253));
    blocks_to(&mut court, 183);
    assert_eq!(channel(&court, &fixture).frozen(), None, "a close costs more than it saves");
    hear(&mut court, &flat_fees(2_500, 253));
    blocks_to(&mut court, 185);
    assert!(channel(&court, &fixture).frozen().is_some());
}

/// I15, R5: after a torn checkpoint a channel's row may be newer than the court's row with the policy.
#[test]
fn a_policy_in_a_frame_that_a_row_is_ahead_of_reaches_that_channel_s_alarm() {
    let (mut court, mut fixture) = (court(), fixture(1));
    open(&mut court, &mut fixture, vec![received(0, 1_000_000, 300, 1)]);
    hear(&mut court, &learned(&fixture, HtlcRef::received(0), 1));
    let old = court.snapshot();
    let mut step = court.step();
    step.hear(&Event::PolicySet(Policy { incoming_margin: Blocks::new(100), ..Policy::default() })).unwrap();
    let pending = step.detach();
    let frame = pending.frame().clone();
    let _due = pending.attest_durable();
    // The checkpoint ended after the channels' rows and before the court's.
    let rows: Vec<_> = court.channels().map(|(index, channel)| (index, channel.clone())).collect();
    let mut recovered = ChainArbitrator::restore(old, [], rows).unwrap();
    recovered.fold(&frame).unwrap();
    assert!(*recovered.indexes() == recovered.rebuilt_indexes());
    blocks_to(&mut court, 200);
    blocks_to(&mut recovered, 200);
    assert!(channel(&court, &fixture).frozen().is_some());
    assert!(channel(&recovered, &fixture).frozen().is_some());
    assert!(court == recovered);
}
