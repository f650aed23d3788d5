//! The time from the block with a revoked commitment to the last signed penalty.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use arb_core::bolt3::{ChannelType, PaymentHash};
use arb_core::{
    Action, BroadcastAnswer, ChannelId, Event, Freshness, Height, Htlc, HtlcRef, Link, Rejected, Scanned, Side, Signed,
    Started,
};
use arb_harness::driver::{Driver, Outside};
use arb_harness::keys::WalletKeys;
use arb_harness::signer::{KeySigner, Signer};
use arb_lab::chain::flat_fees;
use arb_lab::fixture::{ChannelFixture, ChannelSetup, CommitmentState};
use arb_log::Key;
use arb_log::memory::Memory;
use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut};

use crate::support::{START, block, hash, identity, slope, tip_at};

/// Numbers of HTLCs on the revoked commitment; 966 is the most that BOLT 2 allows, 483 each way.
const HTLCS: [u32; 4] = [1, 10, 100, 966];
/// Runs of each breach; the one with the median time is printed.
const RUNS: usize = 11;
const CAPACITY_SAT: u64 = 200_000_000;
const HTLC_SAT: u64 = 40_000;
/// Value of the cheating peer's main output, greater than that of any other.
const THEIRS_SAT: u64 = 60_000_000;
/// The greatest weight of a transaction that nodes relay.
const WEIGHT_MAX_WU: u64 = 400_000;

/// What one breach cost.
struct Breach {
    total: Duration,
    /// Time of each step of the court, with its frame in the journal and its due actions, in order.
    steps: Vec<Duration>,
    signer: Duration,
    signatures: usize,
    /// Bytes of the frames of these steps.
    log_bytes: usize,
    /// How many transactions take penalties; the figures after it are theirs.
    txs: usize,
    most_inputs: usize,
    heaviest_wu: u64,
    weight_wu: u64,
}

