//! What the engine allows and counts, on markets made by hand.

use arb_lab::bench::fees::claims::{Claim, weight};
use arb_lab::bench::fees::engine::{Account, play};
use arb_lab::bench::fees::policy::Offered;
use arb_lab::bench::fees::verdict::{Verdict, judge};

use super::support::{Scripted, close, direct, lazy, offered, played, second_level, tape};

const DEAR: u32 = 200_000;

/// An offer of these claims at this feerate, with the weight that it has.
fn at(claims: &[Claim], ids: &[usize], feerate: u64) -> Offered {
    let weight = weight(ids.iter().map(|id| &claims[*id]));
    offered(ids, weight, (weight * feerate).div_ceil(1_000))
}

/// Clearing feerates of forty blocks, low in these ones only.
fn cheap_in(blocks: &[usize]) -> Vec<u32> {
    (0..40).map(|block| if blocks.contains(&block) { 1_000 } else { DEAR }).collect()
}

#[test]
fn a_transaction_is_in_the_next_block_that_it_pays_for() {
    let claims = [direct(0, 100_000, 5, 10)];
    let fee_sat = at(&claims, &[0], 1_000).fee_sat;
    let good = Account {
        claims_due: 1,
        value_sat: 100_000,
        fees_from_value_sat: fee_sat,
        recovered_sat: 100_000 - i64::try_from(fee_sat).unwrap(),
        ..Account::default()
    };
    let lost =
        Account { claims_due: 1, deadlines_missed: 1, value_sat: 100_000, lost_sat: 100_000, ..Account::default() };
    // The verdict is fixed, because `judge` would find the claim hopeless with block 5 or 11 as the only cheap one.
    let run = |cheap: usize| {
        let (close, tape) = (close(&claims), tape(&cheap_in(&[cheap])));
        play(&close, &[Verdict::Counted], &tape, &mut Scripted::new(|_| vec![at(&claims, &[0], 1_000)]))
    };
    assert_eq!([run(6), run(10)], [good, good]);
    assert_eq!([run(5), run(11)], [lost, lost], "not before it is offered, and not after its deadline");
    // A feerate of 998 sat/kw is below the block's 1,000.
    assert_eq!(played(&claims, &cheap_in(&[8]), |_| vec![at(&claims, &[0], 998)]), lost);
}

#[test]
fn a_second_level_pays_from_the_wallet_and_its_output_waits_for_the_delay() {
    let claims = second_level(0, 100_000, 5, 10, 6);
    let fees = [0, 1].map(|id| at(&claims, &[id], 1_000).fee_sat);
    let (close, tape) = (close(&claims), tape(&[1_000; 40]));
    let mut policy = Scripted::new(|tip| vec![at(&claims, &[if tip < 6 { 0 } else { 1 }], 1_000)]);
    let account = play(&close, &judge(&close, &tape), &tape, &mut policy);
    // The second level confirms in block 6, so its output can be spent in block 12.
    assert_eq!(policy.asked, [(5, vec![0]), (11, vec![1])]);
    assert_eq!((account.fees_from_wallet_sat, account.fees_from_value_sat), (fees[0], fees[1]));
    assert_eq!(account.recovered_sat, 100_000 - i64::try_from(fees[1]).unwrap());
    assert_eq!((account.claims_due, account.value_sat, account.lost_sat), (1, 100_000, 0));
}

#[test]
fn a_lost_claim_takes_its_transaction_with_it_and_nothing_has_to_be_outbid() {
    let claims = [direct(0, 100_000, 5, 8), direct(1, 100_000, 5, 20)];
    let together = at(&claims, &[0, 1], 900);
    // A lower fee than that of the transaction that is void.
    let alone = at(&claims, &[1], 500);
    let answer = |tip| vec![if tip < 8 { together.clone() } else { alone.clone() }];
    let prices: Vec<u32> = (0..40).map(|block| if block == 12 { 500 } else { DEAR }).collect();
    let (close, tape) = (close(&claims), tape(&prices));
    let account = play(&close, &[Verdict::Counted; 2], &tape, &mut Scripted::new(answer));
    assert_eq!((account.deadlines_missed, account.lost_sat, account.replacements), (1, 100_000, 0));
    assert_eq!(account.fees_from_value_sat, alone.fee_sat);
}

#[test]
fn what_the_policy_gets_wrong_is_as_if_it_had_not_been_said() {
    let claims = [direct(0, 100_000, 5, 10), lazy(1, 100_000, 30)];
    let right = at(&claims, &[0], 1_000);
    let missed = |offer: Offered| played(&claims[..1], &[1_000; 40], |_| vec![offer.clone()]).deadlines_missed;
    assert_eq!(missed(right.clone()), 0);
    assert_eq!(missed(offered(&[0], right.weight - 1, right.fee_sat)), 1, "a weight below the true one");
    assert_eq!(missed(offered(&[0, 0], right.weight, right.fee_sat)), 1, "a claim twice");
    assert_eq!(missed(offered(&[], right.weight, right.fee_sat)), 1, "no claim");
    assert_eq!(missed(offered(&[0], right.weight, 100_000 - 294)), 0);
    assert_eq!(missed(offered(&[0], right.weight, 100_000 - 293)), 1, "dust");
    // The second claim is claimable from block 30 on.
    let both = at(&claims, &[0, 1], 1_000);
    let account = played(&claims, &[1_000; 40], |tip| if tip < 30 { vec![both.clone()] } else { vec![] });
    assert_eq!((account.deadlines_missed, account.lost_sat), (1, 200_000), "a claim that is never claimed is lost");
}

#[test]
fn the_better_of_two_offers_replaces_and_a_refused_one_leaves_the_old() {
    let claims = [direct(0, 100_000, 5, 20)];
    let (first, second) = (at(&claims, &[0], 500), at(&claims, &[0], 1_000));
    let too_little = offered(&[0], first.weight, first.fee_sat + first.weight.div_ceil(4) - 1);
    let answer = |tip| match tip {
        5 => vec![first.clone()],
        6 => vec![too_little.clone()],
        8 => vec![second.clone()],
        _ => vec![],
    };
    let prices =
        |cheap: usize, price| (0..40).map(|block| if block == cheap { price } else { DEAR }).collect::<Vec<_>>();
    let early = played(&claims, &prices(8, 500), answer);
    assert_eq!((early.replacements, early.fees_from_value_sat), (0, first.fee_sat));
    let late = played(&claims, &prices(15, 1_000), answer);
    assert_eq!((late.replacements, late.fees_from_value_sat), (1, second.fee_sat));
}

#[test]
fn what_is_hopeless_takes_its_share_of_the_fee_with_it() {
    // At this feerate half of 1,000 sat does not pay for a claim; half of 100,000 sat does.
    let claims = [direct(0, 1_000, 5, 10), direct(1, 100_000, 5, 10)];
    let offer = at(&claims, &[0, 1], 5_000);
    let (close, tape) = (close(&claims), tape(&[5_000; 40]));
    let verdicts = judge(&close, &tape);
    assert_eq!(verdicts, [Verdict::Hopeless, Verdict::Counted]);
    let account = play(&close, &verdicts, &tape, &mut Scripted::new(|_| vec![offer.clone()]));
    assert_eq!((account.claims_due, account.hopeless, account.value_sat), (1, 1, 100_000));
    // Both claims weigh the same, so the hopeless one takes half of the fee out of the account.
    assert_eq!(account.fees_from_value_sat, offer.fee_sat - offer.fee_sat / 2);
    assert_eq!(account.recovered_sat, 100_000 - i64::try_from(account.fees_from_value_sat).unwrap());
}
