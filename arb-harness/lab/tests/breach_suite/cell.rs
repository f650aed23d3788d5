//! The cells of the matrix: what the revoked commitment holds, what the cheating peer does with it, and who gets each output
//! first.

use arb_core::bolt3::{ChannelType, Preimage};
use arb_core::{Height, Htlc, HtlcRef, Link, Side};
use arb_lab::fixture::{ChannelFixture, ChannelSetup, CommitmentState, FixtureError};
use arb_lab::peer::Order;
use arb_lab::process::all_told;

/// Height of the tip at which every cell begins.
pub const START: u32 = 100;
/// Every HTLC has expired when the peer publishes, so HTLC-success and HTLC-timeout are both possible at once.
const EXPIRY: u32 = START + 1;
/// Delay of the peer's own outputs, in blocks.
pub const DELAY: u16 = 8;
/// The revoked commitment that the peer publishes; its row in the log is a change from commitment 0.
pub const REVOKED: u64 = 1;
/// The newest commitment.
pub const NEWEST: u64 = 2;
const CAPACITY_SAT: u64 = 1_000_000;
const DUST_SAT: u64 = 400;

pub const TYPES: [ChannelType; 2] = [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlcTx];

/// Which HTLCs the revoked commitment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// None, only the main outputs.
    Nothing,
    /// Those that we sent.
    Offered,
    /// Those that the peer sent.
    Received,
    /// Both.
    Both,
    /// Both, too small for outputs; so are those of the newest commitment.
    Dust,
}

/// What the cheating peer does; a miner includes its transactions. What it does not get in its block, it tries again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Publishes, and claims nothing.
    Idle,
    /// Takes what we sent, with preimages, in the last block before we fail it upstream; if we sent none, what it sent.
    SuccessFirst,
    /// Takes what it sent, by timeout, in the block after its commitment; if it sent none, what we sent.
    TimeoutFirst,
    /// Takes everything, with all HTLCs of one locktime in one transaction.
    Aggregated,
    /// Publishes on two channels and takes everything of both, together.
    TwoChannels,
    /// Takes everything in the block of its commitment.
    SameBlock,
}

/// One cell of the matrix; each is played with and without restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub channel_type: ChannelType,
    pub holds: Holds,
    pub behaviour: Behaviour,
    /// Whether two reorgs replace the blocks after the close by blocks in another order.
    pub reorg: bool,
}

impl Cell {
    /// Every cell with this behaviour.
    pub fn all(behaviour: Behaviour) -> Vec<Self> {
        let mut all = Vec::new();
        for channel_type in TYPES.into_iter().filter(|channel_type| behaviour.can(*channel_type)) {
            for holds in [Holds::Nothing, Holds::Offered, Holds::Received, Holds::Both, Holds::Dust] {
                all.extend([false, true].map(|reorg| Self { channel_type, holds, behaviour, reorg }));
            }
        }
        all
    }

    /// The channels that the peer publishes on, with every commitment that was signed.
    pub fn fixtures(self) -> Result<Vec<ChannelFixture>, FixtureError> {
        (0..if self.behaviour == Behaviour::TwoChannels { 2 } else { 1 }).map(|number| self.fixture(number)).collect()
    }

    fn fixture(self, number: u8) -> Result<ChannelFixture, FixtureError> {
        let mut fixture = self.bare(number);
        for (number, state) in (0..).zip(self.states(number)) {
            fixture.remote_signed(number, state.clone())?;
            fixture.local_signed(number, state)?;
        }
        Ok(fixture)
    }

    /// Channel `number` before anything was signed.
    pub fn bare(self, number: u8) -> ChannelFixture {
        let mut setup = ChannelSetup::from_seed(&[0x71; 32], number.into(), self.channel_type, CAPACITY_SAT);
        setup.remote_delay_blocks = DELAY;
        ChannelFixture::new(setup)
    }

    /// The commitments of a channel, oldest first. The revoked one has HTLCs that are removed in the newest.
    pub fn states(self, channel: u8) -> [CommitmentState; 3] {
        let (small, sat) = (self.holds == Holds::Dust, |sat| if self.holds == Holds::Dust { DUST_SAT } else { sat });
        let mut revoked = Vec::new();
        if matches!(self.holds, Holds::Offered | Holds::Both) || small {
            revoked.push(htlc(HtlcRef::offered(0), sat(30_000), secret(channel, 0), Link::Own));
            revoked.push(htlc(GONE_OFFERED, sat(31_000), secret(channel, 1), Link::Own));
        }
        if matches!(self.holds, Holds::Received | Holds::Both) || small {
            revoked.push(htlc(HtlcRef::received(0), sat(32_000), secret(channel, 2), Link::Received));
            revoked.push(htlc(GONE_RECEIVED, sat(33_000), secret(channel, 3), Link::Received));
        }
        let kept = |htlc: &&Htlc| htlc.key != GONE_OFFERED && htlc.key != GONE_RECEIVED;
        let older: Vec<Htlc> = revoked.iter().filter(kept).cloned().collect();
        let mut newest = older.clone();
        newest.push(htlc(SAME_HASH, sat(34_000), secret(channel, 1), Link::Own));
        newest.push(htlc(KNOWN, sat(35_000), secret(channel, 4), Link::Own));
        [older, revoked, newest].map(state)
    }

