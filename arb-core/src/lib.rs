#![doc = include_str!("architecture.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod admit;
mod api;
pub mod bolt3;
mod channel;
mod check;
mod claims;
mod court;
mod decide;
#[doc = include_str!("incidents.md")]
pub mod incidents {}
mod replay;
mod resolver;
mod step;
pub mod sweep;
mod view;

pub use api::action::{Action, InputToSign, SignRequest};
pub use api::event::{
    Acknowledged, Block, BroadcastAnswer, BroadcastRejection, Bump, ChannelOpened, CloseReason, ClosingSigned,
    CommitmentSignatures, CommitmentUpdate, Disconnected, Event, FeeInput, FeeInputsOffered, FoundSpend, Freshness,
    InputSignature, JournalIdentity, LocalCommitmentSigned, PeerState, RemoteCommitmentSigned, RemoteRevoked, Scanned,
    Signed, Started, Tip,
};
pub use api::facts::{ChannelFacts, Funding, Htlc, Link, Side, SideFacts, Standing, TAG_MAX};
pub use api::fees::Fees;
pub use api::ids::{ActionId, ChannelId, ChannelIndex, ContractId, Direction, HtlcKey, HtlcRef};
pub use api::notice::{Alert, ContractReport, FreezeReason, Held, Notice};
pub use api::outcome::{ContractOutcome, FailReason, TakenBy, Upstream};
pub use api::past::{CommitmentChange, CommitmentRow, RevokedCommitment, RevokedHtlc, StoredCommitment};
pub use api::plan::Sweep;
pub use api::policy::Policy;
pub use api::record::{Conclusion, Entry, Frame, Record};
pub use api::reject::{Mismatch, Rejected, RejectedClass};
pub use api::sheet::Sheet;
pub use api::stage::{CloseKind, ContractKind, ResolverKind, Stage, StageRecord};
pub use api::unclaimed::{SigningKey, UnclaimedOutput};
pub use api::units::{Blocks, Height};
pub use bolt3::ClaimPath;
pub use channel::ChannelArbitrator;
pub use check::Checked;
pub use court::ChainArbitrator;
pub use court::docket::{CoinsStatus, ContractStatus, Docket, SweepStatus};
pub use court::index::Indexes;
pub use court::snapshot::Snapshot;
pub use court::tombstone::Tombstone;
pub use replay::Difference;
pub use step::{Heard, Log, Pending, Step};
