//! Hand-made claims and markets for tests.

use arb_core::Fees;
use arb_core::bolt3::ClaimPath;

use super::claims::Claim;
use super::policy::{FeePolicy, Now, Offered, OpenClaim};

/// A claim that pays its fee from its value.
pub(super) fn direct(id: usize, amount_sat: u64, claimable: u32, deadline: Option<u32>) -> Claim {
    let kind = if deadline.is_some() { ClaimPath::DirectPreimage } else { ClaimPath::ToRemote };
    Claim { id, kind, amount_sat, claimable, lock_time: 0, expiry: deadline, deadline, after: None }
}

/// A claim whose fee a wallet coin pays.
pub(super) fn second_level(id: usize, amount_sat: u64, claimable: u32, deadline: u32) -> Claim {
    Claim { kind: ClaimPath::HtlcSuccess, ..direct(id, amount_sat, claimable, Some(deadline)) }
}

/// The same feerate for every target.
pub(super) fn fees(feerate: u32) -> Fees {
    fees_by(&[(1, feerate)])
}

/// These feerates by target.
pub(super) fn fees_by(by_target: &[(u16, u32)]) -> Fees {
    Fees::new(by_target.to_vec(), 253)
}

/// The offers of a policy while the mempool is empty.
pub(super) fn offers(policy: &mut dyn FeePolicy, tip: u32, fees: &Fees, claims: &[Claim]) -> Vec<Offered> {
    let open: Vec<OpenClaim<'_>> = claims.iter().map(|claim| OpenClaim { claim, standing: None }).collect();
    policy.block(&Now { tip, fees }, &open)
}
