//! The drawn closes: the same for every contestant, with claims of every kind.

use std::collections::BTreeMap;

use arb_core::bolt3::ClaimPath;
use arb_lab::bench::fees::Contestant;
use arb_lab::bench::fees::claims::{Claim, Close, draw, weight};
use arb_lab::bench::fees::engine::play;
use arb_lab::bench::fees::verdict::judge;
use arb_lab::market::{Market, MarketKind, Tape};

use super::support::Scripted;

fn claims(closes: &[Close]) -> impl Iterator<Item = &Claim> {
    closes.iter().flat_map(|close| &close.claims)
}

#[test]
fn a_seed_is_its_closes_however_many_are_asked_for() {
    assert_eq!(draw(1, 40), draw(1, 100)[..40]);
    assert_ne!(draw(1, 40), draw(2, 40));
    assert_eq!(draw(1, 0), []);
}

#[test]
fn every_kind_of_claim_is_drawn_with_its_blocks() {
    let closes = draw(1, 2_000);
    let mut kinds: BTreeMap<ClaimPath, u64> = BTreeMap::new();
    for close in &closes {
        for (place, claim) in close.claims.iter().enumerate() {
            *kinds.entry(claim.kind).or_default() += 1;
            assert_eq!(claim.id, place);
            assert!((1_000..=5_000_000).contains(&claim.amount_sat) && claim.claimable >= close.at);
            if let Some(deadline) = claim.deadline {
                let blocks = deadline - claim.claimable;
                let incoming = matches!(claim.kind, ClaimPath::HtlcSuccess | ClaimPath::DirectPreimage);
                // Incoming: at least the margin of 18 blocks. Outgoing: a CLTV delta less a margin.
                let expected = if incoming { 18..=500 } else { 14..=138 };
                assert!(expected.contains(&blocks), "{claim:?}");
                assert_eq!(incoming, claim.lock_time == 0);
                assert!(claim.lock_time <= claim.claimable);
            }
            if let Some((first, delay)) = claim.after {
                let first = &close.claims[first];
                assert_eq!((claim.id, claim.amount_sat), (first.id + 1, first.amount_sat));
                assert_eq!(Some(claim.claimable + 1), first.deadline.map(|deadline| deadline + delay));
            }
        }
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    assert!(kinds.values().all(|count| *count > 500), "{kinds:?}");
}

#[test]
fn most_closes_have_few_htlcs_and_some_have_many() {
    let closes = draw(3, 2_000);
    let count = |close: &Close| close.claims.iter().filter(|claim| claim.deadline.is_some()).count();
    let mut counts: Vec<usize> = closes.iter().map(count).collect();
    counts.sort_unstable();
    assert_eq!((counts[0], counts[1_999]), (0, 60));
    assert!((1..=2).contains(&counts[1_000]) && counts[1_900] > 15, "{} {}", counts[1_000], counts[1_900]);
}

#[test]
fn amounts_are_as_often_in_one_octave_as_in_another() {
    let closes = draw(5, 3_000);
    let mut octaves = [0_u32; 12];
    for claim in claims(&closes).filter(|claim| claim.after.is_none()) {
        if let Some(octave) = octaves.get_mut(usize::try_from((claim.amount_sat / 1_000).ilog2()).unwrap()) {
            *octave += 1;
        }
    }
    let mean = octaves.iter().sum::<u32>() / 12;
    assert!(octaves.iter().all(|count| count.abs_diff(mean) * 10 < mean), "{octaves:?}");
}

#[test]
fn weights_are_those_of_the_commitment_format() {
    let one = |kind| {
        let claim = claims(&draw(1, 500)).copied().find(|claim| claim.kind == kind).unwrap();
        weight([claim].iter())
    };
    // Frame 42, input 164, output 124; witness: count, signature, preimage, script.
    assert_eq!(one(ClaimPath::DirectPreimage), 42 + 164 + 124 + 1 + 74 + 33 + 137);
    // With a P2WSH output and a wallet coin; the P2WPKH output is the change.
    assert_eq!(one(ClaimPath::HtlcTimeout), 42 + 164 + 172 + 273 + 124 + 1 + 1 + 74 + 74 + 1 + 137);
}

#[test]
fn everybody_is_asked_about_the_same_claims_in_every_market() {
    let closes = draw(7, 60);
    for kind in MarketKind::ALL {
        let tape = Tape::of(&Market::new(kind, 7), 4_000);
        for close in &closes {
            let verdicts = judge(close, &tape);
            let counts = Contestant::ALL.map(|contestant| {
                let account = play(close, &verdicts, &tape, &mut *contestant.policy());
                (account.claims_due, account.hopeless, account.value_sat)
            });
            assert!(counts.windows(2).all(|two| two[0] == two[1]), "{counts:?}");
            // A policy that offers nothing is asked about every claim from when it is claimable to its deadline.
            let mut idle = Scripted::new(|_| Vec::new());
            let _account = play(close, &verdicts, &tape, &mut idle);
            for (tip, open) in idle.asked {
                let expected = close.claims.iter().filter(|claim| {
                    let there = claim.claimable <= tip && claim.after.is_none();
                    there && claim.deadline.is_none_or(|deadline| deadline > tip)
                });
                let mut open = open.clone();
                open.sort_unstable();
                assert_eq!(open, expected.map(|claim| claim.id).collect::<Vec<_>>(), "block {tip}");
            }
        }
    }
}
