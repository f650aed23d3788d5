//! The demonstration: BOLT 3's published channels closed in every way, each once as it comes and once with its commitment
//! swapped by a reorg, by a process that dies after every append.
//!
//! A scenario's progress is a function of its chain and its journal alone, so that one that was killed can go on
//! ([`stage`]); its results are read from the journal ([`story`]) and from the chain ([`crate::oracle`]).

pub mod stage;
pub mod story;

use arb_core::Side;
use arb_core::bolt3::ChannelType;

/// Which commitment confirms in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClosedBy {
    /// Our commitment.
    Ours,
    /// The counterparty's commitment.
    Theirs,
    /// The counterparty's commitment that we signed last, the one before not revoked.
    Pending,
    /// A commitment of theirs that we have no record of.
    Unknown,
    /// A closing transaction.
    Mutual,
}

/// When the preimages are known, on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preimages {
    /// From the start.
    Known,
    /// After the close, before any expiry.
    Late,
    /// Never.
    Never,
    /// There are no HTLCs.
    None,
}

/// One close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its number: `NN` of the files that it leaves.
    pub number: u32,
    /// The channel's type.
    pub channel_type: ChannelType,
    /// Which commitment confirms in the end.
    pub closed_by: ClosedBy,
    /// When the preimages are known.
    pub preimages: Preimages,
    /// Whether another commitment confirms first, and leaves with a reorg.
    pub reorg: bool,
}

impl ClosedBy {
    /// As names and `--json` have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
            Self::Mutual => "mutual",
        }
    }

    /// Whose transaction it is, as far as a commitment is anybody's.
    pub const fn owner(self) -> Side {
        match self {
            Self::Ours | Self::Mutual => Side::Local,
            Self::Theirs | Self::Pending | Self::Unknown => Side::Remote,
        }
    }
}

impl Preimages {
    /// As names have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Late => "late",
            Self::Never => "never",
            Self::None => "empty",
        }
    }
}

/// As `--json` has it.
pub const fn type_name(channel_type: ChannelType) -> &'static str {
    match channel_type {
        ChannelType::StaticRemotekey => "static_remotekey",
        ChannelType::AnchorsZeroFeeHtlcTx => "anchors_zero_fee_htlc_tx",
    }
}

impl Scenario {
    /// Every scenario, in order.
    pub fn all() -> Vec<Self> {
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
            })
            .collect()
    }

    /// Its name: what `--scenario` takes.
    pub fn name(&self) -> String {
        let kind = match self.channel_type {
            ChannelType::StaticRemotekey => "static",
            ChannelType::AnchorsZeroFeeHtlcTx => "anchors",
        };
        let reorg = if self.reorg { "-reorg" } else { "" };
        format!("{kind}-{}-{}{reorg}", self.closed_by.name(), self.preimages.name())
    }

    /// The name of its files, without the ending.
    pub fn file_stem(&self) -> String {
        format!("{:02}-{}", self.number, self.name())
    }
}
