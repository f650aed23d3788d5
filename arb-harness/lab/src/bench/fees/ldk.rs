//! LDK's claim packages (0.3) and its output sweeper.
//!
//! Taken over from `chain/package.rs` and `chain/onchaintx.rs`:
//!
//! - what is merged (`PackageTemplate::can_merge_with`);
//! - when a package is bumped (`get_height_timer`), and that in between it follows a rising estimate
//!   (`rebroadcast_pending_claims`, which runs more than once a block);
//! - by how much a feerate rises and where it stops (`feerate_bump`, `compute_fee_from_spent_amounts`,
//!   `compute_package_feerate`);
//! - that a claim whose first transaction is uneconomic is never tried again.
//!
//! Claims without a deadline go through `util/sweep.rs`: one batch, made again every block. Confirmation targets are
//! ldk-node's: 6 blocks for `UrgentOnChainSweep`, 12 for `OutputSpendingFee`. Not modelled: that `SpendableOutputs` waits
//! for six confirmations, and that LDK itself closes 36 blocks before an incoming HTLC's expiry (`CLTV_CLAIM_BUFFER`). All
//! policies get the same blocks, 18 at least. The timer of an outgoing HTLC uses the measurement's deadline.

use super::claims::{Claim, weight};
use super::policy::{FeePolicy, Now, Offered, OpenClaim, fee_sat, feerate};

/// `UrgentOnChainSweep` and `OutputSpendingFee`.
const URGENT_TARGET: u32 = 6;
const OUTPUT_SPENDING_TARGET: u32 = 12;
/// `FEERATE_FLOOR_SATS_PER_KW`, and BIP 125's increment as LDK has it.
const FLOOR_SAT_PER_KW: u64 = 253;
/// `COUNTERPARTY_CLAIMABLE_WITHIN_BLOCKS_PINNABLE`.
const PINNABLE_WITHIN: u32 = 12;
/// How many times the estimate a transaction with wallet coins may pay.
const EXTERNAL_CAP: u64 = 5;

/// The fee policy of LDK.
#[derive(Debug, Default)]
pub struct Ldk {
    packages: Vec<Package>,
    /// Claims that it never tries again.
    dropped: Vec<usize>,
}

/// Claims in one transaction.
#[derive(Debug)]
struct Package {
    claims: Vec<usize>,
    lock_time: u32,
    pinnable: bool,
    deadline: u32,
    feerate_previous: u64,
    height_timer: u32,
}

/// The height at which a package is bumped next.
const fn height_timer(tip: u32, deadline: u32) -> u32 {
    let left = deadline.saturating_sub(tip);
    tip + if left <= 3 {
        1
    } else if left <= 15 {
        3
    } else {
        15
    }
}

/// The feerate of a first transaction that pays from its inputs' value: at most half of the value. `None` if that is below
/// the floor.
fn first_feerate(weight: u64, value_sat: u64, estimate: u64) -> Option<u64> {
    let most = feerate(weight, value_sat / 2);
    let feerate = estimate.max(FLOOR_SAT_PER_KW).min(most);
    (feerate >= FLOOR_SAT_PER_KW).then_some(feerate)
}

/// The feerate wanted next: if the timer is due, a quarter more or the estimate, whichever is higher; else the higher of
/// the estimate and the previous one.
const fn wanted(estimate: u64, previous: u64, due: bool) -> u64 {
    let least = if due { previous + previous / 4 } else { previous };
    if estimate > least { estimate } else { least }
}

/// The next feerate of a transaction that pays from its inputs' value: at least BIP 125's increment, at most half of the
/// value. `None` leaves the transaction as it is.
fn bumped(weight: u64, value_sat: u64, wanted: u64, previous: u64) -> Option<u64> {
    let next = first_feerate(weight, value_sat, wanted)?;
    let least = fee_sat(weight, previous) + fee_sat(weight, FLOOR_SAT_PER_KW);
    let fee = fee_sat(weight, next).max(least);
    (next > previous && fee <= value_sat / 2).then(|| next.max(feerate(weight, fee)))
}

/// The next feerate if the wallet pays: the same increment, at most five estimates, and never below the previous one.
fn bumped_external(estimate: u64, wanted: u64, previous: u64) -> u64 {
    let next = if wanted > previous { wanted.max(previous + FLOOR_SAT_PER_KW) } else { previous };
    next.min(estimate * EXTERNAL_CAP).max(previous)
}

impl Package {
    fn of(claim: &Claim, deadline: u32, tip: u32) -> Self {
        // The counterparty can claim an outgoing HTLC with its preimage at any time, and an incoming one from its expiry
        // on.
        let outgoing = claim.lock_time > 0;
        let pinnable = outgoing || deadline <= tip + PINNABLE_WITHIN;
        let (claims, lock_time) = (vec![claim.id], claim.lock_time);
        Self { claims, lock_time, pinnable, deadline, feerate_previous: 0, height_timer: 0 }
    }

