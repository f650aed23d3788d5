//! The sweeper with wallets, signers and networks that are late, poor or wrong.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::sweep::{Ask, Class, FeeInputs, Now, Order, Pays, Stake, Sweeper, Terms};
use arb_core::{
    Action, ActionId, Alert, ChainArbitrator, CloseReason, Event, FeeInput, FeeInputsOffered, Height, HtlcRef, Policy,
    Signed,
};
use arb_harness::keys::WalletKeys;
use arb_harness::signer::{KeySigner, Signer};
use arb_lab::chain::flat_fees;
use arb_lab::fixture::ChannelFixture;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, PubkeyHash, ScriptBuf, Txid};

use crate::support::{asked, block, blocks_to, court, fixture, hear, learned, open, received, to_sign, try_hear};

fn is_stuck(court: &ChainArbitrator) -> bool {
    court.actions_due().iter().any(|action| matches!(action, Action::Alert { alert: Alert::Stuck, .. }))
}

fn coin(number: u8, value_sat: u64) -> FeeInput {
    let script = WalletKeys::from_seed(&[4; 32]).script_for(b"coin");
    FeeInput { outpoint: OutPoint::new(Txid::from_byte_array([number; 32]), 0), value_sat, script }
}

fn offer(fixture: &ChannelFixture, request: ActionId, coin: FeeInput, change: ScriptBuf) -> Event {
    let channel = fixture.id();
    Event::FeeInputsOffered(Box::new(FeeInputsOffered { channel, request, inputs: vec![coin], change }))
}

