//! What a step costs: time, bytes of its frame, and memory of an idle channel; and what planning costs by number of claims.
//!
//! `cargo run --release -p arb-lab --example figures`. These machines are shared and noisy: look at ratios within one
//! run, not at absolute times.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints figures")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use arb_core::bolt3::{ChannelType, PaymentHash, Preimage};
use arb_core::sweep::{Class, Now, Order, Pays, Stake, Sweeper, Terms};
use arb_core::{
    Action, ChainArbitrator, ChannelId, ChannelOpened, Event, FoundSpend, Height, Htlc, HtlcKey, HtlcRef, Link, Log,
    Pending, Policy, Scanned, Standing,
};
use arb_lab::fixture::{ChannelFixture, CommitmentState};
use arb_lab::process::all_told;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Txid};
use support::{block, hash, identity, median, slope};

/// A log that keeps only the size of the last frame.
#[derive(Default)]
struct Counting {
    bytes: usize,
}

impl Log for Counting {
    type Error = std::convert::Infallible;

    fn append(&mut self, pending: &Pending<'_>) -> Result<(), Self::Error> {
        self.bytes = arb_log::frame::encode_frame(pending.frame()).unwrap().len();
        Ok(())
    }
}

fn hear(court: &mut ChainArbitrator, events: &[Event]) -> (f64, usize) {
    let mut log = Counting::default();
    let begin = Instant::now();
    let mut step = court.step();
    for event in events {
        step.hear(event).unwrap();
    }
    let _due = step.commit(&mut log).unwrap();
    (begin.elapsed().as_secs_f64() * 1e6, log.bytes)
}