    const fn merges(&self, other: &Self) -> bool {
        self.lock_time == other.lock_time && self.pinnable == other.pinnable
    }

    /// The transaction after this block. `None` drops a package whose first transaction is uneconomic.
    fn offer(&mut self, now: &Now<'_>, members: &[&Claim]) -> Option<Offered> {
        let weight = weight(members.iter().copied());
        let estimate = u64::from(now.feerate(URGENT_TARGET)).max(FLOOR_SAT_PER_KW);
        let value_sat = members.iter().map(|claim| claim.amount_sat).sum();
        let external = members.iter().any(|claim| !claim.pays_from_value());
        let previous = self.feerate_previous;
        if previous == 0 {
            self.feerate_previous = if external { estimate } else { first_feerate(weight, value_sat, estimate)? };
            self.height_timer = height_timer(now.tip, self.deadline);
        } else {
            let due = now.tip >= self.height_timer;
            let wanted = wanted(estimate, previous, due);
            let next = if external {
                Some(bumped_external(estimate, wanted, previous))
            } else {
                bumped(weight, value_sat, wanted, previous)
            };
            self.feerate_previous = next.unwrap_or(previous);
            self.height_timer = if due { height_timer(now.tip, self.deadline) } else { self.height_timer };
        }
        Some(Offered { claims: self.claims.clone(), weight, fee_sat: fee_sat(weight, self.feerate_previous) })
    }
}

impl Ldk {
    /// Makes packages of new claims; each claim joins the first new package that accepts it.
    fn add_packages(&mut self, now: &Now<'_>, open: &[OpenClaim<'_>]) {
        let mut new: Vec<Package> = Vec::new();
        for claim in open.iter().map(|open| open.claim) {
            let Some(deadline) = claim.deadline else { continue };
            let known = self.packages.iter().any(|package| package.claims.contains(&claim.id));
            if known || self.dropped.contains(&claim.id) {
                continue;
            }
            let alone = Package::of(claim, deadline, now.tip);
            match new.iter_mut().find(|package| package.merges(&alone)) {
                Some(package) => {
                    package.claims.push(claim.id);
                    package.deadline = package.deadline.min(deadline);
                }
                None => new.push(alone),
            }
        }
        self.packages.append(&mut new);
    }
}

