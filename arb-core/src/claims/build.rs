//! Transactions from the sweeper's plans. Pure: the same plan and claims make the same transaction.
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/valid.rs`, `arb-harness/lab/tests/sweeper_suite/closes.rs`.

use crate::api::plan::Plan;
use crate::bolt3::second_level_tx;
use crate::claims::Want;
use crate::claims::path::pays;
use crate::resolver::{Claim, ClaimWay};
use crate::sweep::price::dust_sat;
use crate::sweep::terms::Pays;
use crate::view::ChannelView;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};

/// The unsigned transaction of a plan. Its fee is exactly the planned one and no output is dust (B16, B35); `None` if the plan
/// allows no such transaction, if a claim is no longer wanted, or if `script`, which the sweep pays to, is needed and missing.
pub(crate) fn build(
    view: &ChannelView<'_>,
    wants: &BTreeMap<OutPoint, Want>,
    plan: &Plan,
    script: Option<&ScriptBuf>,
) -> Option<Transaction> {
    let claims: Option<Vec<&Claim>> =
        plan.members.iter().map(|member| wants.get(member).map(|want| &*want.claim)).collect();
    let claims = claims?;
    let first = claims.first()?;
    let mut tx = Transaction {
        version: Version::TWO,
        lock_time: LockTime::from_consensus(first.lock_time.get()),
        input: Vec::new(),
        output: Vec::new(),
    };
    for claim in &claims {
        if claim.lock_time != first.lock_time {
            return None;
        }
        match second_level(view, claim) {
            // The counterparty signed input and output of one index (SINGLE|ANYONECANPAY), or the whole transaction.
            Some(mut second) => {
                tx.input.append(&mut second.input);
                tx.output.append(&mut second.output);
            }
            None => tx.input.push(input(claim.outpoint, claim.sequence)),
        }
    }
    let coins_sat = plan.fee_inputs.value_sat();
    let inputs_sat = claims.iter().fold(coins_sat, |sum, claim| sum.saturating_add(claim.amount_sat));
    let signed_sat = total_sat(&tx);
    let rest_sat = inputs_sat.checked_sub(signed_sat)?.checked_sub(plan.fee_sat)?;
    let rest_script = match pays(first.way.path(), view.channel.facts.channel_type) {
        Pays::Signed => return (rest_sat == 0).then_some(tx),
        Pays::FromValue => script?.clone(),
        Pays::FromWallet => plan.fee_inputs.change.clone(),
    };
    tx.input.extend(plan.fee_inputs.coins.iter().map(|coin| input(coin.outpoint, Sequence::ENABLE_RBF_NO_LOCKTIME)));
    if rest_sat < dust_sat(&rest_script) {
        return None;
    }
    tx.output.push(TxOut { value: Amount::from_sat(rest_sat), script_pubkey: rest_script });
    Some(tx)
}

/// The second-level transaction of an HTLC on our commitment, as the counterparty signed it; `None` for other claims.
fn second_level(view: &ChannelView<'_>, claim: &Claim) -> Option<Transaction> {
    let (ClaimWay::HtlcTimeout { htlc, .. } | ClaimWay::HtlcSuccess { htlc, .. }) = &claim.way else { return None };
    let close = view.close.as_ref()?;
    let rebuilt = close.rebuilt.as_ref()?;
    let commitment = close.commitment(&view.channel.set)?;
    let htlc = rebuilt.htlcs.get(commitment.position(*htlc)?)?;
    second_level_tx(
        view.channel.facts.channel_type,
        close.txid,
        claim.outpoint.vout,
        htlc,
        commitment.feerate_sat_per_kw,
        &rebuilt.built.keys,
        view.channel.facts.local.delay_blocks,
    )
    .ok()
}

fn total_sat(tx: &Transaction) -> u64 {
    tx.output.iter().fold(0, |sum, output| sum.saturating_add(output.value.to_sat()))
}

fn input(outpoint: OutPoint, sequence: Sequence) -> TxIn {
    TxIn { previous_output: outpoint, script_sig: ScriptBuf::new(), sequence, witness: Witness::new() }
}
