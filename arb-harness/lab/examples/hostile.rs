//! What a step costs when somebody hostile wrote the block (I20), and what a block costs in which nothing concerns us.
//!
//! - `hostile spends N`: one block with N spends of one channel's outputs (A24).
//! - `hostile mempool N`: one unconfirmed transaction that shows one preimage N times, for 483 HTLCs that we forwarded (A25).
//! - `hostile foreign CHANNELS`: one block of 3,000 foreign transactions with two inputs each, with so many idle channels, next
//!   to the bare 6,000 look-ups in a table of the same size.
//! - `hostile row`: the bytes of a channel's row after the counterparty took every HTLC in a transaction of 390,000 bytes (A22).
//!
//! `cargo run --release -p arb-lab --example hostile -- spends 16000` prints milliseconds. Instructions, which other load does not
//! change, for `spends` and `mempool`:
//!
//! `valgrind --tool=callgrind --collect-atstart=no --toggle-collect='hostile::measured*' --callgrind-out-file=/dev/null \
//!   target/release/examples/hostile spends 16000`
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints figures")]

mod support;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Instant;

use arb_core::bolt3::{ChannelType, Preimage};
use arb_core::{
    ChainArbitrator, ChannelId, ChannelOpened, Event, Height, Htlc, HtlcKey, HtlcRef, Link, Log, Pending, Scanned,
    Standing,
};
use arb_lab::fixture::hostile::{foreign_htlc_script, many_spends, unsigned};
use arb_lab::fixture::{ChannelFixture, ChannelSetup, CommitmentState};
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{OutPoint, Transaction, Txid};
use clap::{Parser, Subcommand};
use support::{block, hash, identity, median};

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Spends { spends: u32 },
    Mempool { items: usize },
    Foreign { channels: u32 },
    Row,
}

/// A log that keeps nothing.
struct Nothing;

impl Log for Nothing {
    type Error = std::convert::Infallible;