impl FeePolicy for Ldk {
    fn name(&self) -> &'static str {
        "ldk"
    }

    fn block(&mut self, now: &Now<'_>, open: &[OpenClaim<'_>]) -> Vec<Offered> {
        let find = |id: &usize| open.iter().map(|open| open.claim).find(|claim| claim.id == *id);
        let mut offers = Vec::new();
        self.add_packages(now, open);
        for mut package in std::mem::take(&mut self.packages) {
            // Claims that were spent elsewhere leave the package.
            package.claims.retain(|id| find(id).is_some());
            let members: Vec<&Claim> = package.claims.iter().filter_map(find).collect();
            let Some(soonest) = members.iter().filter_map(|claim| claim.deadline).min() else { continue };
            package.deadline = soonest;
            match package.offer(now, &members) {
                Some(offered) => {
                    offers.push(offered);
                    self.packages.push(package);
                }
                None => self.dropped.append(&mut package.claims),
            }
        }
        let lazy: Vec<&Claim> = open.iter().map(|open| open.claim).filter(|claim| claim.deadline.is_none()).collect();
        if !lazy.is_empty() {
            let weight = weight(lazy.iter().copied());
            let fee_sat = fee_sat(weight, now.feerate(OUTPUT_SPENDING_TARGET).into());
            offers.push(Offered { claims: lazy.iter().map(|claim| claim.id).collect(), weight, fee_sat });
        }
        offers
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::{direct, fees, fees_by, offers, second_level};
    use super::*;

    #[test]
    fn timers_are_fifteen_three_and_one() {
        // get_height_timer: ≤ 3 blocks to go, every block; ≤ 15, every third; otherwise every fifteenth.
        let after = |left: u32| height_timer(100, 100 + left) - 100;
        assert_eq!([0, 1, 3, 4, 15, 16, 500].map(after), [1, 1, 1, 3, 3, 15, 15]);
        assert_eq!(height_timer(100, 90), 101, "and so when it has passed");
    }

    #[test]
    fn a_bump_is_a_quarter_or_the_estimate_and_half_of_the_value_at_most() {
        let (weight, value) = (1_000, 100_000);
        // feerate_bump: max(estimator, previous × 1.25) when the timer is due, and the highest of both before.
        assert_eq!([wanted(500, 4_000, true), wanted(9_000, 4_000, true)], [5_000, 9_000]);
        assert_eq!([wanted(500, 4_000, false), wanted(4_100, 4_000, false)], [4_000, 4_100]);
        // BIP 125 rules 3 and 4: at least 253 sat/kw more.
        assert_eq!([bumped(weight, value, 5_000, 4_000), bumped(weight, value, 500, 400)], [Some(5_000), Some(653)]);
        assert_eq!(bumped(weight, value, 4_000, 4_000), None);
        // compute_fee_from_spent_amounts: never more than half of the inputs' value.
        assert_eq!(bumped(weight, value, 90_000, 4_000), Some(50_000));
        assert_eq!(bumped(weight, value, 90_000, 49_900), None, "too little is left for a replacement");
        assert_eq!(first_feerate(weight, value, 90_000), Some(50_000));
        // FEERATE_FLOOR_SATS_PER_KW: nothing is made below it.
        assert_eq!((first_feerate(weight, 506, 9_000), first_feerate(weight, 505, 9_000)), (Some(253), None));
        assert_eq!(first_feerate(weight, value, 1), Some(253));
    }

    #[test]
    fn the_wallet_pays_five_estimates_at_most() {
        // compute_package_feerate: no budget, five times the estimate, and never down.
        let due = |estimate, previous| bumped_external(estimate, wanted(estimate, previous, true), previous);
        assert_eq!([due(1_000, 1_000), due(1_000, 4_500), due(1_000, 6_000)], [1_253, 5_000, 6_000]);
        assert_eq!([due(9_000, 6_000), bumped_external(9_000, 6_000, 6_000)], [9_000, 6_000]);
        // No cap by value: a second-level claim of 1,000 sat is claimed at any estimate.
        let offered = offers(&mut Ldk::default(), 100, &fees(50_000), &[second_level(0, 1_000, 0, 300)]);
        assert_eq!(offered[0].fee_sat, offered[0].weight * 50);
    }

    #[test]
    fn packages_share_lock_time_and_pinnability() {
        // can_merge_with; pinnable is whatever the counterparty can claim within twelve blocks.
        let claims = [
            direct(0, 90_000, 0, Some(300)),
            direct(1, 90_000, 0, Some(200)),
            direct(2, 90_000, 0, Some(112)),
            direct(3, 90_000, 0, Some(113)),
            Claim { lock_time: 90, ..direct(4, 90_000, 0, Some(300)) },
            Claim { lock_time: 90, ..direct(5, 90_000, 0, Some(250)) },
            Claim { lock_time: 91, ..direct(6, 90_000, 0, Some(250)) },
        ];
        let mut ldk = Ldk::default();
        let sets: Vec<Vec<usize>> =
            offers(&mut ldk, 100, &fees(500), &claims).into_iter().map(|offered| offered.claims).collect();
        assert_eq!(sets, [vec![0, 1, 3], vec![2], vec![4, 5], vec![6]]);
        // A package's timer is that of its most urgent member.
        assert_eq!(ldk.packages.iter().map(|package| package.height_timer).collect::<Vec<_>>(), [103, 103, 115, 115]);
    }

    #[test]
    fn between_the_timers_only_a_higher_estimate_moves_it() {
        let claim = direct(0, 900_000, 0, Some(300));
        let mut ldk = Ldk::default();
        let mut rate = |tip, estimate| {
            let offered = offers(&mut ldk, tip, &fees(estimate), &[claim]).remove(0);
            feerate(offered.weight, offered.fee_sat)
        };
        // rebroadcast_pending_claims: the highest of the previous and the new one.
        assert_eq!([rate(100, 2_000), rate(101, 1_000), rate(114, 1_000)], [2_000, 2_000, 2_000]);
        assert_eq!([rate(115, 1_000), rate(116, 1_000), rate(117, 9_000)], [2_500, 2_500, 9_000]);
        assert_eq!([rate(129, 1_000), rate(130, 1_000)], [9_000, 11_250]);
    }

    #[test]
    fn an_uneconomic_claim_is_dropped_for_ever_and_the_rest_is_one_batch() {
        // update_claims_view_from_requests keeps a request only if generate_claim made something.
        let mut ldk = Ldk::default();
        let tiny = direct(0, 200, 0, Some(300));
        assert_eq!(offers(&mut ldk, 100, &fees(253), &[tiny]), []);
        assert_eq!(ldk.dropped, [0]);
        // OutputSweeper::regenerate_and_broadcast_spend: everything at once, at OutputSpendingFee.
        let lazy = [direct(1, 90_000, 0, None), direct(2, 90_000, 0, None)];
        let fees = fees_by(&[(6, 4_000), (12, 2_000), (144, 1_000)]);
        let offered = offers(&mut ldk, 101, &fees, &lazy);
        assert_eq!((offered.len(), &offered[0].claims[..]), (1, &[1, 2][..]));
        assert_eq!(offered[0].fee_sat, offered[0].weight * 2);
    }
}
