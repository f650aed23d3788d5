//! Events and conclusions, in words.

mod events;
mod reasons;

use arb_core::sweep::Limit;
use arb_core::{
    Alert, BroadcastRejection, Conclusion, ContractId, ContractReport, FailReason, FreezeReason, Height, Held, Notice,
    SigningKey, StageRecord, Sweep, UnclaimedOutput, Upstream,
};
use arb_harness::names::{close_name, contract_name, kind_name, outcome_name, resolver_name};
use bitcoin::hex::DisplayHex;
use bitcoin::{OutPoint, Txid};

pub(crate) use events::{channel, event, height_after, opened};
pub(crate) use reasons::{branch_name, declined, reason};

/// A conclusion, without the channel that it is about.
pub(crate) fn conclusion(conclusion: &Conclusion) -> String {
    match conclusion {
        Conclusion::UpstreamLinked { htlc, expiry } => {
            format!("the upstream HTLC of {htlc} expires at height {expiry}")
        }
        Conclusion::PreimageUsable { htlc, .. } => format!("HTLC {htlc} has a usable preimage"),
        Conclusion::ShownEarly { .. } => "a preimage is kept for an HTLC that may still be told".to_owned(),
        Conclusion::EarlyForgotten => "everything is told; no preimage is kept for it any more".to_owned(),
        Conclusion::GaveUp { htlc } => format!("HTLC {htlc} will never have a preimage"),
        Conclusion::Frozen(why) => format!("frozen: {}", freeze(why)),
        Conclusion::WentToChain => "our commitment goes to chain".to_owned(),
        Conclusion::Released { htlc, outcome } => match outcome {
            Upstream::Settled(_) => format!("HTLC {htlc} is to be settled upstream"),
            Upstream::Failed(why) => format!("HTLC {htlc} is to be failed upstream: {}", fail(*why)),
        },
        Conclusion::ScriptsRequested => "the wallet is asked for a script for the sweeps".to_owned(),
        Conclusion::FeeInputsRequested(request) => {
            format!("the wallet is asked for coins worth {} sat for {}", request.amount_sat, outpoint(&request.owner))
        }
        Conclusion::FeeInputsReturned { owner } => format!("the coins for {} are no longer needed", outpoint(owner)),
        Conclusion::SweepPlanned(sweep) => planned(sweep),
        Conclusion::SweepDropped { group, pauses } => {
            let pause = if *pauses { ", its claims wait a block" } else { "" };
            format!("transaction {group} is dropped{pause}")
        }
        Conclusion::Bumped { outpoint: claim, from_sat_per_kw, to_sat_per_kw } => {
            format!("the operator raises {} from {from_sat_per_kw} to {to_sat_per_kw} sat/kw", outpoint(claim))
        }
        Conclusion::Uneconomic { outpoint: claim, why } => {
            format!("{} costs more to claim than it may: {}", outpoint(claim), declined(why))
        }
        Conclusion::Noticed(told) => notice(told),
        Conclusion::Classified { kind: Some(kind) } => format!("the close is {}", close_name(*kind)),
        Conclusion::Classified { kind: None } => "the funding is unspent again".to_owned(),
        Conclusion::HandedOff { contract, to } => {
            format!("{} is handed to {}", contract_id(contract), resolver_name(*to))
        }
        Conclusion::Staged { contract, stage: now } => format!("{} {}", contract_id(contract), stage(now)),
    }
}

/// A contract's stage: what it waits for, or how it ended; the contract is the subject.
pub(crate) fn stage(stage: &StageRecord) -> String {
    match stage {
        StageRecord::Waiting { until } => format!("waits for height {until}"),
        StageRecord::Contested { until } if *until == Height::MAX => "waits for a preimage".to_owned(),
        StageRecord::Contested { until } => format!("waits for a preimage, until height {until}"),
        StageRecord::ClaimWanted => "is to be claimed".to_owned(),
        StageRecord::Spent { until } => format!("is spent, irrevocably at height {until}"),
        StageRecord::Done(outcome) => format!("is done: {}", outcome_name(*outcome)),
    }
}

