//! The reasons in the records: why an offer is what it is, by its most urgent claim, and why a claim is declined.

use arb_core::bolt3::ChannelType;
use arb_core::sweep::{Branch, Declined, Order, Pays, Reason, Terms};
use arb_core::{Blocks, BroadcastRejection, Bump, Conclusion, ContractId, HtlcRef, Link, Side};

use crate::test_sweeper::{AMOUNT_SAT, START, TestSweeper, Wallet, child, claim, height, lazy, op, plans};
use crate::world::{World, offered};

const ANCHORS: ChannelType = ChannelType::AnchorsZeroFeeHtlcTx;

/// The reason of the last plan among these orders.
fn last(orders: &[Order]) -> Reason {
    plans(orders).last().expect("a plan").reason
}

fn first(feerate: u32, terms: Terms) -> (TestSweeper, Reason) {
    let mut test = TestSweeper::new(feerate);
    test.put([terms]);
    let orders = test.settle();
    (test, last(&orders))
}

#[test]
fn a_reason_has_deadline_budget_stake_and_estimate() {
    let (_, reason) = first(1_000, claim(1, 400, 50_000));
    let expected = Reason {
        outpoint: op(1),
        branch: Branch::Estimate,
        deadline: Some(height(START + 400)),
        budget_sat: 50_000,
        at_stake_sat: AMOUNT_SAT,
        estimate_sat_per_kw: 1_000,
        estimate_age: Some(Blocks::new(0)),
    };
    assert_eq!(reason, expected);
    let (mut test, _) = first(1_000, claim(1, 30, 50_000));
    test.fresh = false;
    let (branch, deadline, estimate_age) = (Branch::Curve, Some(height(START + 30)), Some(Blocks::new(3)));
    assert_eq!(last(&test.at(3)), Reason { branch, deadline, estimate_age, ..expected });
    // Before any estimate, the fallback.
    let mut test = TestSweeper::new(1_000);
    test.fees = None;
    test.put([claim(1, 400, 50_000)]);
    let fallback = Reason { estimate_sat_per_kw: 2_500, estimate_age: None, ..expected };
    assert_eq!(last(&test.settle()), fallback);
}

#[test]
fn each_branch_of_the_curve_has_a_name() {
    assert_eq!(first(1_000, lazy(1, 50_000)).1.branch, Branch::Lazy);
    assert_eq!(first(1_000, claim(1, 30, 50_000)).1.branch, Branch::Pressing);
    assert_eq!(first(1_000, claim(1, 400, 1_400)).1.branch, Branch::Tight);
    assert_eq!(first(1_000, claim(1, 0, 50_000)).1.branch, Branch::Late);
    let (mut test, _) = first(1_000, claim(1, 400, 50_000));
    assert_eq!(last(&test.at(300)).branch, Branch::Curve);
    assert_eq!(last(&test.at(399)).branch, Branch::Deadline);
    let (mut test, _) = first(1_000, claim(1, 0, 50_000));
    assert_eq!(last(&test.at(6)).branch, Branch::Late, "up to the whole budget");
    assert_eq!(first(1_000, Terms { pays: Pays::Signed, ..claim(1, 100, 500) }).1.branch, Branch::Signed);
}

#[test]
fn a_refusal_for_the_fee_is_a_reason() {
    let (mut test, _) = first(1_000, claim(1, 400, 50_000));
    test.reject(1, BroadcastRejection::FeeTooLow);
    assert_eq!(last(&test.at(1)).branch, Branch::Pressed);
    // Without one, the curve alone leads.
    assert_eq!(last(&test.at(200)).branch, Branch::Curve);
}

#[test]
fn what_was_wanted_before_is_a_reason() {
    let mut test = TestSweeper::with(5_000, [lazy(1, 50_000), lazy(2, 50_000)]);
    test.estimate(&[(1, 1_000)]);
    test.reject(1, BroadcastRejection::ConflictInMempool);
    let reason = last(&test.at(1));
    assert_eq!((reason.branch, reason.estimate_sat_per_kw), (Branch::Kept, 1_000));
}

