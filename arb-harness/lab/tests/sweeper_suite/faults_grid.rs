//! A grid of HTLCs and feerates: no stage is paid for in vain (A1, A31), and whatever pays for its stages is claimed.
//!
//! Every HTLC is alone on its commitment, so it pays for all that it needs. The estimate stays where it is; at the end it falls
//! to the floor, for what nobody contests waits for its price (A14).

use arb_core::bolt3::ChannelType;
use arb_core::{Height, Htlc, HtlcRef, Link, Side};
use bitcoin::OutPoint;

use crate::world::{BEGIN, World, offered, received};

const AMOUNTS_SAT: [u64; 6] = [1_000, 3_000, 8_000, 20_000, 60_000, 160_000];
const FEERATES: [u32; 6] = [1_000, 2_500, 5_000, 10_000, 20_000, 50_000];
const COINS: [u64; 6] = [400_000, 300_000, 200_000, 200_000, 150_000, 100_000];
/// When the downstream HTLC expires, and the deadline of whatever has one, in blocks after the close.
const EXPIRY: u32 = 20;
const DEADLINE: u32 = 70;
/// More than the dust limit of any output.
const DUST_SAT: u64 = 340;

/// One commitment with one HTLC in one market.
#[derive(Clone, Copy, Debug)]
struct Pair {
    channel_type: ChannelType,
    owner: Side,
    is_offered: bool,
    amount_sat: u64,
    feerate: u32,
}

/// What our transactions did with the HTLC, and the fees that they paid.
#[derive(Debug, Default)]
struct Stages {
    /// The height after the close at which each confirmed, and its fee in sat.
    first: Option<(u32, u64)>,
    second: Option<(u32, u64)>,
}

impl Pair {
    fn htlc(&self) -> Htlc {
        if self.is_offered {
            offered(0, self.amount_sat, EXPIRY, Link::Relay { deadline: Height::new(BEGIN + DEADLINE) })
        } else {
            received(0, self.amount_sat, DEADLINE)
        }
    }

    fn key(&self) -> HtlcRef {
        if self.is_offered { HtlcRef::offered(0) } else { HtlcRef::received(0) }
    }

    /// The commitment's feerate: with anchors a child could raise it, without them it has to pay the market's price.
    fn commitment_feerate(&self) -> u32 {
        match self.channel_type {
            ChannelType::AnchorsZeroFeeHtlcTx => 253,
            ChannelType::StaticRemotekey => self.feerate,
        }
    }

    /// What all stages cost at the estimate, in sat, as long as the wallet's script is not known: outputs to it count as P2WSH
    /// or P2TR, and where the wallet pays there is one coin and change.
    fn cost_sat(&self) -> u64 {
        // The most that signatures and scripts weigh, in weight units (BOLT 3, Appendix A).
        let weight = match (self.channel_type, self.owner, self.is_offered) {
            // HTLC transaction, with a coin and its change if it pays no fee, then the sweep of its output.
            (ChannelType::AnchorsZeroFeeHtlcTx, Side::Local, true) => 666 + 273 + 172 + 533,
            (ChannelType::AnchorsZeroFeeHtlcTx, Side::Local, false) => 706 + 273 + 172 + 533,
            (ChannelType::StaticRemotekey, Side::Local, true) => 663 + 533,
            (ChannelType::StaticRemotekey, Side::Local, false) => 703 + 533,
            // One transaction from the commitment to the wallet.
            (_, Side::Remote, true) => 598,
            (_, Side::Remote, false) => 623,
        };
        weight * u64::from(self.feerate) / 1_000
    }

    /// Whether its stages leave a tenth of it or more, and more than a dust limit.
    fn pays(&self) -> bool {
        self.amount_sat.saturating_sub(self.cost_sat()) >= DUST_SAT.max(self.amount_sat / 10)
    }