/// An alert, for the operator.
#[expect(clippy::too_many_lines, reason = "one match over every alert: an arm cannot be forgotten")]
pub(crate) fn alert(alert: &Alert) -> String {
    match alert {
        Alert::RevokedCommitment { number, txid: id } => format!("revoked commitment {number} confirmed: {id}"),
        Alert::RevokedStateMissing { number, txid: id } => {
            format!("the HTLCs of revoked commitment {number} are unknown, so its HTLC outputs cannot be claimed: {id}")
        }
        Alert::UnknownCommitment { txid: id } => format!("an unknown transaction spent the funding: {id}"),
        Alert::Outdated => "our state is outdated: our commitment is never sent".to_owned(),
        Alert::UpstreamAtRisk { htlc, htlcs, amount_sat, upstream_expiry } => {
            format!(
                "{htlcs} HTLCs from {htlc} on ({amount_sat} sat) are unresolved, and their upstream HTLCs expire at height \
                 {upstream_expiry}: ask the peer to settle or fail them"
            )
        }
        Alert::CommitmentWaits { number, why, deadline: Some(deadline), htlcs, amount_sat } => {
            format!(
                "our commitment {number} is not confirmed, and {htlcs} HTLCs ({amount_sat} sat) should be claimed by height \
                 {deadline}: {}",
                held(*why)
            )
        }
        Alert::CommitmentWaits { number, why, deadline: None, .. } => {
            format!("our commitment {number} is not sent: {}", held(*why))
        }
        Alert::ClaimWaits { txid: id, deadline, outputs, amount_sat } => {
            format!(
                "{outputs} outputs ({amount_sat} sat) of {id} should be claimed by height {deadline}, and no claim is on offer: \
                 look at the wallet's coins, the signer and the feerate"
            )
        }
        Alert::SourceBehind { tip, best, deadline, outputs, amount_sat } => {
            format!(
                "the chain source announces height {best} and delivered {tip}: {outputs} HTLCs ({amount_sat} sat) have their \
                 deadlines in between, the first at {deadline}; look at the source"
            )
        }
        Alert::Risk { htlc, why, amount_sat } => {
            format!(
                "HTLC {htlc} ({amount_sat} sat) is failed upstream, and may still be claimed from us: {}",
                fail(*why)
            )
        }
        Alert::Loss { htlc, amount_sat, .. } => {
            format!("HTLC {htlc} ({amount_sat} sat) was paid after it had failed upstream")
        }
        Alert::OutputLost { outpoint: output, amount_sat, by } => {
            format!("{output} ({amount_sat} sat) was ours, and was spent by another party: {by}")
        }
        Alert::DeadlineMissed { outpoint: output, deadline, amount_sat } => {
            format!("{output} ({amount_sat} sat) is unspent after its deadline, height {deadline}")
        }
        Alert::SigningRefused { request } => format!("the signer refuses {request}"),
        Alert::FeeInputsMissing { owner, missing_sat } => {
            format!("the wallet lacks {missing_sat} sat for {owner}")
        }
        Alert::ScriptFailure { txid: id } => {
            format!("the network refused our transaction because a script fails: {id}")
        }
        Alert::FeeTooLow { txid: id } => {
            format!("a transaction whose fee the peer fixed pays less than the mempool asks for: {id}")
        }
        Alert::Stuck => "the court stopped after too many rounds on this channel: please report it".to_owned(),
        Alert::CoinRefused { coin } => {
            format!("the network or the signer refuses the wallet's coin {coin}: another one is asked for")
        }
        Alert::OutputWaits { output, since } => {
            format!("an output of ours can be claimed since height {since} and is unspent: {}", unclaimed(output))
        }
        Alert::PeerClaimsNewer { next_commitment_number, next_revocation_number, .. } => format!(
            "the peer expects commitment {next_commitment_number} and revocation {next_revocation_number}, more than we \
             know of, and proves nothing: the journal may be old"
        ),
        Alert::AdoptionIncomplete { since, .. } => {
            format!("an HTLC calls for going to chain since height {since}, but the node has not told everything yet")
        }
        Alert::DustExposure { pending_sat, given_up_sat, bound_sat } => {
            format!(
                "HTLCs too small for an output hold {pending_sat} sat, {given_up_sat} sat were given up before, and \
                 {bound_sat} sat is the most: add no more of them"
            )
        }
        Alert::SupersededCommitment { number, txid: id } => {
            format!(
                "our old commitment {number} confirmed, and the peer can take all of it: find out who published it: {id}"
            )
        }
        Alert::UpstreamExpiresFirst { htlc, amount_sat, cltv_expiry, upstream_expiry } => format!(
            "HTLC {htlc} ({amount_sat} sat) expires at {cltv_expiry}, after its upstream HTLC at {upstream_expiry}: it may be \
             paid when that is over"
        ),
        Alert::UpstreamOfOtherHash { htlc, amount_sat, upstream } => format!(
            "HTLC {htlc} ({amount_sat} sat) was linked to upstream HTLC {upstream}, which has another payment hash: it is \
             not taken for linked"
        ),
        Alert::PointGivesNoOutput { number, txid: id } => format!(
            "the point that the node told for our commitment {number} gives no output of {id}, so it proves nothing: tell the \
             right one, or our balance was too small for an output"
        ),
        Alert::FundingUnconfirmed { number, amount_sat } => {
            format!(
                "our commitment {number} ({amount_sat} sat are ours) is not sent: as far as is known, the funding is not \
                 confirmed; look whether it is, and whether the chain source answers searches"
            )
        }
    }
}