#[test]
fn the_price_of_a_replacement_is_a_reason() {
    let mut test = TestSweeper::with(1_000, [claim(1, 10, 50_000), claim(2, 10, 50_000)]);
    test.at(3);
    let orders = test.at(4);
    let branches: Vec<Branch> = plans(&orders).iter().map(|plan| plan.reason.branch).collect();
    assert_eq!(branches, [Branch::Replaces, Branch::Curve], "one of two replaces the transaction of both");
}

#[test]
fn the_most_urgent_claim_speaks_for_its_transaction() {
    let mut test = TestSweeper::new(1_000);
    test.put([claim(1, 410, 90_000), claim(2, 405, 50_000), claim(3, 405, 40_000)]);
    let orders = test.settle();
    let [plan] = plans(&orders)[..] else { panic!("{orders:?}") };
    assert_eq!((plan.members.len(), plan.reason.outpoint, plan.reason.budget_sat), (3, op(2), 50_000));
}

#[test]
fn a_child_has_the_whole_commitment_at_stake() {
    let mut test = TestSweeper::new(1_000);
    test.wallet = Wallet::Rich;
    test.put([child(1, &[(Some(100), 20_000), (None, 30_000)], 500)]);
    let reason = last(&test.settle());
    assert_eq!((reason.at_stake_sat, reason.budget_sat), (AMOUNT_SAT, 30_000));
    assert_eq!(reason.deadline, Some(height(START + 100)));
    // In a court, too: our balance, and the HTLC that waits for the commitment.
    let mut world = World::new(ANCHORS, &[offered(0, 24_000, 10, Link::Own)], &[400_000], 2_000);
    world.close();
    let planned = world.concluded().find_map(|what| match what {
        Conclusion::SweepPlanned(sweep) => Some(sweep.plan.reason),
        _ => None,
    });
    let ours = world.commitment(Side::Local);
    // Both sides have the same balance, and the funder pays the fee: the larger output may be either's.
    let at_stake_sat = planned.expect("a child").at_stake_sat;
    let fits = |main_sat: u64| at_stake_sat == main_sat + 24_000;
    assert!(ours.output.iter().any(|output| fits(output.value.to_sat())), "{at_stake_sat}: {ours:#?}");
}

#[test]
fn an_operators_bump_is_a_reason() {
    let mut world = World::new(ANCHORS, &[offered(0, 400_000, 100, Link::Own)], &[400_000, 300_000], 1_000);
    world.confirm(world.commitment(Side::Remote));
    world.mine_empty_to(110);
    let output = world.output(Side::Remote, HtlcRef::offered(0));
    world.bump(Some(output), Bump { feerate_sat_per_kw: 40_000, ..Bump::default() });
    let branches: Vec<Branch> = world
        .concluded()
        .filter_map(|what| match what {
            Conclusion::SweepPlanned(sweep) if sweep.plan.members.contains(&output) => Some(sweep.plan.reason.branch),
            _ => None,
        })
        .collect();
    assert_eq!(branches.last(), Some(&Branch::Bumped), "{branches:?}");
    assert!(!branches[..branches.len() - 1].contains(&Branch::Bumped));
}

#[test]
fn a_claim_that_is_declined_says_why_once_and_the_docket_shows_it() {
    let mut world = World::new(ANCHORS, &[offered(0, 3_000, 10, Link::Own)], &[400_000], 50_000);
    world.confirm(world.commitment(Side::Local));
    world.mine_to(40);
    let output = world.output(Side::Local, HtlcRef::offered(0));
    let declined: Vec<Declined> = world
        .concluded()
        .filter_map(|what| match what {
            Conclusion::Uneconomic { outpoint, why } if *outpoint == output => Some(*why),
            _ => None,
        })
        .collect();
    let [why] = declined[..] else { panic!("once: {declined:?}") };
    assert!(why.cost_sat > why.budget_sat && why.budget_sat < 3_000, "{why:?}");
    let docket = world.court.docket(world.court.index_of(&world.id()).unwrap()).unwrap();
    let status = docket.contracts.iter().find(|contract| contract.id == ContractId::Output(output)).unwrap();
    assert_eq!(status.declined, Some(why));
    // Once it is planned, nothing is declined any more.
    world.estimate(253);
    let docket = world.court.docket(world.court.index_of(&world.id()).unwrap()).unwrap();
    let status = docket.contracts.iter().find(|contract| contract.id == ContractId::Output(output)).unwrap();
    assert_eq!((status.next_output, status.declined), (Some(output), None));
}
