//! The first sweeper: one transaction for one claim, at the estimated feerate, with one wallet coin where a second-level
//! transaction brings no fee of its own.
//!
//! What it plans becomes a record, and what was given out is never taken back (R10); it only stops being sent when its
//! outpoint or its coin is spent.

mod price;
mod sign;

pub(crate) use sign::{
    Refusal, commitment_id, commitment_request, complete_commitment, complete_sweep, sweep_id, sweep_request,
};

use crate::bolt3::{ChannelType, second_level_tx};
use crate::channel::{FeeInputsRequest, ScriptsRequest, SweepState};
use crate::decide::Bench;
use crate::event::{BroadcastRejection, FeeInput};
use crate::ids::ActionId;
use crate::notice::{Notice, outpoint_bytes};
use crate::record::{ClaimPath, Conclusion, DropReason, FeeRequest, Sweep};
use crate::resolver::{Claim, Stage};
use crate::units::Blocks;
use crate::view::{ChannelView, ContractState};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};

/// The least change that is kept: what any script's output has to be worth to be relayed.
const CHANGE_MIN_SAT: u64 = 330;

/// Plans, drops and asks, for every claim that this channel's contracts want.
pub(crate) fn judge(bench: &Bench<'_>, docket: &ChannelView<'_>, out: &mut Vec<Conclusion>) {
    let claims: Vec<&Claim> = docket.contracts.iter().filter_map(wanted).collect();
    let live: BTreeSet<OutPoint> = claims.iter().map(|claim| claim.outpoint).collect();
    for (outpoint, state) in &docket.channel.requests.sweeps {
        let why = drop_reason(bench, docket, state, live.contains(outpoint));
        if let Some(why) = why {
            out.push(Conclusion::SweepDropped { outpoint: *outpoint, why });
            release(docket, state, out);
        }
    }
    for claim in claims {
        let requests = &docket.channel.requests;
        let rests = requests.dropped.get(&claim.outpoint).is_some_and(|dropped| *dropped >= docket.tip);
        if !requests.sweeps.contains_key(&claim.outpoint) && !rests {
            plan(bench, docket, claim, out);
        }
    }
}

fn wanted(contract: &crate::view::Contract) -> Option<&Claim> {
    match &contract.state {
        ContractState::Live(Stage::ClaimWanted(claim)) => Some(claim),
        ContractState::Live(Stage::Waiting { .. } | Stage::Contested { .. } | Stage::Spent { .. })
        | ContractState::Done(_) => None,
    }
}

/// Why a planned transaction cannot be the one any more.
fn drop_reason(bench: &Bench<'_>, docket: &ChannelView<'_>, state: &SweepState, live: bool) -> Option<DropReason> {
    let sweep = &state.sweep;
    let txid = sweep.tx.compute_txid();
    let coin = sweep.fee_input.as_ref().map(|coin| coin.outpoint);
    let coin_taken = coin.is_some_and(|coin| docket.channel.spender_of(&coin).is_some_and(|spender| spender != txid));
    if !live {
        // Superseded only when that is irrevocable: until then a reorg may want it back (B15, B56).
        let close = docket.close.as_ref()?;
        let done = docket.tip.buries(close.height, docket.policy.forget_depth);
        let spend = docket.spends.get(&sweep.outpoint);
        let other = spend.is_none_or(|spend| spend.txid != txid);
        let buried = spend.is_none_or(|spend| docket.tip.buries(spend.height, docket.policy.forget_depth));
        return (done && other && buried).then_some(DropReason::Superseded);
    }
    if coin_taken {
        return Some(DropReason::CoinSpent);
    }
    match state.rejected {
        Some(BroadcastRejection::FeeTooLow) if !is_presigned(docket, sweep.path) => {
            let blocks_left = deadline_blocks(docket, sweep.outpoint);
            (bench.view.court().feerate(blocks_left) > sweep.feerate_sat_per_kw).then_some(DropReason::TooCheap)
        }
        Some(BroadcastRejection::MissingInputs) if coin.is_some() => Some(DropReason::MissingInputs),
        Some(
            BroadcastRejection::FeeTooLow
            | BroadcastRejection::MissingInputs
            | BroadcastRejection::ConflictInMempool
            | BroadcastRejection::NonFinal
            | BroadcastRejection::TooLongChain
            | BroadcastRejection::ScriptFailure
            | BroadcastRejection::Unknown,
        )
        | None => None,
    }
}

/// The coins of a dropped sweep are free again (B49).
fn release(docket: &ChannelView<'_>, state: &SweepState, out: &mut Vec<Conclusion>) {
    let Some(coin) = &state.sweep.fee_input else { return };
    let notice = Notice::Release { owner: state.sweep.outpoint, coins: vec![coin.outpoint], at: docket.tip };
    if !docket.channel.raised.contains(&notice.id(&docket.channel.facts.id)) {
        out.push(Conclusion::Noticed(Box::new(notice)));
    }
}

