//! The benchmark's mempool: BIP 125 to the satoshi, the relay floor, and blocks.

use arb_lab::bench::fees::mempool::{Accepted, Mempool, Refusal};

use super::support::offered;

const FLOOR: u32 = 253;

/// A mempool with one transaction of claims 0 and 1 (400 WU, 1,000 sat) and one of claim 2 (400 WU, 500 sat).
fn mempool() -> Mempool {
    let mut mempool = Mempool::default();
    assert_eq!(mempool.offer(&offered(&[0, 1], 400, 1_000), FLOOR), Ok(Accepted::New));
    assert_eq!(mempool.offer(&offered(&[2], 400, 500), FLOOR), Ok(Accepted::New));
    mempool
}

#[test]
fn a_replacement_pays_the_old_fee_and_a_satoshi_for_each_of_its_own_vbytes() {
    // 401 WU are 101 vB.
    let (same, more) = (offered(&[0, 1], 401, 1_100), offered(&[0, 1], 401, 1_101));
    let mut mempool = mempool();
    assert_eq!(mempool.offer(&same, FLOOR), Err(Refusal::FeeTooLow { wanted_sat: 1_101 }));
    assert_eq!(mempool.standing(0).unwrap().fee_sat, 1_000, "the old transaction stays");
    assert_eq!(mempool.offer(&more, FLOOR), Ok(Accepted::Replaced(1)));
    assert_eq!((mempool.standing(1).unwrap().fee_sat, mempool.entries().len()), (1_101, 2));
}

#[test]
fn a_replacement_pays_more_for_its_size_too() {
    // Ten times as large: rule 4 asks for 2,000 sat, the feerate rule for more than 10,000.
    let mut mempool = mempool();
    let large = |fee_sat| offered(&[0, 1, 3], 4_000, fee_sat);
    assert_eq!(mempool.offer(&large(10_000), FLOOR), Err(Refusal::FeerateTooLow));
    assert_eq!(mempool.offer(&large(10_001), FLOOR), Ok(Accepted::Replaced(1)));
}

#[test]
fn whoever_replaces_two_pays_for_both() {
    let mut mempool = mempool();
    let both = |fee_sat| offered(&[0, 1, 2], 800, fee_sat);
    assert_eq!(mempool.offer(&both(2_001), FLOOR), Ok(Accepted::Replaced(2)), "1,000 and 500 and 200, but 2.5 sat/WU");
    let mut mempool = Mempool::default();
    for claim in [0, 1] {
        mempool.offer(&offered(&[claim], 400, 1_000), FLOOR).unwrap();
    }
    let wanted_sat = 2_000 + 110;
    assert_eq!(mempool.offer(&offered(&[0, 1], 440, 2_109), FLOOR), Err(Refusal::FeeTooLow { wanted_sat }));
    assert_eq!(mempool.offer(&offered(&[0, 1], 440, 2_110), FLOOR), Ok(Accepted::Replaced(2)));
}

#[test]
fn the_first_part_of_a_split_pays_for_the_whole() {
    let mut mempool = mempool();
    assert_eq!(mempool.offer(&offered(&[0], 400, 1_099), FLOOR), Err(Refusal::FeeTooLow { wanted_sat: 1_100 }));
    assert_eq!(mempool.offer(&offered(&[0], 400, 1_100), FLOOR), Ok(Accepted::Replaced(1)));
    assert_eq!(mempool.standing(1), None, "claim 1 has no transaction any more");
    assert_eq!(mempool.offer(&offered(&[1], 400, 102), FLOOR), Ok(Accepted::New));
}

#[test]
fn the_floor_is_the_floor() {
    let mut mempool = Mempool::default();
    assert_eq!(mempool.offer(&offered(&[0], 1_000, 252), FLOOR), Err(Refusal::BelowFloor));
    assert_eq!(mempool.offer(&offered(&[0], 1_000, 253), FLOOR), Ok(Accepted::New));
    assert_eq!(mempool.offer(&offered(&[0], 1_000, 253), FLOOR), Ok(Accepted::Known));
}

#[test]
fn a_block_takes_what_pays_its_price() {
    let mut mempool = mempool();
    assert_eq!(mempool.mine(2_501), []);
    let mined = mempool.mine(2_500);
    assert_eq!(mined.iter().map(|entry| entry.claims.clone()).collect::<Vec<_>>(), [vec![0, 1]]);
    mempool.void(2);
    assert_eq!(mempool.entries(), []);
}