/// Why our commitment waits, and what to do about it.
const fn held(why: Held) -> &'static str {
    match why {
        Held::Outdated => "our state is outdated; ask the peer to close, or adopt the channel anew",
        Held::Suspect => "the journal may be old; connect to the peer, whose state clears that",
        Held::FundingUnconfirmed => "the funding is not known to be confirmed; look at the chain source",
        Held::Unsigned => "the signer has not signed it",
        Held::Unconfirmed => "give it more fee, and the wallet more coins",
        Held::TooSmall => "they are worth less than a close; request one, or ask the peer to settle",
    }
}

/// Why the network refused a transaction, as a word for `--json`.
pub(crate) const fn rejection(why: BroadcastRejection) -> &'static str {
    match why {
        BroadcastRejection::FeeTooLow => "fee_too_low",
        BroadcastRejection::MissingInputs => "missing_inputs",
        BroadcastRejection::ConflictInMempool => "conflict_in_mempool",
        BroadcastRejection::NonFinal => "non_final",
        BroadcastRejection::TooLongChain => "too_long_chain",
        BroadcastRejection::ScriptFailure => "script_failure",
        BroadcastRejection::Unknown => "unknown",
    }
}

/// A notice to the node or the operator.
fn notice(notice: &Notice) -> String {
    match notice {
        Notice::Freeze(why) => format!("the node is to freeze the channel: {}", freeze(why)),
        Notice::Alert(what) => format!("alert: {}", alert(what)),
        Notice::Report(ended) => report(ended),
        Notice::Release { owner, coins, .. } => {
            format!("{} coins for {} are free again", coins.len(), outpoint(owner))
        }
        Notice::Resolved(sheet) => format!(
            "the channel is resolved: {} sat swept, {} fees, {} to the peer, {} lost",
            sheet.swept_sat, sheet.fees_sat, sheet.peer_sat, sheet.lost_sat
        ),
    }
}

fn report(report: &ContractReport) -> String {
    let htlc = report.htlc.map(|htlc| format!(" {htlc}")).unwrap_or_default();
    let (kind, outcome) = (kind_name(report.kind), outcome_name(report.outcome));
    let left = report.unclaimed.as_ref().map(|output| format!("; it leaves {}", unclaimed(output))).unwrap_or_default();
    format!("{kind}{htlc} is over: {outcome}, {} sat, {} sat in fees{left}", report.amount_sat, report.fee_sat)
}

