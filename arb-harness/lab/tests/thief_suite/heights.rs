//! Heights at which nobody looks again.

use arb_core::{Blocks, ChainArbitrator, Event, HtlcRef, Policy};
use arb_lab::chain::flat_fees;

use crate::support::{block, blocks_to, channel, court, fixture, hear, learned, open, received};

/// R11: what is put off because blocks are missing is taken up again when they are there, alarm or not.
#[test]
fn a_preimage_that_comes_while_behind_still_takes_the_channel_to_chain() {
    let (mut court, mut fixture) = (court(), fixture(1));
    open(&mut court, &mut fixture, vec![received(0, 1_000_000, 120, 1)]);
    for height in 101..=105 {
        hear(&mut court, &block(height, 110, Vec::new()));
    }
    // Its deadline, 18 blocks before the expiry, is past by now: no alarm will ring for it.
    hear(&mut court, &learned(&fixture, HtlcRef::received(0), 1));
    for height in 106..=110 {
        hear(&mut court, &block(height, 110, Vec::new()));
    }
    assert!(channel(&court, &fixture).frozen().is_some());
}

/// The same where the source takes the missing blocks back instead of delivering them.
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

/// An HTLC that was small only while fees were high is not forgotten when they fall.
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

/// I15, R5: a channel's row may be newer than the policy that the court's row has.
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
    // The checkpoint was torn after the channels' rows.
    let rows: Vec<_> = court.channels().map(|(index, channel)| (index, channel.clone())).collect();
    let mut recovered = ChainArbitrator::restore(old, rows).unwrap();
    recovered.fold(&frame).unwrap();
    assert!(*recovered.indexes() == recovered.rebuilt_indexes());
    blocks_to(&mut court, 200);
    blocks_to(&mut recovered, 200);
    assert!(channel(&court, &fixture).frozen().is_some());
    assert!(channel(&recovered, &fixture).frozen().is_some());
    assert!(court == recovered);
}