    fn append(&mut self, _: &Pending<'_>) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// Everything that one event costs. Its name is what `--toggle-collect` looks for.
#[inline(never)]
fn measured(court: &mut ChainArbitrator, event: &Event) -> (f64, usize) {
    let begin = Instant::now();
    let mut step = court.step();
    step.hear(event).unwrap();
    let due = step.commit(&mut Nothing).unwrap();
    (begin.elapsed().as_secs_f64() * 1e3, due.len())
}

fn hear(court: &mut ChainArbitrator, events: impl IntoIterator<Item = Event>) {
    for event in events {
        let mut step = court.step();
        step.hear(&event).unwrap();
        let _due = step.commit(&mut Nothing).unwrap();
    }
}

fn court() -> ChainArbitrator {
    let mut court = ChainArbitrator::new();
    hear(&mut court, [Event::JournalOpened(identity())]);
    court
}

const SECRET: Preimage = Preimage([7; 32]);

fn spends(spends: u32) {
    let fixture = ChannelFixture::bolt3(ChannelType::AnchorsZeroFeeHtlcTx);
    let mut court = court();
    let (close, spends) = many_spends(fixture.setup().funding, spends, &SECRET);
    hear(&mut court, [fixture.opened(Standing::default()), block(101, vec![close])]);
    let count = spends.len();
    let (millis, due) = measured(&mut court, &block(102, spends));
    println!("block with {count:>6} spends of one channel {millis:>10.2} ms   {due} actions");
}

/// 483 HTLCs of one amount and one hash.
fn htlcs(key: impl Fn(u64) -> HtlcRef, link: impl Fn(u64) -> Link) -> CommitmentState {
    let htlc = |id: u64| Htlc {
        key: key(id),
        amount_msat: 5_000_000,
        payment_hash: SECRET.hash(),
        cltv_expiry: Height::new(2_000),
        link: link(id),
        tag: Vec::new(),
    };
    let sum = 483 * 5_000_000;
    let (by_us, by_them) = if key(0).is_offered() { (sum, 0) } else { (0, sum) };
    CommitmentState {
        local_msat: 5_000_000_000 - by_us,
        remote_msat: 4_900_000_000 - by_them,
        feerate_sat_per_kw: 253,
        htlcs: (0..483).map(htlc).collect(),
    }
}

fn channel(number: u32) -> ChannelFixture {
    ChannelFixture::new(ChannelSetup::from_seed(&[0x21; 32], number, ChannelType::AnchorsZeroFeeHtlcTx, 10_000_000))
}

/// Two channels: what came in on the first went out on the second.
fn forwards() -> (ChainArbitrator, ChannelFixture) {
    let (mut upstream, mut downstream) = (channel(1), channel(2));
    let mut court = court();
    let came_in = htlcs(HtlcRef::received, |_| Link::Received);
    let from = upstream.id();
    let went_out = htlcs(HtlcRef::offered, |id| Link::Forward(HtlcKey { channel: from, htlc: HtlcRef::received(id) }));
    let events = [
        upstream.opened(Standing::default()),
        downstream.opened(Standing::default()),
        upstream.local_signed(0, came_in.clone()).unwrap(),
        upstream.remote_signed(0, came_in).unwrap(),
        downstream.local_signed(0, went_out.clone()).unwrap(),
        downstream.remote_signed(0, went_out).unwrap(),
    ];
    hear(&mut court, events);
    (court, downstream)
}

fn mempool(items: usize) {
    let (mut court, downstream) = forwards();
    let close = downstream.remote_commitment_tx(0).unwrap();
    let outpoint = OutPoint { txid: close.compute_txid(), vout: 2 };
    hear(&mut court, [block(101, vec![close])]);
    let witness = vec![SECRET.0.to_vec(); items];
    let tx = unsigned([(outpoint, witness)], 1, 500, &foreign_htlc_script(&SECRET.hash()).to_p2wsh());
    let (millis, due) = measured(&mut court, &Event::MempoolSeen { tx });
    println!("mempool transaction with {items:>6} copies of a preimage {millis:>10.2} ms   {due} actions");
}

fn idle(court: &mut ChainArbitrator, channels: u32) -> Vec<OutPoint> {
    let fixture = ChannelFixture::bolt3(ChannelType::AnchorsZeroFeeHtlcTx);
    let mut fundings = Vec::new();
    for number in 0..channels {
        let mut facts = fixture.facts();
        facts.id = ChannelId(hash(u64::from(number) + 1_000_000));
        let txid = Txid::from_byte_array(*sha256::Hash::hash(&facts.id.0).as_byte_array());
        facts.fundings[0].outpoint = OutPoint::new(txid, 0);
        facts.fundings[0].confirmed = Some(Height::new(50));
        fundings.push(facts.fundings[0].outpoint);
        let channel = facts.id;
        let scanned = Scanned { channel, parent: txid, through: identity().tip, confirmed: None, spends: Vec::new() };
        let opened = ChannelOpened { facts, standing: Standing::default() };
        hear(court, [Event::ChannelOpened(Box::new(opened)), Event::Scanned(Box::new(scanned))]);
    }
    fundings
}

/// Spreads a fingerprint over the table's 64 bits, like the court's index.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u32(&mut self, print: u32) {
        self.0 = u64::from(print).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Two inputs and two outputs, like most transactions. None spends anything of ours.
fn foreign_block(height: u32) -> Vec<Transaction> {
    let outpoint = |number: u32| {
        let id = sha256::Hash::hash(&hash(u64::from(height) << 32 | u64::from(number)));
        (OutPoint::new(Txid::from_byte_array(*id.as_byte_array()), number % 3), vec![vec![0x30; 71], vec![2; 33]])
    };
    let script = foreign_htlc_script(&SECRET.hash()).to_p2wsh();
    (0..3_000).map(|tx| unsigned([outpoint(2 * tx), outpoint(2 * tx + 1)], 2, 5_000, &script)).collect()
}

fn foreign(channels: u32) {
    let mut court = court();
    let fundings = idle(&mut court, channels);
    // The same keys and values in a table of the same kind, and nothing around it.
    let print = |outpoint: &OutPoint| {
        let (head, _) = outpoint.txid.as_byte_array().split_first_chunk::<4>().unwrap();
        u32::from_le_bytes(*head) ^ (outpoint.vout + 1).wrapping_mul(0x9e37_79b1)
    };
    let table: HashMap<u32, u32, BuildHasherDefault<Spread>> = fundings.iter().map(print).zip(0_u32..).collect();
    let (mut bare, mut whole) = (Vec::new(), Vec::new());
    for height in 101..160 {
        // The bare look-ups read the same transactions, and read them first.
        let txs = foreign_block(height);
        let begin = Instant::now();
        let inputs = txs.iter().flat_map(|tx| &tx.input).map(|input| print(&input.previous_output));
        let hits = inputs.filter(|print| table.contains_key(print)).count();
        bare.push(begin.elapsed().as_secs_f64() * 1e3);
        let _hits = std::hint::black_box(hits);
        whole.push(measured(&mut court, &block(height, txs)).0);
    }
    let (bare, whole) = (median(bare), median(whole));
    println!(
        "block of 3,000 foreign transactions, {channels:>8} idle channels {whole:>8.3} ms   6,000 bare look-ups {bare:>8.3} ms   ratio {:.2}",
        whole / bare
    );
}

fn row() {
    let (mut court, downstream) = forwards();
    let close = downstream.remote_commitment_tx(0).unwrap();
    let txid = close.compute_txid();
    let outputs = u32::try_from(close.output.len()).unwrap();
    hear(&mut court, [block(101, vec![close])]);
    // A script of 520 bytes can be pushed into a witness as often as a transaction has room.
    let script = foreign_htlc_script(&SECRET.hash()).to_p2wsh();
    let bytes = |court: &ChainArbitrator| {
        let channels = court.channels().map(|(_, channel)| postcard::to_allocvec(channel).unwrap().len());
        channels.max().unwrap()
    };
    let before = bytes(&court);
    for vout in 0..outputs {
        let witness = vec![vec![vout as u8; 520]; 740];
        let tx = unsigned([(OutPoint { txid, vout }, witness)], 200, 500, &script);
        hear(&mut court, [block(102 + vout, vec![tx])]);
    }
    println!(
        "row of a channel with 483 HTLCs {before:>9} bytes   after {outputs} large spends {:>9} bytes",
        bytes(&court)
    );
}

fn main() {
    match Options::parse().what {
        What::Spends { spends: count } => spends(count),
        What::Mempool { items } => mempool(items),
        What::Foreign { channels } => foreign(channels),
        What::Row => row(),
    }
}
