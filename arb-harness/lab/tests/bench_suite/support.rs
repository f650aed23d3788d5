//! Markets, closes and policies made by hand.

use arb_core::Fees;
use arb_core::bolt3::ClaimPath;
use arb_lab::bench::fees::claims::{Claim, Close};
use arb_lab::bench::fees::engine::{Account, play};
use arb_lab::bench::fees::policy::{FeePolicy, Now, Offered, OpenClaim};
use arb_lab::bench::fees::verdict::judge;
use arb_lab::market::Tape;

/// A market with these clearing feerates (sat/kw), one for each block, and a constant estimate of 253 sat/kw.
pub fn tape(clearing: &[u32]) -> Tape {
    let fees = Fees::new(vec![(1, 253)], 253);
    Tape::by_hand(clearing.to_vec(), clearing.iter().map(|_| fees.clone()).collect())
}

/// A direct claim with a preimage, on their commitment.
pub fn direct(id: usize, amount_sat: u64, claimable: u32, deadline: u32) -> Claim {
    Claim {
        id,
        kind: ClaimPath::DirectPreimage,
        amount_sat,
        claimable,
        lock_time: 0,
        expiry: Some(deadline),
        deadline: Some(deadline),
        after: None,
    }
}

/// Our main output on their commitment: a claim without a deadline.
pub fn lazy(id: usize, amount_sat: u64, claimable: u32) -> Claim {
    Claim { kind: ClaimPath::ToRemote, expiry: None, deadline: None, ..direct(id, amount_sat, claimable, 0) }
}

/// An HTLC-success on our commitment, and the claim of its delayed output.
pub fn second_level(id: usize, amount_sat: u64, claimable: u32, deadline: u32, delay: u32) -> [Claim; 2] {
    let first = Claim { kind: ClaimPath::HtlcSuccess, ..direct(id, amount_sat, claimable, deadline) };
    let second = lazy(id + 1, amount_sat, deadline + delay - 1);
    [first, Claim { kind: ClaimPath::SecondLevelOutput, after: Some((id, delay)), ..second }]
}

/// A close with these claims.
pub fn close(claims: &[Claim]) -> Close {
    let at = claims.iter().map(|claim| claim.claimable).min().unwrap();
    Close { at, claims: claims.to_vec() }
}

/// A policy whose offers depend on the tip only; it keeps which claims were open at each tip.
pub struct Scripted<F> {
    answer: F,
    pub asked: Vec<(u32, Vec<usize>)>,
}

impl<F: FnMut(u32) -> Vec<Offered>> Scripted<F> {
    pub fn new(answer: F) -> Self {
        Self { answer, asked: Vec::new() }
    }
}

impl<F: FnMut(u32) -> Vec<Offered>> FeePolicy for Scripted<F> {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn block(&mut self, now: &Now<'_>, open: &[OpenClaim<'_>]) -> Vec<Offered> {
        self.asked.push((now.tip, open.iter().map(|open| open.claim.id).collect()));
        (self.answer)(now.tip)
    }
}

/// An offer for these claims: weight in WU, fee in sat.
pub fn offered(claims: &[usize], weight: u64, fee_sat: u64) -> Offered {
    Offered { claims: claims.to_vec(), weight, fee_sat }
}

/// The account of a close if the policy gives these offers after every block.
pub fn played(claims: &[Claim], prices: &[u32], answer: impl FnMut(u32) -> Vec<Offered>) -> Account {
    let (close, tape) = (close(claims), tape(prices));
    play(&close, &judge(&close, &tape), &tape, &mut Scripted::new(answer))
}
