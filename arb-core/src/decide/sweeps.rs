//! What the sweeper is told, and what its orders become: plans, requests for coins, releases.

use crate::api::notice::Notice;
use crate::api::plan::{Purse, Sweep};
use crate::api::record::Conclusion;
use crate::channel::ScriptsRequest;
use crate::claims::{Want, build, wants};
use crate::decide::bench::Bench;
use crate::sweep::{Group, Now, Order, Pays, price};
use crate::view::ChannelView;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bitcoin::{OutPoint, ScriptBuf, Transaction};

/// Plans, drops and asks, for everything that this channel wants spent.
pub(crate) fn judge(bench: &Bench<'_>, docket: &ChannelView<'_>, out: &mut Vec<Conclusion>) {
    let desk = &docket.channel.requests.desk;
    let wants = wants::wants(docket);
    if wants.is_empty() && desk.groups.is_empty() && desk.purses.is_empty() {
        return;
    }
    retire(docket, &wants, out);
    if bumps(docket, &wants, out) {
        // What follows from the operator's wish is decided once it counts.
        return;
    }
    let script = wants::sweep_script(docket);
    let spent = docket.child_spent();
    let mut terms = BTreeMap::new();
    for (outpoint, want) in &wants {
        let terms_of = wants::terms(docket, want, script.as_ref(), &spent);
        if terms_of.pays == Pays::FromValue && script.is_none() {
            let asked = docket.channel.requests.scripts != ScriptsRequest::NotAsked;
            if !asked && !out.contains(&Conclusion::ScriptsRequested) {
                out.push(Conclusion::ScriptsRequested);
            }
            continue;
        }
        terms.insert(*outpoint, terms_of);
    }
    let court = bench.view.court();
    let now = Now {
        tip: docket.tip,
        policy: docket.policy,
        fees: court.fees.as_ref(),
        wallet_output_weight: script.as_deref().map_or(price::WIDEST_OUTPUT_WEIGHT, price::output_weight),
    };
    for order in desk.decide(&terms, &broken(docket), &now) {
        carry_out(docket, &wants, script.as_ref(), order, out);
    }
}

fn carry_out(
    docket: &ChannelView<'_>,
    wants: &BTreeMap<OutPoint, Want>,
    script: Option<&ScriptBuf>,
    order: Order,
    out: &mut Vec<Conclusion>,
) {
    match order {
        Order::Plan(plan) => {
            let tx = build::build(docket, wants, &plan, script);
            debug_assert!(tx.is_some(), "a plan that cannot be built: {plan:?}");
            out.extend(tx.map(|tx| Conclusion::SweepPlanned(Box::new(Sweep { plan, tx }))));
        }
        Order::Ask(ask) => out.push(Conclusion::FeeInputsRequested(ask)),
        Order::Drop { group, rests } => drop_group(docket, group, rests, out),
        Order::Return { owner } => {
            out.push(Conclusion::FeeInputsReturned { owner });
            let coins = docket.channel.requests.desk.purses.get(&owner);
            release(docket, owner, coins, out);
        }
        Order::Uneconomic { outpoint } => out.push(Conclusion::Uneconomic { outpoint }),
    }
}

fn drop_group(docket: &ChannelView<'_>, group: u32, rests: bool, out: &mut Vec<Conclusion>) {
    out.push(Conclusion::SweepDropped { group, rests });
    if let Some(group) = docket.channel.requests.desk.groups.get(&group) {
        if let Some(owner) = group.members.first() {
            release(docket, *owner, Some(&group.purse), out);
        }
    }
}

/// Coins that nothing uses any more are free again (B49).
fn release(docket: &ChannelView<'_>, owner: OutPoint, purse: Option<&Purse>, out: &mut Vec<Conclusion>) {
    let coins: Vec<OutPoint> = purse.iter().flat_map(|purse| &purse.coins).map(|coin| coin.outpoint).collect();
    if coins.is_empty() {
        return;
    }
    let notice = Notice::Release { owner, coins, at: docket.tip };
    if !docket.channel.raised.contains(&notice.id(&docket.channel.facts.id)) {
        out.push(Conclusion::Noticed(Box::new(notice)));
    }
}

/// Groups whose outputs were all spent for good by others, or whose commitment lost for good: until then a reorg may want
/// them, and their coins, back (B15, B56).
fn retire(docket: &ChannelView<'_>, wants: &BTreeMap<OutPoint, Want>, out: &mut Vec<Conclusion>) {
    let Some(close) = &docket.close else { return };
    let depth = docket.policy.forget_depth;
    if !docket.tip.buries(close.height, depth) {
        return;
    }
    for (number, group) in &docket.channel.requests.desk.groups {
        let over = group.members.iter().all(|member| {
            let lost = docket.spends.get(member).is_none_or(|spend| {
                let planned = docket.channel.requests.sweeps.get(number).is_some_and(|state| state.txid == spend.txid);
                let ours = planned
                    || group.purse.coins.iter().any(|coin| {
                        let kept = docket.channel.chain.kept.get(&spend.txid);
                        kept.is_some_and(|kept| {
                            kept.tx.input.iter().any(|input| input.previous_output == coin.outpoint)
                        })
                    });
                !ours && docket.tip.buries(spend.height, depth)
            });
            !wants.contains_key(member) && lost
        });
        if over {
            drop_group(docket, *number, false, out);
        }
    }
}

/// Groups whose transaction cannot confirm although their claims are wanted: a coin was spent by a transaction that claims
/// nothing of theirs, or it waits for an expiry and its claims do not (a commitment revoked after it confirmed, and a reorg
/// to below the expiry).
fn broken(docket: &ChannelView<'_>) -> BTreeSet<u32> {
    let mut spenders: BTreeMap<OutPoint, &Transaction> = BTreeMap::new();
    for kept in docket.channel.chain.kept.values() {
        spenders.extend(kept.tx.input.iter().map(|input| (input.previous_output, &kept.tx)));
    }
    let requests = &docket.channel.requests;
    let taken = |group: &Group| {
        group.purse.coins.iter().any(|coin| {
            spenders
                .get(&coin.outpoint)
                .is_some_and(|tx| tx.input.iter().all(|input| !group.members.contains(&input.previous_output)))
        })
    };
    let waits = |number: &u32| {
        let planned = requests.sweeps.get(number);
        planned.is_some_and(|state| state.sweep.tx.lock_time.to_consensus_u32() > docket.tip.get())
    };
    let groups = requests.desk.groups.iter().filter(|(number, group)| taken(group) || waits(number));
    groups.map(|(number, _)| *number).collect()
}

/// What the operator asked for that is not wanted yet; whether there was any.
fn bumps(docket: &ChannelView<'_>, wants: &BTreeMap<OutPoint, Want>, out: &mut Vec<Conclusion>) -> bool {
    let requests = &docket.channel.requests;
    let before = out.len();
    for outpoint in wants.keys() {
        let asked = requests.bumps_of(outpoint).map(|bump| bump.feerate_sat_per_kw).max().unwrap_or(0);
        let to_sat_per_kw = asked.min(docket.policy.max_feerate_sat_per_kw);
        let from_sat_per_kw = requests.desk.price(outpoint).map_or(0, |price| price.wanted_sat_per_kw);
        if to_sat_per_kw > from_sat_per_kw {
            out.push(Conclusion::Bumped { outpoint: *outpoint, from_sat_per_kw, to_sat_per_kw });
        }
    }
    out.len() > before
}
