//! Notices: what is told once and is done when the outside says `Performed`. The freeze, alerts, reports, coins that are
//! free again, the end of a channel.
//!
//! Tests: arb-harness/lab/tests/court_suite/incidents_restart.rs, arb-harness/lab/tests/court_suite/outcomes.rs

use crate::api::ids::{ActionId, ChannelId, ContractId, HtlcKey, HtlcRef, htlc_bytes, outpoint_bytes, report_id};
use crate::api::outcome::{ContractOutcome, FailReason};
use crate::api::sheet::Sheet;
use crate::api::stage::{CloseKind, ContractKind, ResolverKind};
use crate::api::unclaimed::UnclaimedOutput;
use crate::api::units::Height;
use crate::bolt3::PaymentHash;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Txid};
use serde::{Deserialize, Serialize};

/// One entry of a channel's outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub enum Notice {
    /// The node shall make no more updates.
    Freeze(FreezeReason),
    /// A person should know.
    Alert(Alert),
    /// A contract is over.
    Report(ContractReport),
    /// Coins are free again.
    Release {
        /// The output whose claim the coins were held for.
        owner: OutPoint,
        coins: Vec<OutPoint>,
        /// The tip then: the same coins may be offered, and released, again.
        at: Height,
    },
    /// The channel is resolved.
    Resolved(Sheet),
}

/// Why a channel was frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FreezeReason {
    /// This HTLC's deadline for going to chain is reached.
    Deadline(HtlcRef),
    /// Overdue HTLCs that are each not worth a close are worth one together, or are more than may still be given up (A12).
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
    /// The node forgot the channel: it never held an HTLC or a balance of ours, or none of its fundings can confirm.
    Forgotten,
}

