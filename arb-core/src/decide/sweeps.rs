//! What the sweeper is told, and what its orders become: plans, requests for coins, releases.
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/closes.rs`, `arb-harness/lab/tests/sweeper_suite/valid.rs`.

use crate::api::ids::ContractId;
use crate::api::notice::{Alert, Notice};
use crate::api::plan::{FeeInputs, Sweep};
use crate::api::record::Conclusion;
use crate::api::stage::ContractKind;
use crate::api::units::Blocks;
use crate::channel::{KeptTx, ScriptsRequest, SpendOf};
use crate::claims::{Want, build, wants};
use crate::decide::bench::Bench;
use crate::sweep::{Group, Now, Order, Pays, price};
use crate::view::ChannelView;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bitcoin::{OutPoint, ScriptBuf};

/// Plans, drops and requests for everything that this channel wants spent.
pub(crate) fn plans(bench: &Bench<'_>, view: &ChannelView<'_>, out: &mut Vec<Conclusion>) {
    let sweeper = &view.channel.requests.sweeper;
    let wants = wants::wants(view);
    if wants.is_empty() && sweeper.groups.is_empty() && sweeper.unused.is_empty() {
        return;
    }
    let before = out.len();
    retire(view, &wants, out);
    if out.len() > before {
        // What is planned reads what was dropped: in the next round.
        return;
    }
    if !bench.caught_up {
        // Nothing is sent while blocks are missing. A claim that was due in them is first wanted at the best known block, so
        // that a deadline which is over by then is urgent and not priceless (A40).
        return;
    }
    if bumps(view, &wants, out) {
        // The plans follow in the next round, once the bumps are applied.
        return;
    }
    let script = wants::sweep_script(view);
    let spent = view.child_spent();
    let wallet_output_weight = script.as_deref().map_or(price::WIDEST_OUTPUT_WEIGHT, price::output_weight);
    let now = Now { tip: view.tip, ..bench.court.state().now(view.policy, wallet_output_weight) };
    let mut terms = BTreeMap::new();
    for (outpoint, want) in &wants {
        let terms_of = wants::terms(view, want, script.as_ref(), &spent, &now);
        if terms_of.pays == Pays::FromValue && script.is_none() {
            let asked = view.channel.requests.scripts != ScriptsRequest::NotAsked;
            if !asked && !out.contains(&Conclusion::ScriptsRequested) {
                out.push(Conclusion::ScriptsRequested);
            }
            continue;
        }
        terms.insert(*outpoint, terms_of);
    }
    let orders = sweeper.decide(&terms, &broken(view, &wants), &now);
    let planned = coins_planned(&orders);
    for order in orders {
        carry_out(view, &wants, script.as_ref(), order, &planned, out);
    }
}

/// The coins that these orders plan transactions with.
fn coins_planned(orders: &[Order]) -> BTreeSet<OutPoint> {
    let mut coins = BTreeSet::new();
    for order in orders {
        match order {
            Order::Plan(plan) => coins.extend(plan.fee_inputs.coins.iter().map(|coin| coin.outpoint)),
            Order::Ask(_) | Order::Drop { .. } | Order::Return { .. } | Order::Uneconomic { .. } => {}
        }
    }
    coins
}

fn carry_out(
    view: &ChannelView<'_>,
    wants: &BTreeMap<OutPoint, Want>,
    script: Option<&ScriptBuf>,
    order: Order,
    planned: &BTreeSet<OutPoint>,
    out: &mut Vec<Conclusion>,
) {
    match order {
        Order::Plan(plan) => {
            let tx = build::build(view, wants, &plan, script);
            debug_assert!(tx.is_some(), "a plan that cannot be built: {plan:?}");
            out.extend(tx.map(|tx| Conclusion::SweepPlanned(Box::new(Sweep { plan, tx }))));
        }
        Order::Ask(ask) => out.push(Conclusion::FeeInputsRequested(ask)),
        Order::Drop { group, pauses } => drop_group(view, group, pauses, planned, out),
        Order::Return { owner } => {
            out.push(Conclusion::FeeInputsReturned { owner });
            let coins = view.channel.requests.sweeper.unused.get(&owner);
            release(view, owner, coins, out);
        }
        Order::Uneconomic { outpoint, why } => out.push(Conclusion::Uneconomic { outpoint, why }),
    }
}

/// Drops a group. Coins that another transaction is planned with are held on.
fn drop_group(
    view: &ChannelView<'_>,
    group: u32,
    pauses: bool,
    planned: &BTreeSet<OutPoint>,
    out: &mut Vec<Conclusion>,
) {
    out.push(Conclusion::SweepDropped { group, pauses });
    if let Some(group) = view.channel.requests.sweeper.groups.get(&group) {
        for coin in group.fee_inputs.coins.iter().filter(|_| pauses) {
            out.extend(view.channel.raise(Notice::Alert(Alert::CoinRefused { coin: coin.outpoint })));
        }
        if let Some(owner) = group.members.first() {
            let mut free = group.fee_inputs.clone();
            free.coins.retain(|coin| !planned.contains(&coin.outpoint));
            release(view, *owner, Some(&free), out);
        }
    }
}

/// Tells the wallet that coins are free again (B49).
fn release(view: &ChannelView<'_>, owner: OutPoint, fee_inputs: Option<&FeeInputs>, out: &mut Vec<Conclusion>) {
    let coins: Vec<OutPoint> =
        fee_inputs.iter().flat_map(|fee_inputs| &fee_inputs.coins).map(|coin| coin.outpoint).collect();
    if coins.is_empty() {
        return;
    }
    out.extend(view.channel.raise(Notice::Release { owner, coins, at: view.tip }));
}

/// Drops groups whose claims have lost for `fail_depth` blocks: others spent each, or another commitment confirmed. Before that,
/// a reorg may make the claims wanted again, and with them their coins (B15, B56).
fn retire(view: &ChannelView<'_>, wants: &BTreeMap<OutPoint, Want>, out: &mut Vec<Conclusion>) {
    let Some(close) = &view.close else { return };
    // At this depth rights are given up, and coins are free (A11).
    let depth = view.fail_depth;
    if !view.tip.buries(close.height, depth) {
        return;
    }
    for (number, group) in &view.channel.requests.sweeper.groups {
        let over = group.members.iter().all(|member| {
            let lost = view.spends.get(member).is_none_or(|spend| {
                let planned = view.channel.requests.sweeps.get(number).is_some_and(|state| state.txid == spend.txid);
                let ours = planned
                    || group.fee_inputs.coins.iter().any(|coin| {
                        let kept = view.channel.chain.kept.get(&spend.txid);
                        kept.is_some_and(|kept| kept.spends(&coin.outpoint))
                    });
                !ours && view.tip.buries(spend.height, depth)
            });
            !wants.contains_key(member) && lost
        });
        if over {
            drop_group(view, *number, false, &BTreeSet::new(), out);
        } else if let Some(left) = left_over(view, group, depth) {
            // An older version confirmed, with fewer coins than the last one has (A27).
            out.push(Conclusion::SweepDropped { group: *number, pauses: false });
            release(view, left.0, Some(&left.1), out);
        }
    }
}

/// The coins of a group that confirmed for good without them, and the claim that owned them.
fn left_over(view: &ChannelView<'_>, group: &Group, depth: Blocks) -> Option<(OutPoint, FeeInputs)> {
    let owner = *group.members.first()?;
    let spends: Option<Vec<&SpendOf>> = group.members.iter().map(|member| view.spends.get(member)).collect();
    let spends = spends?;
    if !spends.iter().all(|spend| view.tip.buries(spend.height, depth)) {
        return None;
    }
    let used = |coin: &OutPoint| {
        let kept = spends.iter().filter_map(|spend| view.channel.chain.kept.get(&spend.txid));
        kept.into_iter().any(|kept| kept.spends(coin))
    };
    let mut left = group.fee_inputs.clone();
    left.coins.retain(|coin| !used(&coin.outpoint));
    (!left.coins.is_empty()).then_some((owner, left))
}

/// Groups whose transaction cannot confirm. Of those whose claims are wanted: a transaction that claims nothing of theirs has
/// spent one of their coins, or they wait for an expiry that their claims do not need any more, because the commitment was
/// revoked after it confirmed and a reorg led to below the expiry. Of the others: see [`is_lost`].
fn broken(view: &ChannelView<'_>, wants: &BTreeMap<OutPoint, Want>) -> BTreeSet<u32> {
    let mut spenders: BTreeMap<OutPoint, &KeptTx> = BTreeMap::new();
    for kept in view.channel.chain.kept.values() {
        spenders.extend(kept.inputs.values().map(|input| (input.previous_output, kept)));
    }
    let requests = &view.channel.requests;
    let taken = |group: &Group| {
        group.fee_inputs.coins.iter().any(|coin| {
            spenders.get(&coin.outpoint).is_some_and(|kept| !group.members.iter().any(|member| kept.spends(member)))
        })
    };
    let waits = |number: &u32| {
        let planned = requests.sweeps.get(number);
        planned.is_some_and(|state| state.sweep.tx.lock_time.to_consensus_u32() > view.tip.get())
    };
    let groups = requests.sweeper.groups.iter().filter(|(number, group)| {
        if group.members.iter().any(|member| wants.contains_key(member)) {
            taken(group) || waits(number)
        } else {
            is_lost(view, group, &spenders)
        }
    });
    groups.map(|(number, _)| *number).collect()
}

/// Whether a group's transaction, none of whose claims is wanted, has lost (A11): something else spent one of its inputs in a
/// block, another commitment confirmed than the one that it spends, or that one confirmed without it, its child (A37). Its coins
/// are unspent: a version of its own would have spent one. While no commitment is confirmed, every child may be wanted again.
fn is_lost(view: &ChannelView<'_>, group: &Group, spenders: &BTreeMap<OutPoint, &KeptTx>) -> bool {
    if view.close.is_none() {
        return false;
    }
    let is_anchor = |member: &OutPoint| {
        let anchors = view.contracts.iter().filter(|contract| contract.kind == ContractKind::Anchor);
        anchors.into_iter().any(|contract| contract.id == ContractId::Output(*member))
    };
    let gone = |member: &OutPoint| {
        spenders.contains_key(member) || view.channel.chain.output(member).is_none() || is_anchor(member)
    };
    group.members.iter().any(gone) && group.fee_inputs.coins.iter().all(|coin| !spenders.contains_key(&coin.outpoint))
}

/// Raises the feerates wanted to what the operator asked for. Returns whether that raised any.
fn bumps(view: &ChannelView<'_>, wants: &BTreeMap<OutPoint, Want>, out: &mut Vec<Conclusion>) -> bool {
    let requests = &view.channel.requests;
    let before = out.len();
    for outpoint in wants.keys() {
        let asked = requests.bumps_of(outpoint).map(|bump| bump.feerate_sat_per_kw).max().unwrap_or(0);
        let to_sat_per_kw = asked.min(view.policy.max_feerate_sat_per_kw);
        let from_sat_per_kw = requests.sweeper.price(outpoint).map_or(0, |price| price.wanted_sat_per_kw);
        if to_sat_per_kw > from_sat_per_kw {
            out.push(Conclusion::Bumped { outpoint: *outpoint, from_sat_per_kw, to_sat_per_kw });
        }
    }
    out.len() > before
}
