//! Which claims count, on markets made by hand.

use arb_lab::bench::fees::claims::weight;
use arb_lab::bench::fees::verdict::{Verdict, judge};

use super::support::{close, direct, lazy, second_level, tape};

const DEAR: u32 = 240_000;

/// The verdict on a claim from block 1 to its deadline, block 4, with these clearing feerates in blocks 0 to 6.
fn verdict(amount_sat: u64, prices: [u32; 7]) -> Verdict {
    judge(&close(&[direct(0, amount_sat, 1, 4)]), &tape(&prices))[0]
}

#[test]
fn a_claim_is_hopeless_if_half_of_it_buys_no_block_in_time() {
    let weight = weight([direct(0, 0, 0, 0)].iter());
    // The budget is 10,000 sat.
    let most = u32::try_from(10_000 * 1_000 / weight).unwrap();
    let at = |block: usize, price: u32| {
        let mut prices = [DEAR; 7];
        prices[block] = price;
        verdict(20_001, prices)
    };
    assert_eq!((at(3, most), at(3, most + 1)), (Verdict::Counted, Verdict::Hopeless));
    // Offered after block 1, it can confirm in block 2; block 4 is the last one in time.
    let expected = [Verdict::Hopeless, Verdict::Hopeless, Verdict::Counted, Verdict::Counted, Verdict::Counted];
    assert_eq!([0, 1, 2, 3, 4].map(|block| at(block, 253)), expected);
    assert_eq!([5, 6].map(|block| at(block, 253)), [Verdict::Hopeless; 2]);
}

#[test]
fn nobody_pays_more_than_a_thousand_sat_per_vbyte() {
    assert_eq!(verdict(5_000_000, [250_000; 7]), Verdict::Counted);
    assert_eq!(verdict(5_000_000, [250_001; 7]), Verdict::Hopeless);
}

#[test]
fn a_wallet_coin_weighs_too() {
    let direct_weight = weight([direct(0, 0, 0, 0)].iter());
    let [first, second] = second_level(0, 20_000, 1, 4, 10);
    assert!(weight([first].iter()) > direct_weight + 273);
    let price = u32::try_from(10_000 * 1_000 / direct_weight).unwrap();
    let prices = vec![price; 30];
    assert_eq!(judge(&close(&[direct(0, 20_000, 1, 4)]), &tape(&prices)), [Verdict::Counted]);
    assert_eq!(
        judge(&close(&[first, second]), &tape(&prices)),
        [Verdict::Hopeless; 2],
        "its delayed output is hopeless too"
    );
}

#[test]
fn what_costs_more_than_it_is_worth_is_uneconomic() {
    let claim = |amount_sat| lazy(0, amount_sat, 1);
    // At least 294 sat must be left for the output.
    let weight = weight([claim(0)].iter());
    let price = u32::try_from(1_000 * 1_000 / weight).unwrap();
    let verdict = |amount_sat| judge(&close(&[claim(amount_sat)]), &tape(&[price; 9]))[0];
    assert_eq!((verdict(1_294), verdict(1_293)), (Verdict::Counted, Verdict::Uneconomic));
    // One cheap block within two weeks (2,016 blocks) is enough.
    let mut prices = [DEAR; 2_100];
    prices[2_017] = 253;
    assert_eq!(judge(&close(&[claim(1_294)]), &tape(&prices)), [Verdict::Counted]);
    prices.swap(2_017, 2_018);
    assert_eq!(judge(&close(&[claim(1_294)]), &tape(&prices)), [Verdict::Uneconomic], "within two weeks");
}

#[test]
fn a_first_level_is_not_worth_it_if_its_output_never_is() {
    let claims = second_level(0, 4_000, 1, 4, 10);
    let mut prices = [DEAR; 100];
    prices[2] = 253;
    assert_eq!(judge(&close(&claims), &tape(&prices)), [Verdict::Uneconomic; 2]);
    prices[14] = 253;
    assert_eq!(judge(&close(&claims), &tape(&prices)), [Verdict::Counted; 2]);
}
