//! The demonstration: BOLT 3's published channels, closed in every way by a process that dies after every append but that of
//! its start. Each close is played as it comes, and once more with its commitment replaced in a reorg. A cheating peer loses
//! everything except what a miner on its side keeps from us.
//!
//! The progress of a scenario follows from its chain and its journal alone, so a scenario that was killed can go on
//! ([`stage`]). Its results are read from the journal ([`story`]) and from the chain ([`crate::balance_oracle`]).

pub mod stage;
pub mod story;

use arb_core::Side;
use arb_core::bolt3::ChannelType;

use crate::balance_oracle::Knowledge;
use crate::fixture::ChannelFixture;

/// Which commitment confirms in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClosedBy {
    /// Our commitment.
    Ours,
    /// The counterparty's commitment, before it holds a newer one.
    Theirs,
    /// The newest commitment that we signed for the counterparty, while the one before is not revoked.
    Pending,
    /// A commitment of the counterparty that we have no record of.
    Unknown,
    /// A commitment that the counterparty had revoked.
    Revoked,
    /// A mutual close.
    Mutual,
}

/// From when on both sides know the preimages of the HTLCs that they receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preimages {
    /// From the start.
    Known,
    /// After the close, before any expiry.
    Late,
    /// Never.
    Never,
    /// Not at all: there are no HTLCs.
    None,
}

/// One close of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The number, which is `NN` in the names of its files.
    pub number: u32,
    /// The channel type.
    pub channel_type: ChannelType,
    /// Which commitment confirms in the end.
    pub closed_by: ClosedBy,
    /// When the preimages are known.
    pub preimages: Preimages,
    /// Whether another commitment confirms first and is disconnected by a reorg.
    pub reorg: bool,
    /// Whether a miner leaves our claims of a few outputs out of every block until the counterparty has them.
    pub withheld: bool,
}

impl ClosedBy {
    /// The name in scenario names and in `--json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Mutual => "mutual",
        }
    }

    /// The owner of the commitment; ours for a mutual close.
    pub const fn owner(self) -> Side {
        match self {
            Self::Ours | Self::Mutual => Side::Local,
            Self::Theirs | Self::Pending | Self::Unknown | Self::Revoked => Side::Remote,
        }
    }

    /// What the court knows of the confirmed transaction.
    pub const fn knowledge(self) -> Knowledge {
        match self {
            Self::Ours | Self::Theirs | Self::Pending | Self::Mutual => Knowledge::Live,
            Self::Unknown => Knowledge::Nothing,
            Self::Revoked => Knowledge::Revoked,
        }
    }
}

impl Preimages {
    /// The name in scenario names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Late => "late",
            Self::Never => "never",
            Self::None => "empty",
        }
    }
}

/// The name of a channel type in `--json`.
pub const fn type_name(channel_type: ChannelType) -> &'static str {
    match channel_type {
        ChannelType::StaticRemotekey => "static_remotekey",
        ChannelType::AnchorsZeroFeeHtlcTx => "anchors_zero_fee_htlc_tx",
    }
}

impl Scenario {
    /// Every scenario, in order.
    pub fn all() -> Vec<Self> {
        Self::honest().into_iter().chain(Self::revoked()).collect()
    }

    /// The scenarios without a revoked commitment.
    fn honest() -> Vec<Self> {
        let mut all = Vec::new();
        for channel_type in [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlcTx] {
            for closed_by in [ClosedBy::Ours, ClosedBy::Theirs, ClosedBy::Pending, ClosedBy::Unknown] {
                for preimages in [Preimages::Known, Preimages::Late, Preimages::Never] {
                    all.push((channel_type, closed_by, preimages));
                }
            }
            all.push((channel_type, ClosedBy::Mutual, Preimages::None));
        }
        let both = all.into_iter().flat_map(|scenario| [(scenario, false), (scenario, true)]);
        (1..)
            .zip(both)
            .map(|(number, ((channel_type, closed_by, preimages), reorg))| Self {
                number,
                channel_type,
                closed_by,
                preimages,
                reorg,
                withheld: false,
            })
            .collect()
    }

    /// The scenarios with a revoked commitment, numbered after all others.
    pub fn revoked() -> Vec<Self> {
        let mut all = Vec::new();
        for channel_type in [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlcTx] {
            for preimages in [Preimages::Known, Preimages::Late, Preimages::Never] {
                all.extend([(channel_type, preimages, false, false), (channel_type, preimages, true, false)]);
            }
            all.extend([false, true].map(|reorg| (channel_type, Preimages::Known, reorg, true)));
        }
        let first = u32::try_from(Self::honest().len()).unwrap_or(u32::MAX).saturating_add(1);
        (first..)
            .zip(all)
            .map(|(number, (channel_type, preimages, reorg, withheld))| Self {
                number,
                channel_type,
                closed_by: ClosedBy::Revoked,
                preimages,
                reorg,
                withheld,
            })
            .collect()
    }

    /// The commitment that confirms first in a reorg scenario.
    pub const fn first_commitment(&self) -> (Side, u64) {
        let number = ChannelFixture::BOLT3_NUMBER;
        match self.closed_by {
            _ if !self.reorg => (self.closed_by.owner(), number),
            ClosedBy::Ours | ClosedBy::Pending | ClosedBy::Unknown => (Side::Remote, number),
            ClosedBy::Theirs => (Side::Local, number),
            ClosedBy::Revoked | ClosedBy::Mutual => (Side::Local, number + 1),
        }
    }

    /// The commitment that confirms in the end; `None` for a mutual close.
    pub const fn last_commitment(&self) -> Option<(Side, u64)> {
        let number = ChannelFixture::BOLT3_NUMBER;
        match self.closed_by {
            ClosedBy::Ours | ClosedBy::Theirs | ClosedBy::Revoked => Some((self.closed_by.owner(), number)),
            ClosedBy::Pending | ClosedBy::Unknown => Some((self.closed_by.owner(), number + 1)),
            ClosedBy::Mutual => None,
        }
    }

    /// The name that `--scenario` takes.
    pub fn name(&self) -> String {
        let kind = match self.channel_type {
            ChannelType::StaticRemotekey => "static",
            ChannelType::AnchorsZeroFeeHtlcTx => "anchors",
        };
        let reorg = if self.reorg { "-reorg" } else { "" };
        let preimages = if self.withheld { "withheld" } else { self.preimages.name() };
        format!("{kind}-{}-{preimages}{reorg}", self.closed_by.name())
    }

    /// The names of its files without the extension.
    pub fn file_stem(&self) -> String {
        format!("{:02}-{}", self.number, self.name())
    }
}
