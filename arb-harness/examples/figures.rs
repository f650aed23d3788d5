//! What a step costs: time, bytes of its frame, and the memory of an idle channel.
//!
//! `cargo run --release -p arb-harness --example figures`. These machines are shared and noisy: look at ratios within one
//! run, not at absolute times.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints figures")]

use std::time::Instant;

use arb_core::bolt3::{ChannelType, PaymentHash};
use arb_core::{
    Block, ChainArbitrator, ChannelId, ChannelOpened, Event, FoundSpend, Genesis, Height, Htlc, HtlcRef, Link, Log,
    Pending, Policy, Scanned, Standing, Tip,
};
use arb_harness::fixture::{ChannelFixture, CommitmentState};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network, OutPoint, Transaction, Txid};

/// A log that only counts bytes.
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

fn hash(number: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn court() -> ChainArbitrator {
    let mut court = ChainArbitrator::new();
    let tip = Tip { height: Height::new(100), hash: BlockHash::from_byte_array(hash(100)) };
    let genesis = Genesis { network: Network::Regtest, journal: [1; 32], tip, policy: Policy::default() };
    hear(&mut court, &[Event::Genesis(genesis)]);
    court
}

fn block(height: u32, txs: Vec<Transaction>) -> Event {
    Event::BlockConnected(Box::new(Block {
        height: Height::new(height),
        hash: BlockHash::from_byte_array(hash(u64::from(height))),
        parent: BlockHash::from_byte_array(hash(u64::from(height) - 1)),
        best_height: Height::new(height),
        txs,
    }))
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
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
        let scanned = Scanned { channel, parent: txid, through: Height::new(100), spends: Vec::<FoundSpend>::new() };
        let opened = ChannelOpened { facts, standing: Standing::default() };
        hear(&mut court, &[Event::ChannelOpened(Box::new(opened)), Event::Scanned(Box::new(scanned))]);
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

/// `htlcs` that stay, and one that is another one in each state.
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
    hear(&mut court, &[opened]);
    let first = [
        fixture.local_signed(0, state(pending, None)).unwrap(),
        fixture.remote_signed(0, state(pending, None)).unwrap(),
    ];
    hear(&mut court, &first);
    let (mut local, mut remote, mut bytes) = (Vec::new(), Vec::new(), 0);
    for number in 1..21 {
        // One HTLC comes, and the one before it goes.
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
    hear(&mut court, &[opened]);
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

fn main() {
    println!("{:<34} {:>13} {:>23}", "step", "time", "log");
    for channels in [1, 100_000] {
        idle_channels(channels);
    }
    for pending in [0, 10, 482] {
        commitments(pending);
    }
    close(483);
}