fn court() -> ChainArbitrator {
    let mut court = ChainArbitrator::new();
    hear(&mut court, &[Event::JournalOpened(identity())]);
    court
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn idle_channels(channels: u32) {
    let fixture = ChannelFixture::bolt3(ChannelType::AnchorsZeroFeeHtlcTx);
    let mut court = court();
    let before = resident_bytes();
    for number in 0..channels {
        let mut facts = fixture.facts();
        facts.id = ChannelId(hash(u64::from(number) + 1_000_000));
        let txid = Txid::from_byte_array(*bitcoin::hashes::sha256::Hash::hash(&facts.id.0).as_byte_array());
        facts.fundings[0].outpoint = OutPoint::new(txid, 0);
        let channel = facts.id;
        let scanned = Scanned {
            channel,
            parent: txid,
            through: identity().tip,
            confirmed: None,
            spends: Vec::<FoundSpend>::new(),
        };
        let opened = ChannelOpened { facts, standing: Standing::default() };
        hear(&mut court, &[Event::ChannelOpened(Box::new(opened)), all_told(), Event::Scanned(Box::new(scanned))]);
    }
    let resident = (resident_bytes().saturating_sub(before)) / u64::from(channels);
    let mut samples = Vec::new();
    let mut bytes = 0;
    for height in 101..1101 {
        let (micros, frame) = hear(&mut court, &[block(height, Vec::new())]);
        samples.push(micros);
        bytes = frame;
    }
    println!(
        "idle block, {channels:>6} channels        {:>10.2} us {bytes:>8} bytes a frame   {resident} resident bytes a channel",
        median(samples)
    );
}

/// A commitment with `htlcs` that stay, and one that differs in every state.
fn state(htlcs: u64, extra: Option<u64>) -> CommitmentState {
    let htlc = |id: u64| Htlc {
        key: if id.is_multiple_of(2) { HtlcRef::offered(id / 2) } else { HtlcRef::received(id / 2) },
        amount_msat: 5_000_000 + id * 1000,
        payment_hash: PaymentHash(hash(id)),
        cltv_expiry: Height::new(2000 + u32::try_from(id).unwrap()),
        link: if id.is_multiple_of(2) { Link::Own } else { Link::Received },
        tag: Vec::new(),
    };
    let ids: Vec<u64> = (0..htlcs).chain(extra.map(|extra| htlcs + extra)).collect();
    let total: u64 = ids.iter().map(|id| htlc(*id).amount_msat).sum();
    CommitmentState {
        local_msat: 6_000_000_000 - total / 2,
        remote_msat: 3_900_000_000 - total / 2,
        feerate_sat_per_kw: 253,
        htlcs: ids.into_iter().map(htlc).collect(),
    }
}

fn commitments(pending: u64) {
    let mut fixture = ChannelFixture::bolt3(ChannelType::AnchorsZeroFeeHtlcTx);
    let mut court = court();
    let opened = fixture.opened(Standing::default());
    hear(&mut court, &[opened, all_told()]);
    let first = [
        fixture.local_signed(0, state(pending, None)).unwrap(),
        fixture.remote_signed(0, state(pending, None)).unwrap(),
    ];
    hear(&mut court, &first);
    let (mut local, mut remote, mut bytes) = (Vec::new(), Vec::new(), 0);
    for number in 1..21 {
        // Each update adds one HTLC and removes the one before.
        let state = state(pending, Some(number));
        let event = fixture.remote_signed(number, state.clone()).unwrap();
        let revoked = fixture.remote_revoked(number - 1).unwrap();
        let (micros, frame) = hear(&mut court, &[event, revoked]);
        remote.push(micros);
        bytes = bytes.max(frame);
        let event = fixture.local_signed(number, state).unwrap();
        let checked = court.check(&event).unwrap().unwrap();
        let mut log = Counting::default();
        let begin = Instant::now();
        let mut step = court.step();
        step.hear_checked(&event, &checked).unwrap();
        let _due = step.commit(&mut log).unwrap();
        local.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    println!(
        "update, {pending:>3} HTLCs pending         {:>10.2} us {bytes:>8} bytes a frame   (theirs and its revocation; ours, checked before: {:.2} us)",
        median(remote),
        median(local)
    );
}

fn close(htlcs: u64) {
    let mut fixture = ChannelFixture::bolt3(ChannelType::AnchorsZeroFeeHtlcTx);
    let mut court = court();
    let opened = fixture.opened(Standing::default());
    hear(&mut court, &[opened, all_told()]);
    let both =
        [fixture.local_signed(0, state(htlcs, None)).unwrap(), fixture.remote_signed(0, state(htlcs, None)).unwrap()];
    hear(&mut court, &both);
    for (name, height, txs) in [
        ("close", 101, vec![fixture.remote_commitment_tx(0).unwrap()]),
        ("idle block after it", 102, Vec::new()),
        ("idle block after it", 103, Vec::new()),
    ] {
        let (micros, bytes) = hear(&mut court, &[block(height, txs)]);
        println!("{name:<19} {htlcs:>3} HTLCs      {micros:>10.2} us {bytes:>8} bytes a frame");
    }
}

/// Numbers of claims; 966 is the most that BOLT 2 allows on one commitment.
const CLAIMS: [u32; 4] = [1, 10, 100, 966];

/// New claims of one channel with the same locktime and deadline.
fn fresh(claims: u32, pays: Pays, budget_sat: u64) -> BTreeMap<OutPoint, Terms> {
    let terms = |id: u32| Terms {
        outpoint: OutPoint::new(Txid::from_byte_array(hash(1)), id),
        class: Class::Contested,
        pays,
        input_weight: 571,
        output_weight: if pays == Pays::FromWallet { 172 } else { 0 },
        amount_sat: 2 * budget_sat + u64::from(id),
        lock_time: Height::new(0),
        stakes: vec![Stake { deadline: Some(Height::new(200)), budget_sat: budget_sat + u64::from(id / 2) }],
        any_price_sat: u64::MAX,
        parent: None,
    };
    (0..claims).map(|id| (OutPoint::new(Txid::from_byte_array(hash(1)), id), terms(id))).collect()
}

/// The median microseconds of one decision about new claims, and the number of its orders.
fn decision(claims: u32, pays: Pays, tip: u32, budget_sat: u64) -> (f64, usize) {
    let (terms, policy) = (fresh(claims, pays, budget_sat), Policy::default());
    let now = Now { tip: Height::new(tip), policy: &policy, fees: None, fees_before: &[], wallet_output_weight: 124 };
    let orders = || Sweeper::default().decide(&terms, &BTreeSet::new(), &now);
    let samples = (0..201).map(|_| {
        let begin = Instant::now();
        let orders: Vec<Order> = std::hint::black_box(orders());
        let micros = begin.elapsed().as_secs_f64() * 1e6;
        drop(orders);
        micros
    });
    (median(samples.collect()), orders().len())
}

fn planning(name: &str, pays: Pays, tip: u32, budget_sat: u64) {
    let mut times = Vec::new();
    for claims in CLAIMS {
        let (micros, orders) = decision(claims, pays, tip, budget_sat);
        println!("planning {name:<16} {claims:>4} claims {micros:>9.2} us {orders:>8} orders");
        times.push((claims, micros));
    }
    println!("planning {name:<16} grows with the power {:.2} of the claims", slope(&times));
}

/// Microseconds, frame bytes and sweeps of the step that plans every claim on their commitment: received HTLCs with known
/// preimages.
fn planning_step(claims: u32) -> (f64, usize, usize) {
    let mut fixture = ChannelFixture::bolt3(ChannelType::AnchorsZeroFeeHtlcTx);
    let mut court = court();
    let secret = |id: u32| Preimage(hash(u64::from(id) + 1));
    let htlc = |id: u32| Htlc {
        key: HtlcRef::received(u64::from(id)),
        amount_msat: 5_000_000 + u64::from(id) * 1000,
        payment_hash: secret(id).hash(),
        cltv_expiry: Height::new(2000 + id),
        link: Link::Received,
        tag: Vec::new(),
    };
    let htlcs: Vec<Htlc> = (0..claims).map(htlc).collect();
    let total: u64 = htlcs.iter().map(|htlc| htlc.amount_msat).sum();
    let state = CommitmentState {
        local_msat: 1_000_000_000,
        remote_msat: 8_900_000_000 - total,
        feerate_sat_per_kw: 253,
        htlcs,
    };
    let opened = fixture.opened(Standing::default());
    let mut events = vec![
        opened,
        all_told(),
        fixture.local_signed(0, state.clone()).unwrap(),
        fixture.remote_signed(0, state).unwrap(),
    ];
    let key = |id: u32| HtlcKey { channel: fixture.id(), htlc: HtlcRef::received(u64::from(id)) };
    events.extend((0..claims).map(|id| Event::PreimageLearned { preimage: secret(id), usable_for: vec![key(id)] }));
    hear(&mut court, &events);
    hear(&mut court, &[block(101, vec![fixture.remote_commitment_tx(0).unwrap()])]);
    let scripts = court
        .actions_due()
        .into_iter()
        .find_map(|action| if let Action::RequestScripts { id, .. } = action { Some(id) } else { None });
    let script = fixture.setup().fallback_script.clone();
    let offered = Event::ScriptsOffered { channel: fixture.id(), request: scripts.unwrap(), script };
    let (micros, bytes) = hear(&mut court, &[offered]);
    let signing = court.actions_due().into_iter().filter(|action| matches!(action, Action::Sign(_))).count();
    (micros, bytes, signing)
}

fn planning_steps() {
    let mut times = Vec::new();
    for claims in CLAIMS {
        let claims = claims.min(483); // BOLT 2 allows 483 in one direction
        let (micros, bytes, sweeps) = planning_step(claims);
        println!(
            "planning step           {claims:>4} claims {micros:>9.2} us {bytes:>8} bytes a frame   {sweeps} sweeps"
        );
        times.push((claims, micros));
    }
    println!("planning step           grows with the power {:.2} of the claims", slope(&times));
}

fn main() {
    println!("{:<34} {:>13} {:>23}", "step", "time", "log");
    for channels in [1, 100_000] {
        idle_channels(channels);
    }
    for pending in [0, 10, 482] {
        commitments(pending);
    }
    close(483);
    planning("from the value", Pays::FromValue, 100, 20_000);
    planning("from the wallet", Pays::FromWallet, 100, 20_000);
    planning("each alone", Pays::FromWallet, 196, 20_000);
    planning("too small", Pays::FromValue, 100, 400);
    planning_steps();
}
