//! Fee spikes and coins: no claim may be lost to them.

use arb_core::{
    ActionId, BroadcastAnswer, BroadcastRejection, ChainArbitrator, CloseReason, Event, FeeInput, FeeInputsOffered,
    Height, HtlcRef,
};
use arb_harness::keys::WalletKeys;
use arb_lab::chain::flat_fees;
use arb_lab::fixture::ChannelFixture;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Txid};

use crate::support::{asked, block, blocks_to, court, fixture, hear, learned, open, received, to_sign, try_hear};

/// A preimage that is learned in a fee spike is used after the spike, because the expiry is far away.
#[test]
fn a_late_preimage_in_a_fee_spike_is_claimed_after_it() {
    let (mut court, mut fixture) = (court(), fixture(1));
    open(&mut court, &mut fixture, vec![received(0, 50_000, 900, 1)]);
    let tx = fixture.remote_commitment_tx(0).unwrap();
    let txid = tx.compute_txid();
    hear(&mut court, &block(101, 101, vec![tx]));
    blocks_to(&mut court, 250);
    hear(&mut court, &flat_fees(60_000, 253));
    hear(&mut court, &learned(&fixture, HtlcRef::received(0), 1));
    blocks_to(&mut court, 252);
    hear(&mut court, &flat_fees(2_500, 253));
    blocks_to(&mut court, 254);
    let claimed = to_sign(&court).into_iter().filter(|tx| {
        tx.input.iter().any(|input| input.previous_output.txid == txid) && tx.output[0].value.to_sat() < 50_000
    });
    assert_eq!(claimed.count(), 1);
}

/// A channel that closes with our commitment and has a received HTLC with a known preimage; once confirmed it needs a coin.
fn close_needing_a_coin(court: &mut ChainArbitrator, fixture: &mut ChannelFixture) {
    open(court, fixture, vec![received(0, 100_000, 900, 1)]);
    hear(court, &learned(fixture, HtlcRef::received(0), 1));
    hear(court, &Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
}

/// Hears a block with our commitments.
fn confirm(court: &mut ChainArbitrator, fixtures: &[&ChannelFixture]) {
    let height = court.tip().height.get() + 1;
    let txs = fixtures.iter().map(|fixture| fixture.local_commitment_tx(0).unwrap()).collect();
    hear(court, &block(height, height, txs));
}

fn offer(fixture: &ChannelFixture, request: ActionId, value_sat: u64) -> Event {
    offer_coin(fixture, request, value_sat, 8)
}

fn offer_coin(fixture: &ChannelFixture, request: ActionId, value_sat: u64, coin: u8) -> Event {
    let script = WalletKeys::from_seed(&[4; 32]).script_for(b"coin");
    let outpoint = OutPoint::new(Txid::from_byte_array([coin; 32]), 0);
    let coin = FeeInput { outpoint, value_sat, script: script.clone() };
    Event::FeeInputsOffered(Box::new(FeeInputsOffered {
        channel: fixture.id(),
        request,
        inputs: vec![coin],
        change: script,
    }))
}

/// If the wallet lacks the coin that was requested in a fee spike, the request after the spike is smaller.
#[test]
fn a_request_for_a_coin_shrinks_with_the_feerate() {
    let (mut court, mut fixture) = (court(), fixture(1));
    close_needing_a_coin(&mut court, &mut fixture);
    hear(&mut court, &flat_fees(30_000, 253));
    confirm(&mut court, &[&fixture]);
    let (request, amount_sat) = asked(&court, fixture.id()).unwrap();
    hear(&mut court, &Event::FeeInputsRefused { channel: fixture.id(), request, missing_sat: amount_sat });
    hear(&mut court, &flat_fees(1_000, 253));
    let (_, now_sat) = asked(&court, fixture.id()).unwrap();
    assert!(now_sat < amount_sat / 10, "{now_sat} of {amount_sat}");
}

/// One coin is never given to two claims, even if one of them waits.
#[test]
fn a_coin_that_was_offered_once_is_not_taken_twice() {
    let (mut court, mut one, mut other) = (court(), fixture(1), fixture(2));
    close_needing_a_coin(&mut court, &mut one);
    close_needing_a_coin(&mut court, &mut other);
    hear(&mut court, &flat_fees(2_500, 253));
    confirm(&mut court, &[&one, &other]);
    let (first, second) = (asked(&court, one.id()).unwrap().0, asked(&court, other.id()).unwrap().0);
    // At this feerate the first claim is not worth its fee; it keeps its coin.
    hear(&mut court, &flat_fees(100_000, 253));
    hear(&mut court, &offer(&one, first, 1_000_000));
    assert!(try_hear(&mut court, &offer(&other, second, 1_000_000)).is_err());
}

/// An answer `MissingInputs` must not make court, wallet and signer loop within one block.
#[test]
fn a_coin_that_was_let_go_is_not_taken_again_in_the_same_block() {
    let (mut court, mut fixture) = (court(), fixture(1));
    close_needing_a_coin(&mut court, &mut fixture);
    hear(&mut court, &flat_fees(2_500, 253));
    confirm(&mut court, &[&fixture]);
    let (request, _) = asked(&court, fixture.id()).unwrap();
    hear(&mut court, &offer(&fixture, request, 1_000_000));
    let sweeps = to_sign(&court);
    let sweep = sweeps.iter().find(|tx| tx.input.len() == 2).unwrap();
    let answer = BroadcastAnswer::Rejected(BroadcastRejection::MissingInputs);
    let (channel, txid) = (fixture.id(), sweep.compute_txid());
    hear(&mut court, &Event::BroadcastAnswered { channel, txid, answer });
    assert!(asked(&court, fixture.id()).is_none(), "the claim is paused until the next block");
    let height = court.tip().height.get() + 1;
    blocks_to(&mut court, height);
    assert_eq!(court.tip().height, Height::new(height));
    // A11: the node did not know the coin, so it is not taken again soon; another one is.
    let (again, _) = asked(&court, fixture.id()).unwrap();
    assert!(try_hear(&mut court, &offer(&fixture, again, 1_000_000)).is_err());
    hear(&mut court, &offer_coin(&fixture, again, 1_000_000, 9));
}