fn plan(bench: &Bench<'_>, docket: &ChannelView<'_>, claim: &Claim, out: &mut Vec<Conclusion>) {
    let blocks = claim.deadline.map(|deadline| deadline.since(docket.tip).unwrap_or_default());
    let feerate = bench.view.court().feerate(blocks.or(Some(docket.policy.lazy_target)));
    let planned = match claim.path {
        ClaimPath::HtlcTimeout | ClaimPath::HtlcSuccess => match docket.channel.facts.channel_type {
            ChannelType::StaticRemotekey => presigned(docket, claim),
            ChannelType::AnchorsZeroFeeHtlcTx => with_fee_input(docket, claim, feerate, out),
        },
        ClaimPath::ToLocal
        | ClaimPath::ToRemote
        | ClaimPath::SecondLevelOutput
        | ClaimPath::DirectTimeout
        | ClaimPath::DirectPreimage => to_the_wallet(docket, claim, feerate, out),
    };
    match planned {
        Planned::Sweep(sweep) => out.push(Conclusion::SweepPlanned(sweep)),
        Planned::Uneconomic if !docket.channel.requests.uneconomic.contains(&claim.outpoint) => {
            out.push(Conclusion::Uneconomic { outpoint: claim.outpoint });
        }
        Planned::Uneconomic | Planned::Waiting => {}
    }
}

enum Planned {
    Sweep(Box<Sweep>),
    /// It costs more than it is worth.
    Uneconomic,
    /// Something was asked for.
    Waiting,
}

/// One input, one output to the wallet.
fn to_the_wallet(
    docket: &ChannelView<'_>,
    claim: &Claim,
    feerate_sat_per_kw: u32,
    out: &mut Vec<Conclusion>,
) -> Planned {
    let script = match &docket.channel.requests.scripts {
        ScriptsRequest::Offered(script) => script.clone(),
        // A wallet that does not answer within a block delays nothing.
        ScriptsRequest::Asked { at } if docket.tip > *at => docket.channel.facts.fallback_script.clone(),
        ScriptsRequest::Asked { .. } => return Planned::Waiting,
        ScriptsRequest::NotAsked => {
            if !out.contains(&Conclusion::ScriptsRequested) {
                out.push(Conclusion::ScriptsRequested);
            }
            return Planned::Waiting;
        }
    };
    let channel_type = docket.channel.facts.channel_type;
    let weight = price::claim_weight(claim.path, channel_type, claim.witness_script.as_deref(), &[&script], 0);
    let fee_sat = price::fee_sat(weight, feerate_sat_per_kw);
    let Some(value) = price::after_fee(claim.amount_sat, fee_sat, budget_sat(docket, claim), &script) else {
        return Planned::Uneconomic;
    };
    let tx = Transaction {
        version: Version::TWO,
        lock_time: LockTime::from_consensus(claim.lock_time.get()),
        input: vec![input(claim.outpoint, claim.sequence)],
        output: vec![TxOut { value, script_pubkey: script }],
    };
    Planned::Sweep(sweep(claim, tx, None, feerate_sat_per_kw, fee_sat))
}

/// static_remotekey's second level: the counterparty signed it with ALL, so its fee is what it is.
fn presigned(docket: &ChannelView<'_>, claim: &Claim) -> Planned {
    let Some(tx) = second_level(docket, claim) else { return Planned::Waiting };
    let fee_sat = claim.amount_sat.saturating_sub(total(&tx));
    let feerate = docket.close.as_ref().and_then(|close| close.commitment(docket.channel));
    let feerate = feerate.map_or(0, |commitment| commitment.feerate_sat_per_kw);
    Planned::Sweep(sweep(claim, tx, None, feerate, fee_sat))
}

