//! What a run does, drawn from its seed: the channels, how each closes, and abstract actions that the world turns into
//! concrete events. An action that is not possible where it comes is left out.

use arb_core::bolt3::ChannelType;
use arb_core::{Blocks, CloseKind, Policy, Side};

use super::rng::Rng;
use crate::peer::Order;

/// One channel and its counterparty.
#[derive(Clone, Debug)]
pub(super) struct LanePlan {
    pub(super) channel_type: ChannelType,
    pub(super) capacity_sat: u64,
    pub(super) ours_percent: u64,
    pub(super) opener: Side,
    pub(super) delays: (u16, u16),
    pub(super) dust_limit_sat: u64,
    pub(super) feerate_sat_per_kw: u32,
    pub(super) close: CloseKind,
    /// Whether the counterparty is dead on chain: claims and sweeps nothing.
    pub(super) dead: bool,
    pub(super) patience_blocks: u32,
    /// How the counterparty cheats, if one of its old commitments confirms.
    pub(super) cheat: CheatPlan,
    /// Our first commitment that the court hears of, and the counterparty's: above zero where the channel was running before.
    pub(super) adopted: (u64, u64),
}

/// How a counterparty cheats.
#[derive(Clone, Debug)]
pub(super) struct CheatPlan {
    /// Rounds of updates that come before the close: HTLCs are added, and most of them removed again.
    pub(super) rounds: u32,
    /// Blocks that it waits then: what it took out of its newest commitment may expire.
    pub(super) waits: u32,
    /// Which of its HTLCs it takes first.
    pub(super) order: Order,
    /// Whether its HTLCs share transactions where they can.
    pub(super) together: bool,
    /// For how many blocks after the close it mines, and what of ours it leaves out of these.
    pub(super) mines: u32,
    pub(super) withholds: Withholds,
    /// It plays a commitment that is not revoked, and reveals its secret this many blocks after it confirmed.
    pub(super) confesses: Option<u32>,
}

/// What a cheat's miner leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Withholds {
    Nothing,
    Htlcs,
    Everything,
}

impl CheatPlan {
    /// The plan of somebody whose own outputs have this delay.
    pub(super) fn draw(rng: &mut Rng, delay_blocks: u16) -> Self {
        let delay = u32::from(delay_blocks);
        let orders = [Order::AsTheyCome, Order::SuccessFirst, Order::TimeoutFirst];
        let withholds = [Withholds::Nothing, Withholds::Htlcs, Withholds::Everything];
        let mines = match rng.weighted(&[3, 6, 1]) {
            0 => 0,
            1 => rng.blocks(1, delay.saturating_sub(2)),
            _ => rng.blocks(delay, delay + 12),
        };
        Self {
            rounds: rng.blocks(1, 3),
            waits: if rng.percent(35) { rng.blocks(20, 80) } else { 0 },
            order: orders[rng.weighted(&[2, 1, 1])],
            together: rng.percent(60),
            mines,
            withholds: withholds[rng.weighted(&[1, 1, 2])],
            confesses: rng.percent(12).then(|| rng.blocks(0, 3)),
        }
    }

    /// Plays what is old already, at the same time as another one, and puts as much as it can into one transaction.
    pub(super) fn join(&mut self) {
        self.together = true;
        self.confesses = None;
        self.waits = 0;
        self.mines = self.mines.max(3);
    }
}

/// A run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) lanes: Vec<LanePlan>,
    pub(super) policy: Policy,
    /// Actions before the first close, and after it.
    pub(super) acts: (u64, u64),
    /// The estimate, in satoshi per kiloweight.
    pub(super) feerate_sat_per_kw: u32,
    /// How many reorgs there may be.
    pub(super) reorgs: u32,
    /// Whether the first close is followed by a reorg that brings another commitment.
    pub(super) swap: bool,
    /// Whether both channels are with the same counterparty, which cheats on both.
    pub(super) one_peer: bool,
}

/// An abstract action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Blocks are mined.
    Mine(u32),
    /// The counterparty proposes an HTLC.
    Receive,
    /// We propose an HTLC: our own payment, or for an origin outside.
    Pay,
    /// A received HTLC is forwarded.
    Forward,
    /// The next messages of the commitment dance.
    Dance(u64),
    /// The counterparty fulfils an HTLC off chain.
    PeerFulfils,
    /// The counterparty fails an HTLC off chain.
    PeerFails,
    /// Preimages that the node knows by now are told, and HTLCs that it gives up.
    NodeSpeaks,
    /// The estimate moves.
    Fees,
    /// A channel's close begins.
    Close,
    /// The chain turns.
    Reorg(Turn, u32),
}

/// What a reorg brings back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The same blocks.
    Same,
    /// Empty blocks.
    Empty,
    /// Another commitment in the place of the one that confirmed.
    Swap,
}

impl LanePlan {
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
            cheat: CheatPlan::draw(rng, delays.1),
            adopted,
        }
    }

    /// Cheats together with another channel's counterparty.
    fn join(&mut self) {
        self.close = CloseKind::Revoked;
        self.channel_type = ChannelType::AnchorsZeroFeeHtlcTx;
        self.dead = false;
        self.cheat.join();
    }

    /// The balances at the start, ours first.
    pub(super) fn balances_msat(&self) -> (u64, u64) {
        let ours = self.capacity_sat.saturating_mul(10).saturating_mul(self.ours_percent);
        (ours, self.capacity_sat.saturating_mul(1000).saturating_sub(ours))
    }
}

fn draw_delay(rng: &mut Rng) -> u16 {
    u16::try_from(rng.between(6, 60)).unwrap_or(6)
}

impl Plan {
    /// The plan of a seed.
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let swap = rng.percent(40);
        let count = rng.weighted(&[0, 1, 2]);
        let mut lanes: Vec<LanePlan> = (0..count).map(|_| LanePlan::draw(rng)).collect();
        let mut policy = Policy::default();
        if rng.percent(50) {
            // Deeper than any reorg: six blocks may bring anything.
            policy.fail_depth = (Blocks::new(7), Blocks::new(7));
        }
        let one_peer = count == 2 && rng.percent(12);
        if one_peer {
            lanes.iter_mut().for_each(LanePlan::join);
        }
        Self {
            lanes,
            policy,
            acts: (rng.between(8, 36), rng.between(8, 30)),
            feerate_sat_per_kw: rng.blocks(253, 1500),
            reorgs: rng.blocks(u32::from(swap), 2),
            swap,
            one_peer,
        }
    }
}

impl Act {
    /// The next action; `closing` once the first close has begun.
    pub(super) fn draw(rng: &mut Rng, closing: bool) -> Self {
        let weights = if closing { [9, 2, 2, 3, 5, 2, 1, 3, 1, 3, 3] } else { [3, 5, 3, 5, 9, 2, 1, 2, 1, 0, 0] };
        match rng.weighted(&weights) {
            0 => Self::Mine(rng.blocks(1, if closing { 12 } else { 3 })),
            1 => Self::Receive,
            2 => Self::Pay,
            3 => Self::Forward,
            4 => Self::Dance(rng.between(1, 4)),
            5 => Self::PeerFulfils,
            6 => Self::PeerFails,
            7 => Self::NodeSpeaks,
            8 => Self::Fees,
            9 => Self::Close,
            _ => {
                let turn = [Turn::Same, Turn::Empty, Turn::Swap][rng.weighted(&[1, 1, 3])];
                Self::Reorg(turn, rng.blocks(1, 6))
            }
        }
    }
}