/// Something that a person should know, with the heights and amounts that tell how urgent it is.
///
/// An `htlc` is one that we sent; an `amount_sat` is in satoshi.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub enum Alert {
    /// A revoked commitment confirmed.
    RevokedCommitment {
        /// Its commitment number.
        number: u64,
        txid: Txid,
    },
    /// A revoked commitment confirmed, and neither log nor node knows its HTLCs (an adopted channel). Its main output
    /// and the outputs of its HTLC transactions are claimed; its HTLC outputs are not, until the node tells what they
    /// are.
    RevokedStateMissing {
        /// Its commitment number.
        number: u64,
        txid: Txid,
    },
    /// A transaction of no known kind spent the funding (G9, RC5): a commitment newer than our state, one of which neither log
    /// nor node can tell whose it is, or a leaked key.
    UnknownCommitment { txid: Txid },
    /// Our state is outdated: our commitment is never signed or sent, and the counterparty must close (I10).
    Outdated,
    /// Upstream HTLCs are about to expire while ours are unresolved and too large to be given up. Their channels may close; ask
    /// the downstream peer to settle or fail, or fail upstream at your own risk.
    UpstreamAtRisk {
        /// The first of them.
        htlc: HtlcRef,
        /// How many HTLCs they are.
        htlcs: u32,
        /// What ours are worth together.
        amount_sat: u64,
        /// The height at which the upstream HTLCs expire.
        upstream_expiry: Height,
    },
    /// The upstream HTLC is failed although the counterparty could still claim this one with a preimage; or although the node has
    /// not told every channel, one of which may hold another HTLC for it (A9).
    Risk { htlc: HtlcRef, why: FailReason, amount_sat: u64 },
    /// The counterparty was paid for this HTLC with its preimage after the upstream HTLC had been failed.
    Loss { htlc: HtlcRef, payment_hash: PaymentHash, amount_sat: u64 },
    /// Somebody else took an output that was ours.
    OutputLost {
        outpoint: OutPoint,
        amount_sat: u64,
        /// The transaction that spent it.
        by: Txid,
    },
    /// An output that we claim is unspent after its deadline.
    DeadlineMissed {
        outpoint: OutPoint,
        /// The last height at which its claim was in time.
        deadline: Height,
        amount_sat: u64,
    },
    /// The signer refuses; it is asked again in every block.
    SigningRefused {
        /// The request, by its action's id.
        request: ActionId,
    },
    /// The wallet has too few coins for a claim whose fee it pays; it is asked again in every block.
    FeeInputsMissing {
        /// The output that is claimed.
        owner: OutPoint,
        /// How many satoshi are missing, by the wallet's last answer.
        missing_sat: u64,
    },
    /// The network refused a transaction of ours for its script: a bug, or a counterparty's signature that is not
    /// standard.
    ScriptFailure { txid: Txid },
    /// A transaction pays less than the mempool's minimum, and the counterparty's signature with SIGHASH_ALL fixes its
    /// fee.
    FeeTooLow { txid: Txid },
    /// A bug of the court: conclusions about the channel did not come to an end within the bound, or one could not be
    /// applied.
    Stuck,
    /// Network or signer refused a transaction with this coin of the wallet, which may be why: others are asked for.
    CoinRefused {
        /// The coin.
        coin: OutPoint,
    },
    /// An output of ours could be claimed for `irrevocable_depth` blocks and is unspent: its claim is declined, or does not
    /// confirm. It waits on, until its claim confirms or [`Event::ClaimAbandoned`](crate::Event::ClaimAbandoned) ends that.
    OutputWaits {
        /// What its spend needs.
        output: UnclaimedOutput,
        /// The tip when it could first be claimed.
        since: Height,
    },
    /// The counterparty claims a newer state than ours and did not prove it: our journal may be old, or the counterparty
    /// lies. Compare with the node, and with other copies of the journal, before a close.
    PeerClaimsNewer {
        /// Its `next_commitment_number` (BOLT 2).
        next_commitment_number: u64,
        /// Its `next_revocation_number` (BOLT 2).
        next_revocation_number: u64,
        /// How many starts the court had heard: one such alert for each channel and start, whatever the numbers.
        start: u64,
    },
    /// An HTLC calls for going to chain, which waits for [`Event::AdoptionComplete`](crate::Event::AdoptionComplete): the
    /// node must say that it has told everything.
    AdoptionIncomplete {
        /// The tip when that was noticed first.
        since: Height,
        /// How many starts the court had heard: after each, the node must say so again.
        start: u64,
    },
    /// Our commitment should be sent, and no funding is known to be confirmed, so nothing is sent. The search for the funding's
    /// spends tells; if its answer does not come, or the funding really is unconfirmed, a person has to look.
    FundingUnconfirmed {
        /// The commitment's number.
        number: u64,
        /// Our balance on it, without HTLCs.
        amount_sat: u64,
    },
    /// HTLCs that we forwarded and that have no output on any commitment are at the counterparty's mercy, and with what was given
    /// up in this channel before they are more than the policy's `giveup_sum_sat` (A12). A close would only burn them. Add no
    /// more of them in this channel; what is above the bound is not given up, so its upstream channels may close.
    DustExposure {
        /// These HTLCs together.
        pending_sat: u64,
        /// What was given up before.
        given_up_sat: u64,
        /// The policy's bound.
        bound_sat: u64,
    },
    /// Our commitment should be confirmed by now, or soon, and is not (I17): before each deadline of its HTLCs, and at once if it
    /// is held back until somebody acts. What can be done depends on `why`.
    CommitmentWaits {
        /// The commitment's number; 0 if the channel comes from a backup.
        number: u64,
        why: Held,
        /// The last block in which these HTLCs should be claimed; `None` if no HTLC is at stake.
        deadline: Option<Height>,
        /// How many HTLCs share that deadline.
        htlcs: u32,
        /// What they are worth together.
        amount_sat: u64,
    },
    /// In the next block at the latest, outputs of a confirmed close should be claimed, and no signed claim of them is on offer: the
    /// wallet lacks coins, the signer does not answer, or they cost more than they are worth (I17).
    ClaimWaits {
        /// The close.
        txid: Txid,
        /// The last height at which the claims are in time.
        deadline: Height,
        /// How many outputs share that deadline.
        outputs: u32,
        /// What they are worth together.
        amount_sat: u64,
    },
    /// The chain source announces blocks that it has not delivered, and a deadline lies in them (I17). Until they are heard,
    /// nothing is decided or sent (R11). Repair the source, or use another one.
    SourceBehind {
        /// The last block that the court has heard.
        tip: Height,
        /// The greatest height that the source announces.
        best: Height,
        /// The nearest deadline.
        deadline: Height,
        /// How many HTLCs or outputs have a deadline in those blocks.
        outputs: u32,
        /// What they are worth together.
        amount_sat: u64,
    },
    /// A commitment of ours that is not our newest confirmed, and the counterparty can take every output of it that is ours
    /// (A32). Our main output is claimed after our delay, if the node tells the point for that number
    /// ([`Event::PointLoaded`](crate::Event::PointLoaded)). We cannot claim its HTLCs. Find out who published it: another
    /// copy of the node, or of its keys, may be running.
    SupersededCommitment {
        /// Its commitment number.
        number: u64,
        txid: Txid,
    },
    /// An HTLC that we sent expires after its upstream HTLC: the counterparty can be paid when the upstream HTLC is over already. A
    /// new one is refused where both are known; this one is there. Ask the counterparty to end it, or settle or fail it upstream.
    UpstreamExpiresFirst {
        htlc: HtlcRef,
        amount_sat: u64,
        /// Its own expiry.
        cltv_expiry: Height,
        /// The height at which the upstream HTLC expires.
        upstream_expiry: Height,
    },
    /// The upstream HTLC that an HTLC was linked to before that was told has another payment hash: a mistake of the node. The two
    /// are not taken for linked, so the upstream's expiry is not known.
    UpstreamOfOtherHash {
        htlc: HtlcRef,
        amount_sat: u64,
        /// The HTLC that it was linked to.
        upstream: HtlcKey,
    },
    /// The point that the node told for a commitment that confirmed gives no output of it, so it proves nothing (A32): it is wrong,
    /// or our balance was too small for an output. Until a point does, nobody is accused, no main output of ours is claimed, and
    /// the point of *our* commitment of that number should be told again ([`Event::PointLoaded`](crate::Event::PointLoaded)).
    PointGivesNoOutput {
        /// The commitment number.
        number: u64,
        txid: Txid,
    },
}

