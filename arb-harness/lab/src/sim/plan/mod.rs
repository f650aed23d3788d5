//! What a run does, drawn from its seed before it begins: the channels, how each closes, the policy, and how often the world
//! acts. Everything else that is drawn is in this folder, too: keys ([`seeds`]), acts ([`act`]), fee market and adversary
//! ([`conditions`]), faults of process and storage ([`faults`]).

pub(crate) mod act;
pub(crate) mod cheater;
pub(crate) mod conditions;
pub(crate) mod faults;
pub(crate) mod rng;
pub(crate) mod seeds;

use arb_core::bolt3::ChannelType;
use arb_core::{Blocks, CloseKind, Policy, Side};

use cheater::CheaterPlan;
use rng::Rng;

/// The height at which every run begins.
pub(crate) const START: u32 = 1000;

/// One channel and its counterparty.
#[derive(Clone, Debug)]
pub(crate) struct ChannelPlan {
    pub(crate) channel_type: ChannelType,
    pub(crate) capacity_sat: u64,
    pub(crate) ours_percent: u64,
    pub(crate) opener: Side,
    pub(crate) delays: (u16, u16),
    pub(crate) dust_limit_sat: u64,
    pub(crate) feerate_sat_per_kw: u32,
    pub(crate) close: CloseKind,
    /// Whether the counterparty is dead on chain: claims and sweeps nothing.
    pub(crate) dead: bool,
    pub(crate) patience_blocks: u32,
    /// How the counterparty cheats, if one of its old commitments confirms.
    pub(crate) cheater: CheaterPlan,
    /// Our first commitment that the court hears of, and the counterparty's: above zero where the channel was running before.
    pub(crate) adopted: (u64, u64),
}

impl ChannelPlan {
    fn draw(rng: &mut Rng) -> Self {
        let types = [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlcTx];
        let kinds = [
            CloseKind::Local,
            CloseKind::Remote,
            CloseKind::RemotePending,
            CloseKind::Unknown,
            CloseKind::Mutual,
            CloseKind::Revoked,
        ];
        let drawn = rng.weighted(&[6, 6, 5, 2, 2, 6]);
        let delays = (draw_delay(rng), draw_delay(rng));
        let adopted = if rng.percent(12) { (rng.between(0, 4), rng.between(1, 4)) } else { (0, 0) };
        Self {
            channel_type: types[rng.weighted(&[1, 1])],
            capacity_sat: rng.pick(&[1_000_000, 5_000_000, 16_000_000]).unwrap_or(1_000_000),
            ours_percent: rng.between(40, 60),
            opener: if rng.percent(50) { Side::Local } else { Side::Remote },
            delays,
            dust_limit_sat: rng.pick(&[354, 546]).unwrap_or(546),
            feerate_sat_per_kw: rng.blocks(253, 1200),
            close: kinds[drawn],
            dead: rng.percent(12),
            patience_blocks: rng.pick(&[0, 0, 3, 20]).unwrap_or(0),
            cheater: CheaterPlan::draw(rng, delays.1),
            adopted,
        }
    }

    /// Cheats together with another channel's counterparty.
    fn join(&mut self) {
        self.close = CloseKind::Revoked;
        self.channel_type = ChannelType::AnchorsZeroFeeHtlcTx;
        self.dead = false;
        self.cheater.join();
    }

    /// The balances at the start, ours first.
    pub(crate) fn balances_msat(&self) -> (u64, u64) {
        let ours = self.capacity_sat.saturating_mul(10).saturating_mul(self.ours_percent);
        (ours, self.capacity_sat.saturating_mul(1000).saturating_sub(ours))
    }
}

fn draw_delay(rng: &mut Rng) -> u16 {
    u16::try_from(rng.between(6, 60)).unwrap_or(6)
}

/// A run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) channels: Vec<ChannelPlan>,
    pub(crate) policy: Policy,
    /// Actions before the first close, and after it.
    pub(crate) acts: (u64, u64),
    /// The estimate, in satoshi per kiloweight.
    pub(crate) feerate_sat_per_kw: u32,
    /// How many reorgs there may be.
    pub(crate) reorgs: u32,
    /// Whether the first close is followed by a reorg that brings another commitment.
    pub(crate) swap: bool,
    /// Whether both channels are with the same counterparty, which cheats on both.
    pub(crate) one_peer: bool,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let swap = rng.percent(40);
        let count = rng.weighted(&[0, 1, 2]);
        let mut channels: Vec<ChannelPlan> = (0..count).map(|_| ChannelPlan::draw(rng)).collect();
        let mut policy = Policy::default();
        if rng.percent(50) {
            // Deeper than any reorg: six blocks may bring anything.
            policy.fail_depth = (Blocks::new(7), Blocks::new(7));
        }
        let one_peer = count == 2 && rng.percent(12);
        if one_peer {
            channels.iter_mut().for_each(ChannelPlan::join);
        }
        Self {
            channels,
            policy,
            acts: (rng.between(8, 36), rng.between(8, 30)),
            feerate_sat_per_kw: rng.blocks(253, 1500),
            reorgs: rng.blocks(u32::from(swap), 2),
            swap,
            one_peer,
        }
    }
}