impl Breach {
    fn court(&self) -> Duration {
        self.steps.iter().sum()
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Everything outside of the court: it signs, and keeps what is sent.
struct Counter {
    signer: KeySigner,
    script: ScriptBuf,
    height: u32,
    signing: Duration,
    signatures: usize,
    /// Outputs that no signed transaction spends yet.
    wanted: BTreeSet<OutPoint>,
    sent: Vec<Transaction>,
    /// When the last of them was spent.
    done: Option<Instant>,
}

impl Counter {
    fn sign(&mut self, request: &arb_core::SignRequest) -> Event {
        let begin = Instant::now();
        let signatures = self.signer.sign(request).unwrap();
        self.signing += begin.elapsed();
        self.signatures += signatures.len();
        Event::Signed(Box::new(Signed { channel: request.channel, request: request.id, signatures }))
    }

    fn broadcast(&mut self, channel: ChannelId, txs: Vec<Transaction>) -> Event {
        let signed = txs.iter().flat_map(|tx| &tx.input).filter(|input| !input.witness.is_empty());
        signed.for_each(|input| {
            self.wanted.remove(&input.previous_output);
        });
        if self.wanted.is_empty() {
            self.done.get_or_insert_with(Instant::now);
        }
        let txid = txs.last().unwrap().compute_txid();
        self.sent.extend(txs);
        Event::BroadcastAnswered { channel, txid, answer: BroadcastAnswer::Accepted }
    }
}

impl Outside for Counter {
    fn perform(&mut self, action: Action, answers: &mut Vec<Event>) {
        let through = tip_at(self.height);
        match action {
            Action::Sign(request) => answers.push(self.sign(&request)),
            Action::Broadcast { channel, txs, .. } => answers.push(self.broadcast(channel, txs)),
            Action::SearchSpends { channel, parent, .. } => {
                let scanned = Scanned { channel, parent, through, confirmed: None, spends: Vec::new() };
                answers.push(Event::Scanned(Box::new(scanned)));
            }
            Action::RequestScripts { id, channel } => {
                answers.push(Event::ScriptsOffered { channel, request: id, script: self.script.clone() });
            }
            Action::FreezeChannel { id, channel, .. }
            | Action::Alert { id, channel, .. }
            | Action::ReportOutcome { id, channel, .. }
            | Action::ReleaseFeeInputs { id, channel, .. }
            | Action::ChannelResolved { id, channel, .. } => answers.push(Event::Performed { channel, id }),
            Action::AskForPreimage { .. } => {}
            Action::RequestFeeInputs { .. }
            | Action::HoldFeeInputs { .. }
            | Action::SettleUpstream { .. }
            | Action::FailUpstream { .. }
            | Action::LoadRevoked { .. }
            | Action::LoadPoint { .. } => panic!("not in a breach that the rows know: {action:?}"),
        }
    }

    fn refused(&mut self, event: &Event, why: &Rejected) {
        panic!("{why}: {event:?}");
    }

    fn damaged(&mut self, channel: ChannelId, why: &str) {
        panic!("{channel}: {why}");
    }
}

/// `count` HTLCs, half of them each way; only the balances depend on `number`.
fn state(count: u32, number: u64) -> CommitmentState {
    let htlc = |id: u32| Htlc {
        key: if id.is_multiple_of(2) {
            HtlcRef::offered(u64::from(id / 2))
        } else {
            HtlcRef::received(u64::from(id / 2))
        },
        amount_msat: (HTLC_SAT + u64::from(id)) * 1000,
        payment_hash: PaymentHash(hash(u64::from(id) + 1)),
        cltv_expiry: Height::new(START + 500 + id % 3),
        link: if id.is_multiple_of(2) { Link::Own } else { Link::Received },
        tag: Vec::new(),
    };
    let htlcs: Vec<Htlc> = (0..count).map(htlc).collect();
    let remote_msat = THEIRS_SAT * 1000 + number;
    let pending_msat: u64 = htlcs.iter().map(|htlc| htlc.amount_msat).sum();
    let local_msat = CAPACITY_SAT * 1000 - remote_msat - pending_msat;
    CommitmentState { local_msat, remote_msat, feerate_sat_per_kw: 253, htlcs }
}

/// A channel whose commitments were updated once, with its HTLCs still pending; and the outside.
fn opened(memory: &Memory, channel_type: ChannelType, count: u32) -> (Driver<Memory>, Counter, ChannelFixture) {
    let mut fixture = ChannelFixture::new(ChannelSetup::from_seed(&[0x44; 32], 0, channel_type, CAPACITY_SAT));
    let keys = WalletKeys::from_seed(&[0x45; 32]);
    let mut signer = KeySigner::new(keys.clone());
    let setup = fixture.setup();
    signer.add_channel(setup.id, setup.funding, setup.local.clone());
    let script = keys.script_for(b"sweeps");
    let mut outside = Counter {
        signer,
        script,
        height: START,
        signing: Duration::ZERO,
        signatures: 0,
        wanted: BTreeSet::new(),
        sent: Vec::new(),
        done: None,
    };
    let (freshness, best_height) = (Freshness::Trusted, Height::new(START));
    let started = Started { build: String::from("figures"), freshness, best_height, run: 0 };
    let mut driver = Driver::start(memory.clone(), &identity(), started).unwrap();
    driver.tell(flat_fees(500, 250));
    driver.tell(fixture.opened(fixture.standing(0, 0).unwrap()));
    driver.tell(fixture.adopted());
    driver.tell(arb_lab::process::all_told());
    for number in 0..2 {
        driver.tell(fixture.remote_signed(number, state(count, number)).unwrap());
        if number > 0 {
            driver.tell(fixture.remote_revoked(number - 1).unwrap());
        }
        driver.tell(fixture.local_signed(number, state(count, number)).unwrap());
    }
    driver.commit(&mut outside).unwrap();
    driver.settle(&mut outside).unwrap();
    (driver, outside, fixture)
}

/// The outputs that penalties take: the peer's main output and the HTLCs.
fn penalised(fixture: &ChannelFixture, count: u32) -> BTreeSet<OutPoint> {
    let commitment = fixture.commitment(Side::Remote, 0).unwrap();
    let htlcs = (0..count as usize).map(|index| commitment.htlc_output(index).unwrap().0);
    let mut wanted: BTreeSet<OutPoint> = htlcs.collect();
    let main = (0..).zip(&commitment.built.tx.output).find(|(_, output)| output.value.to_sat() == THEIRS_SAT);
    assert!(wanted.insert(commitment.outpoint(main.unwrap().0)));
    assert_eq!(wanted.len(), count as usize + 1);
    wanted
}

fn breach(channel_type: ChannelType, count: u32) -> Breach {
    let memory = Memory::new();
    let (mut driver, mut outside, fixture) = opened(&memory, channel_type, count);
    assert_eq!(outside.sent, []);
    let revoked = fixture.remote_commitment_tx(0).unwrap();
    let wanted = penalised(&fixture, count);
    outside.wanted.clone_from(&wanted);
    (outside.signing, outside.signatures) = (Duration::ZERO, 0);
    outside.height = START + 1;
    let heard = block(START + 1, vec![revoked.clone()]);
    let (mut steps, first) = (Vec::new(), driver.court().sequence() + 1);
    let begin = Instant::now();
    driver.tell(heard);
    while outside.done.is_none() {
        let step = Instant::now();
        assert!(
            driver.commit(&mut outside).unwrap(),
            "no event is left, but these outputs are unspent: {:?}",
            outside.wanted
        );
        steps.push(step.elapsed());
        driver.perform(&mut outside);
    }
    let total = outside.done.unwrap().duration_since(begin);
    let txs: Vec<&Transaction> = outside.sent.iter().filter(|tx| takes(tx, &wanted)).collect();
    verify(&txs, &revoked, &wanted);
    let frames = first..=driver.court().sequence();
    Breach {
        total,
        steps,
        signer: outside.signing,
        signatures: outside.signatures,
        log_bytes: frames.map(|sequence| memory.row(Key::frame(sequence)).unwrap().len()).sum(),
        txs: txs.len(),
        most_inputs: txs.iter().map(|tx| tx.input.len()).max().unwrap(),
        heaviest_wu: txs.iter().map(|tx| tx.weight().to_wu()).max().unwrap(),
        weight_wu: txs.iter().map(|tx| tx.weight().to_wu()).sum(),
    }
}

fn takes(tx: &Transaction, wanted: &BTreeSet<OutPoint>) -> bool {
    tx.input.iter().any(|input| wanted.contains(&input.previous_output))
}

/// Panics unless every output is spent exactly once, with scripts that the interpreter accepts.
fn verify(txs: &[&Transaction], revoked: &Transaction, wanted: &BTreeSet<OutPoint>) {
    let mut left = wanted.clone();
    for tx in txs {
        let bytes = bitcoin::consensus::serialize(*tx);
        for (index, input) in tx.input.iter().enumerate() {
            assert!(left.remove(&input.previous_output), "{} is spent twice", input.previous_output);
            let TxOut { value, script_pubkey } = &revoked.output[input.previous_output.vout as usize];
            bitcoinconsensus::verify(script_pubkey.as_bytes(), value.to_sat(), &bytes, None, index).unwrap();
        }
    }
    assert_eq!(left, BTreeSet::new(), "not taken");
}

/// The run with the median time.
fn typical(channel_type: ChannelType, count: u32) -> Breach {
    let mut runs: Vec<Breach> = (0..RUNS).map(|_| breach(channel_type, count)).collect();
    runs.sort_by_key(|run| run.total);
    runs.swap_remove(RUNS / 2)
}

pub fn print() {
    println!(
        "4  A breach: from the block with the revoked commitment to a signed penalty for every output under its keys."
    );
    println!(
        "   Measured: block heard, rows loaded, all planned, signed in memory, signatures heard, until Broadcast; the run \
         with the median time of {RUNS}; every penalty run by the script interpreter afterwards.\n   court: steps, with \
         their frames in a memory storage, and what is due after them. other: scans, rows, answers. The same HTLCs are \
         still pending on the newest commitments."
    );
    println!(
        "   {:<7} {:>5} | {:>7} {:>7} {:>7} {:>6} | {:>4} {:>6} {:>8} | {:>7} {:>7} {:>10} {:>6} {:>6} | steps of the",
        "channel",
        "HTLCs",
        "total",
        "court",
        "signer",
        "other",
        "txs",
        "most",
        "heaviest",
        "total",
        "court",
        "court",
        "log",
        "weight"
    );
    println!(
        "   {:<7} {:>5} | {:>7} {:>7} {:>7} {:>6} | {:>4} {:>6} {:>8} | {:>7} {:>7} {:>10} {:>6} {:>6} | court, ms",
        "", "", "ms", "ms", "ms", "ms", "", "inputs", "wu", "us/HTLC", "us/HTLC", "signatures", "B/HTLC", "/HTLC"
    );
    for channel_type in [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlcTx] {
        print_type(channel_type);
    }
    println!("   court, signatures: its time as a multiple of what the signer takes for one signature, for each HTLC.");
}

fn print_type(channel_type: ChannelType) {
    let name = match channel_type {
        ChannelType::StaticRemotekey => "static",
        ChannelType::AnchorsZeroFeeHtlcTx => "anchors",
    };
    let (mut totals, mut courts) = (Vec::new(), Vec::new());
    for count in HTLCS {
        let run = typical(channel_type, count);
        assert!(run.heaviest_wu < WEIGHT_MAX_WU, "{} weight units", run.heaviest_wu);
        print_run(name, count, &run);
        totals.push((count, millis(run.total)));
        courts.push((count, millis(run.court())));
    }
    let last = HTLCS.len() - 2;
    println!(
        "   {name:<7} grows with this power of the HTLCs: total {:.2}, court {:.2}; from 100 to 966: total {:.2}, court {:.2}",
        slope(&totals),
        slope(&courts),
        slope(&totals[last..]),
        slope(&courts[last..])
    );
}

fn print_run(name: &str, count: u32, run: &Breach) {
    let (total, court, signer) = (millis(run.total), millis(run.court()), millis(run.signer));
    let each = |what: f64| what / f64::from(count);
    let steps: Vec<String> = run.steps.iter().map(|step| format!("{:.2}", millis(*step))).collect();
    println!(
        "   {name:<7} {count:>5} | {total:>7.2} {court:>7.2} {signer:>7.2} {:>6.2} | {:>4} {:>6} {:>8} | {:>7.0} {:>7.0} {:>10.2} \
         {:>6.0} {:>6.0} | {}",
        total - court - signer,
        run.txs,
        run.most_inputs,
        run.heaviest_wu,
        each(total * 1e3),
        each(court * 1e3),
        each(court / (signer / run.signatures as f64)),
        each(run.log_bytes as f64),
        each(run.weight_wu as f64),
        steps.join(" + "),
    );
}