/// Why our commitment is not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Held {
    /// Our state is outdated, so it is never sent: ask the counterparty to close, or tell the newer state.
    Outdated,
    /// The journal may be old, so it is neither signed nor sent: connect to the counterparty, whose state clears the suspicion.
    Suspect,
    /// No funding is known to be confirmed: look whether one is, and whether the chain source answers searches.
    FundingUnconfirmed,
    /// The signer has not signed it.
    Unsigned,
    /// It is sent and does not confirm: its child needs coins, or more fee ([`Event::BumpRequested`](crate::Event::BumpRequested)).
    Unconfirmed,
    /// These HTLCs, which we could claim, are worth less than a close, so the channel stays open: ask the counterparty to take the
    /// preimages off chain, or request a close ([`Event::CloseRequested`](crate::Event::CloseRequested)). Told once for each
    /// deadline, whatever commitments follow.
    TooSmall,
}

/// How one contract ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractReport {
    /// The output, or the HTLC without one.
    pub id: ContractId,
    /// The HTLC; `None` for every other kind of output.
    pub htlc: Option<HtlcRef>,
    /// What kind of output it is.
    pub kind: ContractKind,
    /// Which kind of close left it.
    pub close: CloseKind,
    /// Its amount, in satoshi.
    pub amount_sat: u64,
    /// The resolvers that owned it, in order.
    pub resolvers: Vec<ResolverKind>,
    /// How it ended.
    pub outcome: ContractOutcome,
    /// The transactions that spent it, in order.
    pub txids: Vec<Txid>,
    /// What our transactions among them paid in fees, in satoshi; of a transaction that several claims share, this
    /// contract's part.
    pub fee_sat: u64,
    /// The output, if it was given up and is unspent. It can still be claimed with our keys.
    pub unclaimed: Option<Box<UnclaimedOutput>>,
}

impl Notice {
    /// The id of the action that this notice becomes: of two notices with one id only the first is raised.
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

/// The tags of alerts about one HTLC.
const RISK: &str = "alert risk";
const LOSS: &str = "alert loss";
const EXPIRES_FIRST: &str = "alert upstream expires first";
const OTHER_HASH: &str = "alert upstream hash";

impl Alert {
    /// The alerts about one HTLC of an open channel alone, by their ids: an id of an HTLC is used once, so once it is gone none
    /// of them is raised again.
    pub(crate) fn of_htlc(channel: &ChannelId, htlc: HtlcRef) -> impl Iterator<Item = ActionId> {
        [RISK, LOSS, EXPIRES_FIRST, OTHER_HASH]
            .into_iter()
            .map(move |tag| ActionId::of(tag, channel, &[&htlc_bytes(&htlc)]))
    }