/// What a person needs who claims an output by hand.
fn unclaimed(output: &UnclaimedOutput) -> String {
    let witness = output.witness_script.as_ref();
    let witness = witness.map(|script| format!(", witness script {script:x}")).unwrap_or_default();
    let (outpoint, sat, script, key) = (output.outpoint, output.amount_sat, &output.script_pubkey, key(&output.key));
    format!("{outpoint}, {sat} sat, script {script:x}{witness}, key: {key}")
}

/// A key by its role. A secret in it is one that the peer revealed.
fn key(key: &SigningKey) -> String {
    match key {
        SigningKey::Funding(outpoint) => format!("our funding key of {outpoint}"),
        SigningKey::Payment => "our payment basepoint".to_owned(),
        SigningKey::Htlc(point) => format!("our HTLC basepoint with per-commitment point {}", point.0.as_hex()),
        SigningKey::DelayedPayment(point) => {
            format!("our delayed payment basepoint with per-commitment point {}", point.0.as_hex())
        }
        SigningKey::Revocation(secret) => {
            format!("our revocation basepoint with the secret that the peer revealed, {}", secret.0.as_hex())
        }
        SigningKey::Wallet(coin) => format!("the wallet's key of {coin}"),
    }
}

fn planned(sweep: &Sweep) -> String {
    let plan = &sweep.plan;
    let claims = match plan.members.as_slice() {
        [one] => outpoint(one),
        several => format!("{} outputs", several.len()),
    };
    let limit = match plan.limit {
        Some(Limit::Budget) => format!(" of {} wanted: budget or cap allow no more", plan.wanted_sat_per_kw),
        Some(Limit::Coins) => format!(" of {} wanted: the coins are worth no more", plan.wanted_sat_per_kw),
        None => String::new(),
    };
    let (id, group) = (txid(&sweep.tx.compute_txid()), plan.group);
    let offer = format!("fee {} sat, {} sat/kw{limit}", plan.fee_sat, plan.feerate_sat_per_kw);
    format!("{id} (transaction {group}) is planned to claim {claims}: {offer}; {}", reason(&plan.reason))
}

fn freeze(why: &FreezeReason) -> String {
    match why {
        FreezeReason::Deadline(htlc) => format!("the deadline of HTLC {htlc}"),
        FreezeReason::OverdueSum => "overdue small HTLCs are worth a close together".to_owned(),
        FreezeReason::Operator => "the operator asked".to_owned(),
        FreezeReason::PeerError => "the peer sent an error".to_owned(),
        FreezeReason::PeerOnChain => "the peer's commitment was seen in the mempool".to_owned(),
        FreezeReason::FundingSpent => "the funding is spent".to_owned(),
        FreezeReason::Outdated => "our state is outdated".to_owned(),
        FreezeReason::Forgotten => "the node forgot the channel".to_owned(),
    }
}

const fn fail(why: FailReason) -> &'static str {
    match why {
        FailReason::TimedOut => "timed out",
        FailReason::OnNoCommitment => "no unrevoked commitment has an output for it",
        FailReason::NotOnConfirmed => "the confirmed commitment has no output for it",
        FailReason::Revoked => "a revoked commitment is buried",
        FailReason::MutualClose => "a mutual close is buried",
        FailReason::GivenUpForUpstream => "given up before the upstream HTLC expires",
        FailReason::ForgetDepth => "long past every expiry",
    }
}

/// A contract's shortened outpoint, or its HTLC if it has none.
fn contract_id(id: &ContractId) -> String {
    match id {
        ContractId::Output(output) => outpoint(output),
        ContractId::NoOutput(_) => contract_name(id),
    }
}

/// The first 12 digits of a txid.
fn txid(txid: &Txid) -> String {
    txid.to_string().chars().take(12).collect()
}

/// An outpoint with a shortened txid.
pub(crate) fn outpoint(outpoint: &OutPoint) -> String {
    format!("{}:{}", txid(&outpoint.txid), outpoint.vout)
}
