//! Values that tests are built from: channels, HTLCs, events, and unchecked transactions.

use arb_core::bolt3::{ChannelType, Preimage};
use arb_core::{Event, Freshness, Height, Htlc, HtlcKey, HtlcRef, JournalIdentity, Link, Policy, Side, Started, Tip};
use arb_lab::fixture::{ChannelFixture, ChannelSetup, CommitmentState};
use arb_lab::peer::Rates;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, BlockHash, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};

pub const TYPES: [ChannelType; 2] = [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlcTx];
pub const ANCHORS: ChannelType = ChannelType::AnchorsZeroFeeHtlcTx;
/// Height of the tip at which every test begins.
pub const START: u32 = 400;
/// Capacity of every channel.
pub const CAPACITY_SAT: u64 = 10_000_000;
/// What the counterparty's transactions pay.
pub const RATES: Rates = Rates { feerate_sat_per_kw: 500, floor_sat_per_kvb: 1000 };

pub fn height(height: u32) -> Height {
    Height::new(height)
}

pub fn preimage(byte: u8) -> Preimage {
    Preimage([byte; 32])
}

pub fn offered(id: u64, sat: u64, secret: u8, expiry: u32, link: Link) -> Htlc {
    htlc(HtlcRef::offered(id), sat, secret, expiry, link)
}

pub fn received(id: u64, sat: u64, secret: u8, expiry: u32) -> Htlc {
    htlc(HtlcRef::received(id), sat, secret, expiry, Link::Received)
}

fn htlc(key: HtlcRef, sat: u64, secret: u8, expiry: u32, link: Link) -> Htlc {
    let payment_hash = preimage(secret).hash();
    Htlc { key, amount_msat: sat * 1000, payment_hash, cltv_expiry: height(expiry), link, tag: vec![secret] }
}

/// A commitment with these HTLCs, where each side paid half of the capacity.
pub fn state(htlcs: &[Htlc]) -> CommitmentState {
    let sum =
        |by_us| htlcs.iter().filter(|htlc| htlc.key.is_offered() == by_us).map(|htlc| htlc.amount_msat).sum::<u64>();
    let half_msat = CAPACITY_SAT / 2 * 1000;
    CommitmentState {
        local_msat: half_msat - sum(true),
        remote_msat: half_msat - sum(false),
        feerate_sat_per_kw: 1000,
        htlcs: htlcs.to_vec(),
    }
}

/// Channel `number` of this suite: the same keys for the same number.
pub fn channel(number: u32, channel_type: ChannelType) -> ChannelFixture {
    ChannelFixture::new(ChannelSetup::from_seed(&[0x21; 32], number, channel_type, CAPACITY_SAT))
}

pub fn identity() -> JournalIdentity {
    let tip = Tip { height: height(START), hash: BlockHash::all_zeros() };
    JournalIdentity { network: Network::Regtest, journal: [1; 32], tip, policy: Policy::default() }
}

/// A start; another build makes it another run.
pub fn started(build: &str, freshness: Freshness, best: u32) -> Event {
    let run = build.bytes().fold(0, |run: u64, byte| run.wrapping_mul(31).wrapping_add(u64::from(byte)));
    Event::Started(Started { build: build.into(), freshness, best_height: height(best), run })
}

pub fn key(fixture: &ChannelFixture, htlc: HtlcRef) -> HtlcKey {
    HtlcKey { channel: fixture.id(), htlc }
}

pub fn learned(fixture: &ChannelFixture, htlc: HtlcRef, secret: u8) -> Event {
    Event::PreimageLearned { preimage: preimage(secret), usable_for: vec![key(fixture, htlc)] }
}

/// The output of an HTLC on a side's commitment.
pub fn output_of(fixture: &ChannelFixture, side: Side, number: u64, htlc: HtlcRef) -> OutPoint {
    let commitment = fixture.commitment(side, number).unwrap();
    commitment.htlc_output(position(fixture, side, number, htlc)).unwrap().0
}

/// The index of an HTLC in a commitment's list of HTLCs.
pub fn position(fixture: &ChannelFixture, side: Side, number: u64, htlc: HtlcRef) -> usize {
    let htlcs = &fixture.states(side)[&number].htlcs;
    htlcs.iter().position(|other| other.key == htlc).unwrap()
}

/// An unchecked transaction: these inputs with these witnesses, and one output of `sat` to `script`.
pub fn spend(inputs: &[(OutPoint, Vec<Vec<u8>>)], script: ScriptBuf, sat: u64) -> Transaction {
    let input = |(previous_output, witness): &(OutPoint, Vec<Vec<u8>>)| TxIn {
        previous_output: *previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::from_slice(witness),
    };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: inputs.iter().map(input).collect(),
        output: vec![TxOut { value: Amount::from_sat(sat), script_pubkey: script }],
    }
}