/// Channels whose commitment of ours confirms at 101, each with a received HTLC whose preimage is known: each needs a coin.
fn closed(court: &mut ChainArbitrator, fixtures: &mut [&mut ChannelFixture], expiry: u32) {
    for fixture in fixtures.iter_mut() {
        open(court, fixture, vec![received(0, 400_000, expiry, 1)]);
        hear(court, &learned(fixture, HtlcRef::received(0), 1));
        hear(court, &Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    }
    hear(court, &flat_fees(2_500, 253));
    let txs = fixtures.iter().map(|fixture| fixture.local_commitment_tx(0).unwrap()).collect();
    hear(court, &block(101, 101, txs));
}

/// A wallet with less than the ample amount but more than the needed one is asked for the needed one, once.
#[test]
fn a_wallet_that_has_enough_but_not_plenty_is_asked_once() {
    let (mut court, mut fixture) = (court(), fixture(1));
    closed(&mut court, &mut [&mut fixture], 900);
    let (request, ample_sat) = asked(&court, fixture.id()).unwrap();
    // The wallet has three quarters of it: enough for one and a half times the feerate.
    let missing_sat = ample_sat / 4;
    hear(&mut court, &Event::FeeInputsRefused { channel: fixture.id(), request, missing_sat });
    assert!(!is_stuck(&court), "the requests loop");
    let (again, exact_sat) = asked(&court, fixture.id()).unwrap();
    assert!(again != request && exact_sat <= ample_sat - missing_sat);
    blocks_to(&mut court, 102);
    assert_eq!(asked(&court, fixture.id()).unwrap().0, again);
}

/// I13: a refused request of one channel does not stop the claims of another.
#[test]
fn a_poor_wallet_of_one_channel_does_not_stop_another() {
    let (mut court, mut one, mut other) = (court(), fixture(1), fixture(2));
    closed(&mut court, &mut [&mut one, &mut other], 900);
    let (request, ample_sat) = asked(&court, one.id()).unwrap();
    let refused = Event::FeeInputsRefused { channel: one.id(), request, missing_sat: ample_sat / 4 };
    hear(&mut court, &refused);
    let (request, _) = asked(&court, other.id()).unwrap();
    let change = coin(8, 0).script;
    hear(&mut court, &offer(&other, request, coin(8, 1_000_000), change));
    let change_value = |court: &ChainArbitrator| {
        to_sign(court).iter().filter(|tx| tx.input.len() == 2).map(|tx| tx.output[1].value).min()
    };
    let before = change_value(&court).unwrap();
    hear(&mut court, &flat_fees(25_000, 253));
    blocks_to(&mut court, 103);
    assert!(change_value(&court).unwrap() < before, "the other channel follows the estimate");
}

/// A change script whose dust limit exceeds the sweeper's least change is refused, or the claim is planned nevertheless.
#[test]
fn change_to_a_legacy_script_loses_no_claim() {
    let (mut court, mut fixture) = (court(), fixture(1));
    closed(&mut court, &mut [&mut fixture], 900);
    let (request, amount_sat) = asked(&court, fixture.id()).unwrap();
    let change = ScriptBuf::new_p2pkh(&PubkeyHash::from_byte_array([7; 20]));
    // The change of this coin is near the least that the sweeper keeps.
    let value_sat = amount_sat + 700;
    if try_hear(&mut court, &offer(&fixture, request, coin(8, value_sat), change)).is_err() {
        return;
    }
    hear(&mut court, &flat_fees(4_600, 253));
    for height in 102..400 {
        blocks_to(&mut court, height);
        hear(&mut court, &flat_fees(4_600 + height, 253 + height));
    }
    assert!(to_sign(&court).iter().any(|tx| tx.input.len() == 2));
}

/// A signature of a slow signer for a version that was replaced meanwhile is accepted and sent.
#[test]
fn a_signature_that_comes_late_is_taken() {
    let (mut court, mut fixture) = (court(), fixture(1));
    closed(&mut court, &mut [&mut fixture], 140);
    let wallet = WalletKeys::from_seed(&[4; 32]);
    let mut signer = KeySigner::new(wallet);
    signer.add_channel(fixture.id(), fixture.setup().funding, fixture.setup().local.clone());
    let (request, _) = asked(&court, fixture.id()).unwrap();
    let change = coin(8, 0).script;
    hear(&mut court, &offer(&fixture, request, coin(8, 10_000_000), change));
    let mut queue = Vec::new();
    let mut sent = Vec::new();
    for height in 102..140 {
        for action in court.actions_due() {
            if let Action::Sign(request) = action
                && request.tx.input.len() == 2
                && !queue.contains(&request)
            {
                queue.push(request);
            }
        }
        blocks_to(&mut court, height);
        if height > 120 {
            let request = queue.remove(0);
            let signatures = signer.sign(&request).unwrap();
            let signed = Signed { channel: fixture.id(), request: request.id, signatures };
            let _heard = try_hear(&mut court, &Event::Signed(Box::new(signed)));
        } else if height > 103 {
            queue.remove(0);
        }
        for action in court.actions_due() {
            if let Action::Broadcast { txs, .. } = action {
                sent.extend(txs.into_iter().filter(|tx| tx.input.len() == 2).map(|tx| tx.compute_txid()));
            }
        }
    }
    sent.dedup();
    assert!(sent.len() > 10, "{} versions were sent", sent.len());
}

fn point(number: u8) -> OutPoint {
    OutPoint::new(Txid::from_byte_array([number; 32]), 0)
}

fn claim(number: u8, amount_sat: u64, deadline: u32) -> Terms {
    Terms {
        outpoint: point(number),
        class: Class::Contested,
        pays: Pays::FromWallet,
        input_weight: 164 + 327,
        output_weight: 172,
        amount_sat,
        lock_time: Height::new(0),
        stakes: vec![Stake { deadline: Some(Height::new(deadline)), budget_sat: amount_sat / 2 }],
        any_price_sat: u64::MAX,
        parent: None,
    }
}

fn turn(sweeper: &mut Sweeper, terms: &BTreeMap<OutPoint, Terms>, policy: &Policy, tip: u32) -> Vec<Order> {
    let mut all = Vec::new();
    for _ in 0..32 {
        let now = Now { tip: Height::new(tip), policy, fees: None, fees_before: &[], wallet_output_weight: 124 };
        let orders = sweeper.decide(terms, &BTreeSet::new(), &now);
        if orders.is_empty() {
            return all;
        }
        for order in &orders {
            sweeper.apply(order, Height::new(tip));
        }
        all.extend(orders);
    }
    panic!("orders do not end: {all:?}");
}

/// A claim that was given coins for a split keeps them until it is split, and asks for no others.
#[test]
fn coins_given_for_a_split_that_has_to_wait_are_not_forgotten() {
    let policy = Policy::default();
    let claims = [claim(1, 9_000_000, 220), claim(2, 8_000_000, 220), claim(3, 7_000_000, 220)];
    let terms: BTreeMap<OutPoint, Terms> = claims.into_iter().map(|terms| (terms.outpoint, terms)).collect();
    let mut sweeper = Sweeper::default();
    turn(&mut sweeper, &terms, &policy, 100);
    let owner = sweeper.asked()[0].owner;
    let change = coin(0, 0).script;
    sweeper.offered(&owner, FeeInputs { coins: vec![coin(101, 50_000_000)], change: change.clone() });
    turn(&mut sweeper, &terms, &policy, 100);
    let mut given = vec![coin(101, 0).outpoint];
    let mut next = 102;
    let mut returned: Vec<OutPoint> = Vec::new();
    for tip in 200..220 {
        let _orders = turn(&mut sweeper, &terms, &policy, tip);
        // The wallet gives coins for the second claim only.
        let asks: Vec<Ask> = sweeper.asked().into_iter().copied().collect();
        for ask in asks {
            if ask.owner == point(2) && next < 112 {
                sweeper.offered(&ask.owner, FeeInputs { coins: vec![coin(next, 3_000_000)], change: change.clone() });
                given.push(coin(next, 0).outpoint);
                next += 1;
            } else {
                sweeper.refused(&ask.owner, ask.amount_sat);
            }
        }
        for order in turn(&mut sweeper, &terms, &policy, tip) {
            if let Order::Return { owner } = order {
                returned.push(owner);
            }
        }
    }
    assert!(given.len() <= 2, "{} coins were requested, one after the other, and none was used", given.len() - 1);
}

fn anchor(number: u8, stakes: Vec<Stake>) -> Terms {
    Terms {
        class: Class::Anchor,
        input_weight: 164 + 116,
        output_weight: 0,
        amount_sat: 330,
        stakes,
        any_price_sat: u64::MAX,
        parent: Some(arb_core::sweep::Parent { weight: 3_000, fee_sat: 800, at_stake_sat: 1_000_000 }),
        ..claim(number, 330, 0)
    }
}

/// Two commitments of one channel exclude each other in a mempool, so their two children must not outbid each other.
#[test]
fn two_children_of_one_channel_do_not_outbid_each_other() {
    let policy = Policy::default();
    let stakes = || vec![Stake { deadline: Some(Height::new(300)), budget_sat: 1_000_000 }];
    let claims = [anchor(1, stakes()), anchor(2, stakes())];
    let terms: BTreeMap<OutPoint, Terms> = claims.into_iter().map(|terms| (terms.outpoint, terms)).collect();
    let mut sweeper = Sweeper::default();
    turn(&mut sweeper, &terms, &policy, 100);
    let change = coin(0, 0).script;
    for (index, ask) in (0_u8..).zip(sweeper.asked().into_iter().copied().collect::<Vec<_>>()) {
        sweeper.offered(&ask.owner, FeeInputs { coins: vec![coin(101 + index, 9_000_000)], change: change.clone() });
    }
    turn(&mut sweeper, &terms, &policy, 100);
    let first = sweeper.groups().map(|(_, group)| group.fee_sat).max().unwrap();
    let loser = |sweeper: &Sweeper| sweeper.groups().min_by_key(|(_, group)| group.fee_sat).unwrap().0;
    for tip in 101..130 {
        // The child that pays less is refused for a conflict with the other.
        let loser = loser(&sweeper);
        let winner = sweeper.groups().map(|(number, _)| number).find(|number| *number != loser).unwrap();
        sweeper.accepted(winner);
        sweeper.rejected(loser, arb_core::BroadcastRejection::ConflictInMempool);
        turn(&mut sweeper, &terms, &policy, tip);
        turn(&mut sweeper, &terms, &policy, tip);
    }
    let last = sweeper.groups().map(|(_, group)| group.fee_sat).max().unwrap();
    // The curve alone raises the fee to about 3.5 times; when the children outbid each other it was 30 times.
    assert!(last < first * 5, "from {first} to {last} with 170 blocks left");
    // A child that has no place below its commitment is in no mempool: then the other one is pressed (A61).
    let loser = loser(&sweeper);
    let winner = sweeper.groups().map(|(number, _)| number).find(|number| *number != loser).unwrap();
    let fee = |sweeper: &Sweeper| sweeper.groups().find(|(number, _)| *number == loser).unwrap().1.fee_sat;
    let before = fee(&sweeper);
    sweeper.rejected(winner, arb_core::BroadcastRejection::TooLongChain);
    sweeper.rejected(loser, arb_core::BroadcastRejection::ConflictInMempool);
    turn(&mut sweeper, &terms, &policy, 130);
    assert!(fee(&sweeper) * 4 >= before * 5, "from {before} to {}", fee(&sweeper));
}

/// A claim that cannot share a transaction keeps its own coins, so no coin is in two transactions.
#[test]
fn a_coin_of_a_claim_that_stays_out_is_used_once() {
    let policy = Policy::default();
    let claims = [claim(1, 9_000_000, 300), claim(2, 8_000, 300)];
    let terms: BTreeMap<OutPoint, Terms> = claims.into_iter().map(|terms| (terms.outpoint, terms)).collect();
    let mut sweeper = Sweeper::default();
    let change = coin(0, 0).script;
    for (number, value_sat) in [(1, 500_000), (2, 60_000)] {
        let coins = vec![coin(100 + number, value_sat)];
        sweeper.offered(&point(number), FeeInputs { coins, change: change.clone() });
    }
    let fees = arb_core::Fees::new(vec![(1, 20_000)], 253);
    let fees = (fees, Height::new(100));
    let now =
        Now { tip: Height::new(100), policy: &policy, fees: Some(&fees), fees_before: &[], wallet_output_weight: 124 };
    let mut used = Vec::new();
    for order in sweeper.decide(&terms, &BTreeSet::new(), &now) {
        if let Order::Plan(plan) = order {
            used.extend(plan.fee_inputs.coins.iter().map(|coin| coin.outpoint));
        }
    }
    assert_eq!(used.len(), 2);
    assert_ne!(used[0], used[1]);
}

/// A claim without a deadline follows the estimate every `lazy_target` blocks, not only once.
#[test]
fn a_lazy_claim_is_looked_at_more_than_once() {
    let (mut court, mut fixture) = (court(), fixture(1));
    open(&mut court, &mut fixture, Vec::new());
    hear(&mut court, &flat_fees(2_500, 253));
    let tx = fixture.remote_commitment_tx(0).unwrap();
    hear(&mut court, &block(101, 101, vec![tx]));
    // The wallet offers no script, so the claim pays to the fallback script.
    blocks_to(&mut court, 260);
    let least = |court: &ChainArbitrator| to_sign(court).iter().map(|tx| tx.output[0].value).min().unwrap();
    let before = least(&court);
    hear(&mut court, &flat_fees(25_000, 253));
    blocks_to(&mut court, 420);
    assert!(least(&court) < before);
}
