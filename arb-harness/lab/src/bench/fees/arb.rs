//! This project's own fee policy: the sweeper of `arb-core`, given the bench's claims. The wallet always has coins.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::bolt3::{ChannelType, INPUT_BASE_WEIGHT, claim_witness_weight};
use arb_core::sweep::{self, Class, FeeInputs, Group, Order, Pays, Stake, Sweeper, Terms};
use arb_core::{BroadcastRejection, FeeInput, Fees, Height, Policy};
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, ScriptBuf, Txid};

use super::claims::{Claim, weight};
use super::policy::{FeePolicy, Now, Offered, OpenClaim};
use super::verdict::DUST_SAT;

/// A P2WPKH output, to the wallet.
const WALLET_OUTPUT_WEIGHT: u64 = 124;
/// The value of each coin of the wallet.
const COIN_SAT: u64 = 100_000_000;
/// The most rounds of decisions in one block; the sweeper needs far fewer.
const ROUNDS: usize = 100;

/// The fee policy of this project.
#[derive(Debug, Default)]
pub struct Arb {
    sweeper: Sweeper,
    policy: Policy,
    coins: u32,
}

fn outpoint(id: usize) -> OutPoint {
    OutPoint::new(Txid::all_zeros(), u32::try_from(id).unwrap_or(u32::MAX))
}

fn id(outpoint: &OutPoint) -> usize {
    usize::try_from(outpoint.vout).unwrap_or(usize::MAX)
}

/// A claim as the terms of the sweeper.
fn terms(claim: &Claim) -> Terms {
    let witness = claim_witness_weight(claim.kind, ChannelType::AnchorsZeroFeeHtlcTx, None);
    let input_weight = INPUT_BASE_WEIGHT + witness;
    let from_value = claim.pays_from_value();
    let most = if from_value { claim.amount_sat.saturating_sub(DUST_SAT) } else { claim.amount_sat };
    let deadline = claim.deadline.map(Height::new);
    Terms {
        outpoint: outpoint(claim.id),
        class: if deadline.is_some() { Class::Contested } else { Class::Delayed },
        pays: if from_value { Pays::FromValue } else { Pays::FromWallet },
        input_weight,
        output_weight: claim.weight() - input_weight,
        amount_sat: claim.amount_sat,
        lock_time: Height::new(claim.lock_time),
        stakes: vec![Stake { deadline, budget_sat: claim.budget_sat().min(most) }],
        any_price_sat: u64::MAX,
        parent: None,
    }
}

impl Arb {
    /// Lets the sweeper decide until it has no more orders; every coin that it asks for is offered.
    fn decide(&mut self, tip: u32, fees: &Fees, open: &[OpenClaim<'_>]) {
        let terms: BTreeMap<OutPoint, Terms> =
            open.iter().map(|open| (outpoint(open.claim.id), terms(open.claim))).collect();
        let (tip, known) = (Height::new(tip), (fees.clone(), Height::new(tip)));
        for _ in 0..ROUNDS {
            let now = sweep::Now {
                tip,
                policy: &self.policy,
                fees: Some(&known),
                fees_before: &[],
                wallet_output_weight: WALLET_OUTPUT_WEIGHT,
            };
            let orders = self.sweeper.decide(&terms, &BTreeSet::new(), &now);
            if orders.is_empty() {
                return;
            }
            for order in &orders {
                self.sweeper.apply(order, tip);
                if let Order::Ask(ask) = order {
                    let fee_inputs = self.coin();
                    self.sweeper.offered(&ask.owner, fee_inputs);
                }
            }
        }
    }

    fn coin(&mut self) -> FeeInputs {
        self.coins += 1;
        let script = ScriptBuf::from(vec![0; 22]);
        let outpoint = OutPoint::new(Txid::from_byte_array([1; 32]), self.coins);
        let coin = FeeInput { outpoint, value_sat: COIN_SAT, script: script.clone() };
        FeeInputs { coins: vec![coin], change: script }
    }

    /// Tells the sweeper whether the mempool accepted its last offers.
    fn hear(&mut self, open: &[OpenClaim<'_>]) {
        let standing = |group: &Group| {
            let first = group.members.first().map(id)?;
            open.iter().find(|open| open.claim.id == first)?.standing
        };
        let answers: Vec<(u32, bool)> = self
            .sweeper
            .groups()
            .filter(|(_, group)| group.members.iter().any(|member| open.iter().any(|open| open.claim.id == id(member))))
            .map(|(number, group)| (number, standing(group).is_some_and(|is| is.fee_sat == group.fee_sat)))
            .collect();
        for (number, taken) in answers {
            if taken {
                self.sweeper.accepted(number);
            } else {
                self.sweeper.rejected(number, BroadcastRejection::FeeTooLow);
            }
        }
    }
}

impl FeePolicy for Arb {
    fn name(&self) -> &'static str {
        "arb"
    }

    fn block(&mut self, now: &Now<'_>, open: &[OpenClaim<'_>]) -> Vec<Offered> {
        self.hear(open);
        self.decide(now.tip, now.fees, open);
        let claim = |id: usize| open.iter().map(|open| open.claim).find(|claim| claim.id == id);
        let offered = |group: &Group| {
            let claims: Option<Vec<&Claim>> = group.members.iter().map(|member| claim(id(member))).collect();
            let claims = claims?;
            let weight = weight(claims.iter().copied());
            Some(Offered { claims: claims.iter().map(|claim| claim.id).collect(), weight, fee_sat: group.fee_sat })
        };
        self.sweeper.groups().filter_map(|(_, group)| offered(group)).collect()
    }
}
