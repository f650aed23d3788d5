//! What a seed draws before a run begins: the channels and how each closes, the policy, and how many acts there are.
//!
//! The rest of what is drawn is in this folder, too: keys ([`seeds`]), acts ([`act`]), how a peer cheats ([`cheater`]), fee
//! market and adversary ([`conditions`]), money ([`economy`]), what is hard to believe ([`belief`]), faults of process and storage
//! ([`faults`]). Every stream of
//! numbers comes from [`rng`].

pub(crate) mod act;
pub(crate) mod belief;
pub(crate) mod cheater;
pub(crate) mod conditions;
pub(crate) mod economy;
pub(crate) mod faults;
pub(crate) mod rng;
pub(crate) mod seeds;

use arb_core::bolt3::ChannelType;
use arb_core::{Blocks, CloseKind, Policy, Side};

use cheater::CheaterPlan;
use conditions::FLAT_MOST;
use rng::Rng;

/// The tip height at which every run begins.
pub(crate) const START: u32 = 1000;

/// One channel and its counterparty.
#[derive(Clone, Debug)]
pub(crate) struct ChannelPlan {
    pub(crate) channel_type: ChannelType,
    pub(crate) capacity_sat: u64,
    /// Our part of the capacity at the start.
    pub(crate) ours_percent: u64,
    pub(crate) opener: Side,
    /// CSV delays of the own outputs on the own commitment, ours first (blocks).
    pub(crate) delays: (u16, u16),
    pub(crate) dust_limit_sat: u64,
    pub(crate) feerate_sat_per_kw: u32,
    /// Which close the run attempts.
    pub(crate) close: CloseKind,
    /// Whether the counterparty does nothing on chain after its close: it claims nothing and sweeps nothing.
    pub(crate) idle: bool,
    /// Blocks that the counterparty waits after an expiry before it takes an HTLC back.
    pub(crate) patience_blocks: u32,
    /// What the counterparty does if it publishes a revoked commitment.
    pub(crate) cheater: CheaterPlan,
    /// The number of the first commitment that the court hears of, ours and the counterparty's. Above zero if the channel
    /// was running before the court.
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
            idle: rng.percent(12),
            patience_blocks: rng.pick(&[0, 0, 3, 20]).unwrap_or(0),
            cheater: CheaterPlan::draw(rng, delays.1),
            adopted,
        }
    }

    /// Makes the counterparty cheat on two channels at the same time.
    fn cheat_together(&mut self) {
        self.close = CloseKind::Revoked;
        self.channel_type = ChannelType::AnchorsZeroFeeHtlcTx;
        self.idle = false;
        self.cheater.cheat_together();
    }

    /// The balances at the start in millisatoshi, ours first.
    pub(crate) fn balances_msat(&self) -> (u64, u64) {
        let ours = self.capacity_sat.saturating_mul(10).saturating_mul(self.ours_percent);
        (ours, self.capacity_sat.saturating_mul(1000).saturating_sub(ours))
    }
}

fn draw_delay(rng: &mut Rng) -> u16 {
    u16::try_from(rng.between(6, 60)).unwrap_or(6)
}

/// What one run does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) channels: Vec<ChannelPlan>,
    pub(crate) policy: Policy,
    /// Acts before the first close, and acts after it.
    pub(crate) acts: (u64, u64),
    /// The flat estimate of a run without a fee market (sat per kw).
    pub(crate) feerate_sat_per_kw: u32,
    /// How many reorgs may still happen.
    pub(crate) reorgs: u32,
    /// Whether a reorg replaces the commitment of the first close by another.
    pub(crate) swap: bool,
    /// Whether both channels are with one counterparty that cheats on both.
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
            // Deeper than any reorg of the simulator, so a reorg of six blocks may bring another close.
            policy.fail_depth = (Blocks::new(7), Blocks::new(7));
        }
        let one_peer = count == 2 && rng.percent(12);
        if one_peer {
            channels.iter_mut().for_each(ChannelPlan::cheat_together);
        }
        Self {
            channels,
            policy,
            acts: (rng.between(8, 36), rng.between(8, 30)),
            feerate_sat_per_kw: rng.blocks(253, FLAT_MOST),
            reorgs: rng.blocks(u32::from(swap), 2),
            swap,
            one_peer,
        }
    }
}
