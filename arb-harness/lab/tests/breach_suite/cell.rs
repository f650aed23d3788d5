//! The cells of the matrix: what is on the revoked commitment, what the cheat does with it, and what becomes of it then.

use arb_core::bolt3::{ChannelType, Preimage};
use arb_core::{Height, Htlc, HtlcRef, Link, Side};
use arb_lab::fixture::{ChannelFixture, ChannelSetup, CommitmentState, FixtureError};
use arb_lab::peer::Order;

/// Where every chain begins.
pub const START: u32 = 100;
/// Every HTLC has expired when the cheat publishes, so that both kinds can be taken at once.
const EXPIRY: u32 = START + 1;
/// Of the cheat's own outputs.
pub const DELAY: u16 = 8;
/// The commitment that is published after it was revoked: its row is a change from the one before.
pub const REVOKED: u64 = 1;
/// The newest one.
pub const NEWEST: u64 = 2;
const CAPACITY_SAT: u64 = 1_000_000;
const DUST_SAT: u64 = 400;

pub const TYPES: [ChannelType; 2] = [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlcTx];

/// The HTLCs of the revoked commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// None: main outputs only.
    Nothing,
    /// Those that we sent.
    Offered,
    /// Those that the cheat sent.
    Received,
    /// Both.
    Both,
    /// Both, and too small for outputs; so are those of the newest one.
    Dust,
}

/// What the cheat does, with a miner on its side. Whatever it does not get in its block, it tries again in every later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cheat {
    /// Publishes, and is not seen again.
    Idle,
    /// Takes what we sent, with preimages, as late as they count; without any, what it sent.
    SuccessFirst,
    /// Takes what it sent, after its expiry, in the block after its commitment; without any, what we sent.
    TimeoutFirst,
    /// Takes everything, as many HTLCs in a transaction as their lock times allow.
    Aggregated,
    /// Publishes on two channels, and takes everything of both.
    TwoChannels,
    /// Takes everything in the block of its commitment.
    SameBlock,
}

/// One cell; each is played with and without restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub channel_type: ChannelType,
    pub holds: Holds,
    pub cheat: Cheat,
    /// Whether the blocks after the close leave again, twice, for others in another order.
    pub reorg: bool,
}

impl Cell {
    /// Every cell with this cheat.
    pub fn all(cheat: Cheat) -> Vec<Self> {
        let mut all = Vec::new();
        for channel_type in TYPES.into_iter().filter(|channel_type| cheat.can(*channel_type)) {
            for holds in [Holds::Nothing, Holds::Offered, Holds::Received, Holds::Both, Holds::Dust] {
                all.extend([false, true].map(|reorg| Self { channel_type, holds, cheat, reorg }));
            }
        }
        all
    }

    /// The channels that the cheat publishes on, with everything that was ever signed.
    pub fn fixtures(self) -> Result<Vec<ChannelFixture>, FixtureError> {
        (0..if self.cheat == Cheat::TwoChannels { 2 } else { 1 }).map(|number| self.fixture(number)).collect()
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

    /// Its commitments, oldest first. The revoked one has HTLCs of which half are gone in the newest: the cheat has reasons.
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
        newest.push(htlc(TWIN, sat(34_000), secret(channel, 1), Link::Own));
        newest.push(htlc(KNOWN, sat(35_000), secret(channel, 4), Link::Own));
        [older, revoked, newest].map(state)
    }

    /// The HTLCs that we sent and that are not over off chain.
    pub fn outgoing(self) -> Vec<HtlcRef> {
        let held = matches!(self.holds, Holds::Offered | Holds::Both | Holds::Dust);
        held.then_some(HtlcRef::offered(0)).into_iter().chain([TWIN, KNOWN]).collect()
    }

    /// Which HTLCs the cheat takes first; the other ones, after a reorg, so that a preimage is shown or hidden too late.
    pub const fn order(self, after_reorg: bool) -> Order {
        match (self.cheat, after_reorg) {
            (Cheat::SuccessFirst, false) | (Cheat::TimeoutFirst, true) => Order::SuccessFirst,
            (Cheat::TimeoutFirst, false) | (Cheat::SuccessFirst, true) => Order::TimeoutFirst,
            (Cheat::Idle | Cheat::Aggregated | Cheat::TwoChannels | Cheat::SameBlock, _) => Order::AsTheyCome,
        }
    }

    /// Whether the cheat gets an HTLC's output before us, in its first block or in its last.
    pub fn is_stolen(self, htlc: HtlcRef, after_reorg: bool) -> bool {
        self.cheat != Cheat::Idle
            && match self.order(after_reorg) {
                Order::AsTheyCome => true,
                // What comes first is all that it gets in its one block.
                Order::SuccessFirst => htlc.is_offered() || self.holds == Holds::Received,
                Order::TimeoutFirst => !htlc.is_offered() || self.holds == Holds::Offered,
            }
    }

    /// Whether the cheat shows preimages: before the origins have failed, or at any time.
    pub fn is_shown(self, at_any_time: bool) -> bool {
        let taken = |after_reorg| self.is_stolen(HtlcRef::offered(0), after_reorg);
        let in_time = taken(false) || (at_any_time && self.reorg && taken(true));
        matches!(self.holds, Holds::Offered | Holds::Both) && in_time
    }
}

impl Cheat {
    /// Whether a channel of this type lets it.
    const fn can(self, channel_type: ChannelType) -> bool {
        match (self, channel_type) {
            // We signed its HTLC transactions with ALL: each has the one input and the one output that it has. On two channels
            // it has one for each HTLC as well, so that cell stays: what it tests is that one channel does not mind the other.
            (Self::Aggregated, ChannelType::StaticRemotekey) => false,
            // Every path but the revocation key's waits for a confirmation (CSV 1).
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

/// On the revoked commitment, over since.
const GONE_OFFERED: HtlcRef = HtlcRef::offered(1);
const GONE_RECEIVED: HtlcRef = HtlcRef::received(1);
/// On the newest commitment only, with the hash of the one that is gone: a preimage that the cheat shows is its own, too.
const TWIN: HtlcRef = HtlcRef::offered(2);
/// On the newest commitment only, with a preimage that we know from the start.
pub const KNOWN: HtlcRef = HtlcRef::offered(3);

/// A preimage of a channel.
pub fn secret(channel: u8, which: u8) -> Preimage {
    Preimage([channel * 16 + which + 1; 32])
}

/// The preimages that the cheat has.
pub fn cheats_secrets() -> impl Iterator<Item = Preimage> {
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

/// What the court is told until the cheat begins: every update of a channel, and what we know.
pub fn updates(
    fixture: &mut ChannelFixture,
    states: [CommitmentState; 3],
) -> Result<Vec<arb_core::Event>, FixtureError> {
    let mut events = vec![fixture.opened(fixture.standing(0, 0)?)];
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
