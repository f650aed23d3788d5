#![doc = include_str!("architecture.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod action;
mod admit;
pub mod bolt3;
mod channel;
mod check;
mod court;
mod decide;
mod docket;
mod draft;
mod due;
mod event;
mod facts;
mod ids;
#[doc = include_str!("incidents.md")]
pub mod incidents {}
mod index;
mod notice;
mod outcome;
mod policy;
mod record;
mod reject;
mod resolver;
mod revoked;
mod sheet;
mod step;
pub mod sweep;
mod units;
mod view;
mod wire;

pub use action::{Action, InputToSign, SignRequest, SigningKey};
pub use channel::{ChannelArbitrator, CloseKind, Stage};
pub use check::Checked;
pub use court::{ChainArbitrator, Snapshot};
pub use docket::{CoinsStatus, ContractStatus, Docket, SweepStatus};
pub use event::{
    Acknowledged, Block, BroadcastAnswer, BroadcastRejection, Bump, ChannelOpened, CloseReason, ClosingSigned,
    CommitmentSignatures, CommitmentUpdate, Disconnected, Event, FeeInput, FeeInputsOffered, Fees, FoundSpend,
    Freshness, Genesis, InputSignature, LocalCommitmentSigned, PeerState, RemoteCommitmentSigned, RemoteRevoked,
    Scanned, Signed, Started, Tip,
};
pub use facts::{ChannelFacts, Funding, Htlc, Link, Side, SideFacts, Standing, TAG_MAX};
pub use ids::{ActionId, ChannelId, ChannelIndex, ContractId, Direction, HtlcKey, HtlcRef};
pub use index::Indexes;
pub use notice::{Alert, ContractKind, ContractReport, FreezeReason, Notice};
pub use outcome::{ContractOutcome, FailReason, TakenBy, Upstream};
pub use policy::Policy;
pub use record::{ClaimPath, Conclusion, Entry, Frame, Record, StageRecord, Sweep};
pub use reject::{Mismatch, Rejected};
pub use resolver::ResolverKind;
pub use revoked::{CommitmentChange, CommitmentRow, RevokedCommitment, RevokedHtlc, StoredCommitment};
pub use sheet::Sheet;
pub use step::{Difference, Heard, Log, Pending, Step};
pub use units::{Blocks, Height};