    fn id(&self, channel: &ChannelId) -> ActionId {
        let htlc = |tag, htlc: &HtlcRef| ActionId::of(tag, channel, &[&htlc_bytes(htlc)]);
        let txid = |tag, txid: &Txid| ActionId::of(tag, channel, &[&txid.to_byte_array()]);
        let outpoint = |tag, outpoint: &OutPoint| ActionId::of(tag, channel, &[&outpoint_bytes(outpoint)]);
        match self {
            Self::RevokedCommitment { txid: id, .. } => txid("alert revoked", id),
            Self::RevokedStateMissing { txid: id, .. } => txid("alert revoked state", id),
            Self::UnknownCommitment { txid: id } => txid("alert unknown", id),
            Self::Outdated => ActionId::of("alert outdated", channel, &[]),
            Self::UpstreamAtRisk { upstream_expiry, .. } => {
                ActionId::of("alert upstream", channel, &[&upstream_expiry.get().to_le_bytes()])
            }
            Self::Risk { htlc: id, .. } => htlc(RISK, id),
            Self::Loss { htlc: id, .. } => htlc(LOSS, id),
            Self::OutputLost { outpoint: id, .. } => outpoint("alert lost", id),
            Self::DeadlineMissed { outpoint: id, .. } => outpoint("alert deadline", id),
            Self::SigningRefused { request } => ActionId::of("alert signing", channel, &[&request.0]),
            Self::FeeInputsMissing { owner, .. } => outpoint("alert fee inputs", owner),
            Self::ScriptFailure { txid: id } => txid("alert script", id),
            Self::FeeTooLow { txid: id } => txid("alert fee", id),
            Self::Stuck => ActionId::of("alert stuck", channel, &[]),
            Self::CoinRefused { coin } => outpoint("alert coin", coin),
            Self::PeerClaimsNewer { start, .. } => ActionId::of("alert claim", channel, &[&start.to_le_bytes()]),
            Self::AdoptionIncomplete { start, .. } => ActionId::of("alert adoption", channel, &[&start.to_le_bytes()]),
            Self::OutputWaits { output, .. } => outpoint("alert waits", &output.outpoint),
            Self::CommitmentWaits { number, why, deadline, .. } => {
                let open = *why == Held::TooSmall;
                let why = match why {
                    Held::Outdated => 0,
                    Held::Suspect => 1,
                    Held::FundingUnconfirmed => 2,
                    Held::Unsigned => 3,
                    Held::Unconfirmed => 4,
                    Held::TooSmall => 5,
                };
                // While the channel is open, every update brings a commitment, and the HTLCs stay what they are.
                let number = if open { 0 } else { *number };
                let deadline = deadline.map_or(0, Height::get).to_le_bytes();
                ActionId::of("alert commitment", channel, &[&number.to_le_bytes(), &[why], &deadline])
            }
            Self::ClaimWaits { deadline, .. } => {
                ActionId::of("alert claims", channel, &[&deadline.get().to_le_bytes()])
            }
            Self::SourceBehind { deadline, .. } => {
                ActionId::of("alert behind", channel, &[&deadline.get().to_le_bytes()])
            }
            // Again after each give-up.
            Self::DustExposure { given_up_sat, .. } => {
                ActionId::of("alert exposure", channel, &[&given_up_sat.to_le_bytes()])
            }
            Self::SupersededCommitment { txid: id, .. } => txid("alert superseded", id),
            Self::UpstreamExpiresFirst { htlc: id, .. } => htlc(EXPIRES_FIRST, id),
            Self::UpstreamOfOtherHash { htlc: id, .. } => htlc(OTHER_HASH, id),
            Self::PointGivesNoOutput { txid: id, .. } => txid("alert point", id),
            Self::FundingUnconfirmed { number, .. } => ActionId::of("alert funding", channel, &[&number.to_le_bytes()]),
        }
    }
}