    /// The HTLCs that we sent and that are still on the newest commitment.
    pub fn outgoing(self) -> Vec<HtlcRef> {
        let held = matches!(self.holds, Holds::Offered | Holds::Both | Holds::Dust);
        held.then_some(HtlcRef::offered(0)).into_iter().chain([SAME_HASH, KNOWN]).collect()
    }

    /// Which HTLCs the peer takes first. A reorg turns the order round, so a preimage is shown late, or only before the reorg.
    pub const fn order(self, after_reorg: bool) -> Order {
        match (self.behaviour, after_reorg) {
            (Behaviour::SuccessFirst, false) | (Behaviour::TimeoutFirst, true) => Order::SuccessFirst,
            (Behaviour::TimeoutFirst, false) | (Behaviour::SuccessFirst, true) => Order::TimeoutFirst,
            (Behaviour::Idle | Behaviour::Aggregated | Behaviour::TwoChannels | Behaviour::SameBlock, _) => {
                Order::AsTheyCome
            }
        }
    }

    /// Whether the peer gets an HTLC's output before us, in its block before the reorgs or in the one after them.
    pub fn is_taken_by_peer(self, htlc: HtlcRef, after_reorg: bool) -> bool {
        self.behaviour != Behaviour::Idle
            && match self.order(after_reorg) {
                Order::AsTheyCome => true,
                // In its one block the peer gets only the HTLCs that it takes first.
                Order::SuccessFirst => htlc.is_offered() || self.holds == Holds::Received,
                Order::TimeoutFirst => !htlc.is_offered() || self.holds == Holds::Offered,
            }
    }

    /// Whether the peer shows preimages before the HTLCs are failed upstream or, with `at_any_time`, also after that.
    pub fn is_shown(self, at_any_time: bool) -> bool {
        let taken = |after_reorg| self.is_taken_by_peer(HtlcRef::offered(0), after_reorg);
        let in_time = taken(false) || (at_any_time && self.reorg && taken(true));
        matches!(self.holds, Holds::Offered | Holds::Both) && in_time
    }
}

impl Behaviour {
    /// Whether the behaviour is possible in a channel of this type.
    const fn can(self, channel_type: ChannelType) -> bool {
        match (self, channel_type) {
            // We signed these HTLC transactions with SIGHASH_ALL, so none can be aggregated. `TwoChannels` stays possible: it
            // then has one transaction for each HTLC, and tests that the channels do not affect each other.
            (Self::Aggregated, ChannelType::StaticRemotekey) => false,
            // Every path but that of the revocation key needs one confirmation (CSV 1).
            (Self::SameBlock, ChannelType::AnchorsZeroFeeHtlcTx) => false,
            (
                Self::Idle
                | Self::SuccessFirst
                | Self::TimeoutFirst
                | Self::Aggregated
                | Self::TwoChannels
                | Self::SameBlock,
                ChannelType::StaticRemotekey | ChannelType::AnchorsZeroFeeHtlcTx,
            ) => true,
        }
    }
}

/// HTLCs on the revoked commitment that are removed in the newest.
const GONE_OFFERED: HtlcRef = HtlcRef::offered(1);
const GONE_RECEIVED: HtlcRef = HtlcRef::received(1);
/// On the newest commitment only, with the payment hash of `GONE_OFFERED`: a preimage shown for that one settles this one.
const SAME_HASH: HtlcRef = HtlcRef::offered(2);
/// On the newest commitment only; we know its preimage from the start.
pub const KNOWN: HtlcRef = HtlcRef::offered(3);

/// Preimage `which` of a channel.
pub fn secret(channel: u8, which: u8) -> Preimage {
    Preimage([channel * 16 + which + 1; 32])
}

/// The preimages that the peer has.
pub fn peers_preimages() -> impl Iterator<Item = Preimage> {
    [0, 1].into_iter().flat_map(|channel| [0, 1].map(|which| secret(channel, which)))
}

fn htlc(key: HtlcRef, sat: u64, preimage: Preimage, link: Link) -> Htlc {
    let cltv_expiry = Height::new(EXPIRY);
    Htlc { key, amount_msat: sat * 1000, payment_hash: preimage.hash(), cltv_expiry, link, tag: Vec::new() }
}

fn state(htlcs: Vec<Htlc>) -> CommitmentState {
    let half_msat = CAPACITY_SAT * 1000 / 2;
    let left_msat = |by_us| {
        let own = htlcs.iter().filter(|htlc| htlc.key.is_offered() == by_us);
        half_msat - own.map(|htlc| htlc.amount_msat).sum::<u64>()
    };
    let (local_msat, remote_msat) = (left_msat(true), left_msat(false));
    CommitmentState { local_msat, remote_msat, feerate_sat_per_kw: 253, htlcs }
}

/// What the court is told before the peer publishes: the channel's opening and every update.
pub fn updates(
    fixture: &mut ChannelFixture,
    states: [CommitmentState; 3],
) -> Result<Vec<arb_core::Event>, FixtureError> {
    let mut events = vec![fixture.opened(fixture.standing(0, 0)?), all_told()];
    for (number, state) in (0_u64..).zip(states) {
        events.push(fixture.remote_signed(number, state.clone())?);
        if let Some(before) = number.checked_sub(1) {
            events.push(fixture.remote_revoked(before)?);
        }
        events.push(fixture.local_signed(number, state)?);
    }
    debug_assert_eq!(fixture.newest(Side::Remote), Some(NEWEST));
    Ok(events)
}