/// Zero-fee second level: the counterparty's SINGLE|ANYONECANPAY lets a coin pay (BOLT 3, BOLT 5 H3).
fn with_fee_input(
    docket: &ChannelView<'_>,
    claim: &Claim,
    feerate_sat_per_kw: u32,
    out: &mut Vec<Conclusion>,
) -> Planned {
    let Some(mut tx) = second_level(docket, claim) else { return Planned::Waiting };
    let offered = docket.channel.requests.fee_inputs.get(&claim.outpoint);
    let cost = |change: &Script| {
        let delayed = tx.output.first().map(|output| output.script_pubkey.clone()).unwrap_or_default();
        let channel_type = docket.channel.facts.channel_type;
        let script = claim.witness_script.as_deref();
        let weight = price::claim_weight(claim.path, channel_type, script, &[&delayed, change], 1);
        price::fee_sat(weight, feerate_sat_per_kw)
    };
    match offered {
        Some(FeeInputsRequest { offered: Some(offered), .. }) => {
            let Some(coin) = offered.inputs.first() else { return Planned::Waiting };
            let fee_sat = cost(&offered.change);
            let change = coin.value_sat.checked_sub(fee_sat).filter(|change| *change >= CHANGE_MIN_SAT);
            // The estimate rose since the coin was asked for: ask again, for more.
            let Some(change) = change else {
                out.push(Conclusion::FeeInputsRequested(fee_request(docket, claim, fee_sat, feerate_sat_per_kw)));
                return Planned::Waiting;
            };
            if fee_sat > budget_sat(docket, claim) {
                return Planned::Uneconomic;
            }
            tx.input.push(input(coin.outpoint, 0xffff_fffd));
            tx.output.push(TxOut { value: Amount::from_sat(change), script_pubkey: offered.change.clone() });
            Planned::Sweep(sweep(claim, tx, Some(coin.clone()), feerate_sat_per_kw, fee_sat))
        }
        Some(FeeInputsRequest { offered: None, request: asked }) => {
            // The wallet has no such coin; by now a smaller one may do.
            let fee_sat = cost(&ScriptBuf::from(vec![0; 34]));
            let again = fee_request(docket, claim, fee_sat, feerate_sat_per_kw);
            let refused = docket.channel.requests.missing.contains_key(&claim.outpoint);
            if refused && again.amount_sat < asked.amount_sat {
                out.push(Conclusion::FeeInputsRequested(again));
            }
            Planned::Waiting
        }
        None => {
            // A change script is P2WSH at most, as far as the price goes.
            let fee_sat = cost(&ScriptBuf::from(vec![0; 34]));
            if fee_sat > budget_sat(docket, claim) {
                return Planned::Uneconomic;
            }
            out.push(Conclusion::FeeInputsRequested(fee_request(docket, claim, fee_sat, feerate_sat_per_kw)));
            Planned::Waiting
        }
    }
}

fn fee_request(docket: &ChannelView<'_>, claim: &Claim, fee_sat: u64, feerate_sat_per_kw: u32) -> FeeRequest {
    let amount_sat = fee_sat.saturating_add(CHANGE_MIN_SAT);
    // Asked again after a drop, or for more: another request, so that an old answer is not taken for it.
    let round = docket.tip.get().to_le_bytes();
    let id = ActionId::of(
        "fee inputs",
        &docket.channel.facts.id,
        &[&outpoint_bytes(&claim.outpoint), &amount_sat.to_le_bytes(), &round],
    );
    FeeRequest { id, owner: claim.outpoint, amount_sat, feerate_sat_per_kw }
}

fn second_level(docket: &ChannelView<'_>, claim: &Claim) -> Option<Transaction> {
    let close = docket.close.as_ref()?;
    let rebuilt = close.rebuilt.as_ref()?;
    let commitment = close.commitment(docket.channel)?;
    let htlc = rebuilt.htlcs.get(commitment.position(claim.htlc?)?)?;
    second_level_tx(
        docket.channel.facts.channel_type,
        close.txid,
        claim.outpoint.vout,
        htlc,
        commitment.feerate_sat_per_kw,
        &rebuilt.built.keys,
        docket.channel.facts.local.delay_blocks,
    )
    .ok()
}

fn sweep(claim: &Claim, tx: Transaction, fee_input: Option<FeeInput>, feerate: u32, fee_sat: u64) -> Box<Sweep> {
    Box::new(Sweep {
        outpoint: claim.outpoint,
        path: claim.path,
        tx,
        amount_sat: claim.amount_sat,
        script_pubkey: claim.script_pubkey.clone(),
        witness_script: claim.witness_script.clone(),
        point: claim.point,
        preimage: claim.preimage,
        peer_signature: claim.peer_signature,
        fee_input,
        feerate_sat_per_kw: feerate,
        fee_sat,
    })
}

/// Half of the value, by default: replacement cycling must cost more than the HTLC.
fn budget_sat(docket: &ChannelView<'_>, claim: &Claim) -> u64 {
    claim.amount_sat.checked_div(u64::from(docket.policy.budget_divisor)).unwrap_or(0)
}

fn deadline_blocks(docket: &ChannelView<'_>, outpoint: OutPoint) -> Option<Blocks> {
    let claim = docket.contracts.iter().filter_map(wanted).find(|claim| claim.outpoint == outpoint)?;
    let blocks = claim.deadline.map(|deadline| deadline.since(docket.tip).unwrap_or_default());
    blocks.or(Some(docket.policy.lazy_target))
}

fn is_presigned(docket: &ChannelView<'_>, path: ClaimPath) -> bool {
    let fixed = match docket.channel.facts.channel_type {
        ChannelType::StaticRemotekey => true,
        ChannelType::AnchorsZeroFeeHtlcTx => false,
    };
    fixed && matches!(path, ClaimPath::HtlcTimeout | ClaimPath::HtlcSuccess)
}

fn total(tx: &Transaction) -> u64 {
    tx.output.iter().fold(0, |sum, output| sum.saturating_add(output.value.to_sat()))
}

fn input(outpoint: OutPoint, sequence: u32) -> TxIn {
    TxIn {
        previous_output: outpoint,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::from_consensus(sequence),
        witness: Witness::new(),
    }
}