    fn play(&self) -> Option<Stages> {
        let (commitment, market) = (self.commitment_feerate(), self.feerate);
        let mut world = World::paying(commitment, self.channel_type, &[self.htlc()], &COINS, market);
        // Too small for an output of its own (BOLT 3): there is nothing to claim.
        world.fixture.commitment(self.owner, 0).unwrap().htlc_output(0).ok()?;
        if !self.is_offered {
            world.learn(self.key());
        }
        world.confirm(world.commitment(self.owner));
        world.mine_at_to(market, DEADLINE + 180);
        world.mine_cheaply_to(DEADLINE + 180 + 160);
        world.assert_all_valid();
        let output = world.output(self.owner, self.key());
        let stage = |output: &OutPoint| {
            let (height, txid, input) = world.chain.spender_of(output)?;
            let fee_sat = world.chain.fee_of(&txid).unwrap();
            Some((height - BEGIN, fee_sat, OutPoint::new(txid, u32::try_from(input).unwrap())))
        };
        let first = stage(&output);
        let second = first.and_then(|(_, _, output)| stage(&output));
        let sheet = world.node.sheets.get(&world.id());
        assert!(sheet.is_none_or(|sheet| sheet.lost_sat == 0), "{self:?}: {sheet:?}");
        let of = |stage: Option<(u32, u64, OutPoint)>| stage.map(|(height, fee_sat, _)| (height, fee_sat));
        Some(Stages { first: of(first), second: of(second) })
    }

    fn judge(&self) {
        let Some(stages) = self.play() else { return };
        let case = || format!("{self:?}: stages {stages:?}, all would cost {} sat", self.cost_sat());
        // On our commitment each claim has two transactions.
        if self.owner == Side::Local {
            assert_eq!(
                stages.first.is_some(),
                stages.second.is_some(),
                "a stage is paid for and the rest left: {}",
                case()
            );
        }
        let paid_sat: u64 = [stages.first, stages.second].iter().flatten().map(|(_, fee_sat)| fee_sat).sum();
        assert!(paid_sat < self.amount_sat, "more is paid than is gained: {}", case());
        if self.pays() {
            let in_time = stages.first.is_some_and(|(height, _)| height <= DEADLINE);
            assert!(in_time, "a tenth or more is left, and it is not claimed in time: {}", case());
        }
    }
}

/// Plays the whole grid for one type and one commitment, in both directions.
fn grid(channel_type: ChannelType, owner: Side) {
    for amount_sat in AMOUNTS_SAT {
        for feerate in FEERATES {
            for is_offered in [true, false] {
                Pair { channel_type, owner, is_offered, amount_sat, feerate }.judge();
            }
        }
    }
}

/// The smallest HTLC whose stages leave a tenth of it, and one a little larger, at many feerates.
fn edge(channel_type: ChannelType, owner: Side) {
    for feerate in (1..=25).map(|step| 2_000 * step) {
        for is_offered in [true, false] {
            let free = Pair { channel_type, owner, is_offered, amount_sat: 0, feerate };
            let least_sat = (free.cost_sat() * 10 / 9 + 1).max(free.cost_sat() + DUST_SAT);
            for amount_sat in [least_sat, least_sat + least_sat / 50] {
                Pair { amount_sat, ..free }.judge();
            }
        }
    }
}

#[test]
fn a1_a31_grid_of_our_commitment_with_anchors() {
    grid(ChannelType::AnchorsZeroFeeHtlcTx, Side::Local);
}

#[test]
fn a1_a31_grid_of_our_commitment_without_anchors() {
    grid(ChannelType::StaticRemotekey, Side::Local);
}

#[test]
fn a1_a31_grid_of_their_commitment_with_anchors() {
    grid(ChannelType::AnchorsZeroFeeHtlcTx, Side::Remote);
}

#[test]
fn a1_a31_grid_of_their_commitment_without_anchors() {
    grid(ChannelType::StaticRemotekey, Side::Remote);
}

#[test]
fn a31_whatever_just_leaves_a_tenth_is_claimed() {
    for channel_type in [ChannelType::AnchorsZeroFeeHtlcTx, ChannelType::StaticRemotekey] {
        for owner in [Side::Local, Side::Remote] {
            edge(channel_type, owner);
        }
    }
}
