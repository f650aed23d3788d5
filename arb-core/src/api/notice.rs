//! What goes to the outside once and is done when the outside says `Performed`: alerts, reports, the freeze, the end.

use crate::api::ids::{ActionId, ChannelId, ContractId, HtlcRef, htlc_bytes, outpoint_bytes, report_id};
use crate::api::outcome::{ContractOutcome, FailReason};
use crate::api::sheet::Sheet;
use crate::api::stage::{CloseKind, ContractKind, ResolverKind};
use crate::api::units::Height;
use crate::bolt3::PaymentHash;
use alloc::vec::Vec;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Txid};
use serde::{Deserialize, Serialize};

/// One entry of a channel's outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// No more updates.
    Freeze(FreezeReason),
    /// A person should know.
    Alert(Alert),
    /// A contract is over.
    Report(ContractReport),
    /// Coins are free again.
    Release {
        /// The claim that owned them.
        owner: OutPoint,
        /// The coins.
        coins: Vec<OutPoint>,
        /// When: the same coins may be offered, and let go, again.
        at: Height,
    },
    /// The channel is resolved.
    Resolved(Sheet),
}

/// Why a channel was frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FreezeReason {
    /// An HTLC's deadline is here.
    Deadline(HtlcRef),
    /// Small HTLCs, each not worth a close, are together.
    OverdueSum,
    /// The operator asked.
    Operator,
    /// The counterparty sent an error.
    PeerError,
    /// The counterparty's commitment was seen unconfirmed.
    PeerOnChain,
    /// A transaction that spends the funding confirmed.
    FundingSpent,
    /// The counterparty proved a newer state, or the channel comes from a backup.
    Outdated,
    /// The embedder forgot a channel that never held anything.
    Forgotten,
}

/// Something that a person should know, with the heights and amounts that tell how urgent it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Alert {
    /// A revoked commitment confirmed.
    RevokedCommitment {
        /// Its number.
        number: u64,
        /// Its txid.
        txid: Txid,
    },
    /// A revoked commitment confirmed whose HTLCs neither log nor node know: its main output and what HTLC transactions leave
    /// are taken, HTLC outputs are not, until the node tells what they are (an adopted channel).
    RevokedStateMissing {
        /// Its number.
        number: u64,
        /// Its txid.
        txid: Txid,
    },
    /// A transaction that is none we know spent the funding (G9, RC5): a newer commitment, or a leaked key.
    UnknownCommitment {
        /// Its txid.
        txid: Txid,
    },
    /// Our state is outdated: nothing of ours will be sent.
    Outdated,
    /// An upstream HTLC is about to expire while this one is unresolved and too large to be given up.
    UpstreamAtRisk {
        /// The HTLC that we sent.
        htlc: HtlcRef,
        /// Its amount.
        amount_sat: u64,
        /// When the upstream expires.
        upstream_expiry: Height,
    },
    /// The origin was failed on a wager.
    Risk {
        /// The HTLC that we sent.
        htlc: HtlcRef,
        /// By which rule.
        why: FailReason,
        /// Its amount.
        amount_sat: u64,
    },
    /// The downstream HTLC was paid after its origin was failed for good.
    Loss {
        /// The HTLC that we sent.
        htlc: HtlcRef,
        /// Its payment hash.
        payment_hash: PaymentHash,
        /// Its amount.
        amount_sat: u64,
    },
    /// An output that was ours was taken by somebody else.
    OutputLost {
        /// The output.
        outpoint: OutPoint,
        /// Its amount.
        amount_sat: u64,
        /// Who spent it.
        by: Txid,
    },
    /// A claim's deadline passed with the output unspent.
    DeadlineMissed {
        /// The output.
        outpoint: OutPoint,
        /// The deadline.
        deadline: Height,
        /// Its amount.
        amount_sat: u64,
    },
    /// The signer refuses; asked again in every block.
    SigningRefused {
        /// The request.
        request: ActionId,
    },
    /// The wallet has no coin for a claim that needs one; asked again in every block.
    FeeInputsMissing {
        /// The claim.
        owner: OutPoint,
        /// How much is missing.
        missing_sat: u64,
    },
    /// A transaction of ours was refused for its script: a bug, or a counterparty's signature that is not standard.
    ScriptFailure {
        /// The transaction.
        txid: Txid,
    },
    /// A transaction that the counterparty signed with ALL pays less than the mempool asks for.
    FeeTooLow {
        /// The transaction.
        txid: Txid,
    },
    /// The court did not come to rest within its bound.
    Stuck,
}

/// How one contract ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractReport {
    /// Which contract.
    pub id: ContractId,
    /// The HTLC, if it is one.
    pub htlc: Option<HtlcRef>,
    /// What kind of output it is.
    pub kind: ContractKind,
    /// On which kind of close.
    pub close: CloseKind,
    /// Its amount.
    pub amount_sat: u64,
    /// The resolvers that it went through.
    pub resolvers: Vec<ResolverKind>,
    /// How it ended.
    pub outcome: ContractOutcome,
    /// The transactions that spent it, in order.
    pub txids: Vec<Txid>,
    /// What our transactions among them paid in fees.
    pub fee_sat: u64,
}

impl Notice {
    /// The stable identity of the action that this notice becomes: the same notice is raised once.
    pub(crate) fn id(&self, channel: &ChannelId) -> ActionId {
        match self {
            Self::Freeze(_) => ActionId::of("freeze", channel, &[]),
            Self::Alert(alert) => alert.id(channel),
            Self::Report(report) => report_id(channel, &report.id),
            Self::Release { owner, coins, at } => {
                let coins: Vec<[u8; 36]> = coins.iter().map(outpoint_bytes).collect();
                let coins: Vec<u8> = coins.concat();
                ActionId::of("release", channel, &[&outpoint_bytes(owner), &coins, &at.get().to_le_bytes()])
            }
            Self::Resolved(_) => ActionId::of("resolved", channel, &[]),
        }
    }
}

impl Alert {
    fn id(&self, channel: &ChannelId) -> ActionId {
        let htlc = |tag, htlc: &HtlcRef| ActionId::of(tag, channel, &[&htlc_bytes(htlc)]);
        let txid = |tag, txid: &Txid| ActionId::of(tag, channel, &[&txid.to_byte_array()]);
        let outpoint = |tag, outpoint: &OutPoint| ActionId::of(tag, channel, &[&outpoint_bytes(outpoint)]);
        match self {
            Self::RevokedCommitment { txid: id, .. } => txid("alert revoked", id),
            Self::RevokedStateMissing { txid: id, .. } => txid("alert revoked state", id),
            Self::UnknownCommitment { txid: id } => txid("alert unknown", id),
            Self::Outdated => ActionId::of("alert outdated", channel, &[]),
            Self::UpstreamAtRisk { htlc: id, .. } => htlc("alert upstream", id),
            Self::Risk { htlc: id, .. } => htlc("alert risk", id),
            Self::Loss { htlc: id, .. } => htlc("alert loss", id),
            Self::OutputLost { outpoint: id, .. } => outpoint("alert lost", id),
            Self::DeadlineMissed { outpoint: id, .. } => outpoint("alert deadline", id),
            Self::SigningRefused { request } => ActionId::of("alert signing", channel, &[&request.0]),
            Self::FeeInputsMissing { owner, .. } => outpoint("alert fee inputs", owner),
            Self::ScriptFailure { txid: id } => txid("alert script", id),
            Self::FeeTooLow { txid: id } => txid("alert fee", id),
            Self::Stuck => ActionId::of("alert stuck", channel, &[]),
        }
    }
}
