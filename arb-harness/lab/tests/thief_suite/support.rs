//! A court, channels in it, blocks, and what is due.

use arb_core::bolt3::{ChannelType, PaymentHash, Preimage};
use arb_core::{
    Action, ActionId, Block, ChainArbitrator, ChannelArbitrator, ChannelId, Event, Freshness, Heard, Height, Htlc,
    HtlcKey, HtlcRef, JournalIdentity, Link, Log, Pending, Policy, Rejected, Scanned, Standing, Started, Tip,
};
use arb_lab::fixture::{ChannelFixture, ChannelSetup, CommitmentState};
use arb_lab::process::all_told;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network, Transaction, Txid};

pub const START: u32 = 100;
pub const CAPACITY_SAT: u64 = 10_000_000;

/// A log that keeps nothing.
pub struct DiscardingLog;

impl Log for DiscardingLog {
    type Error = core::convert::Infallible;

    fn append(&mut self, _: &Pending<'_>) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// Hears one event in a step of its own.
pub fn try_hear(court: &mut ChainArbitrator, event: &Event) -> Result<Heard, Rejected> {
    let mut step = court.step();
    let heard = step.hear(event)?;
    step.commit(&mut DiscardingLog).unwrap();
    Ok(heard)
}

#[track_caller]
pub fn hear(court: &mut ChainArbitrator, event: &Event) {
    assert_eq!(try_hear(court, event), Ok(Heard::Accepted), "{event:?}");
}

pub fn identity() -> JournalIdentity {
    let tip = Tip { height: Height::new(START), hash: block_hash(START) };
    JournalIdentity { network: Network::Regtest, journal: [1; 32], tip, policy: Policy::default() }
}

pub fn started(freshness: Freshness, best_height: u32) -> Event {
    Event::Started(Started {
        build: String::from("attack test"),
        freshness,
        best_height: Height::new(best_height),
        run: 0,
    })
}

pub fn court() -> ChainArbitrator {
    let mut court = ChainArbitrator::new();
    hear(&mut court, &Event::JournalOpened(identity()));
    hear(&mut court, &started(Freshness::Trusted, START));
    hear(&mut court, &all_told());
    court
}

fn block_hash(height: u32) -> BlockHash {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&height.to_le_bytes());
    BlockHash::from_byte_array(bytes)
}

pub fn block(height: u32, best_height: u32, txs: Vec<Transaction>) -> Event {
    Event::BlockConnected(Box::new(Block {
        height: Height::new(height),
        hash: block_hash(height),
        parent: block_hash(height - 1),
        best_height: Height::new(best_height),
        txs,
    }))
}

/// Hears empty blocks up to and including this height; each is the best known one.
pub fn blocks_to(court: &mut ChainArbitrator, height: u32) {
    for height in court.tip().height.get() + 1..=height {
        hear(court, &block(height, height, Vec::new()));
    }
}

pub fn fixture(number: u32) -> ChannelFixture {
    let setup = ChannelSetup::from_seed(&[9; 32], number, ChannelType::AnchorsZeroFeeHtlcTx, CAPACITY_SAT);
    ChannelFixture::new(setup)
}

pub fn preimage(number: u8) -> Preimage {
    Preimage([number; 32])
}

pub fn hash(number: u8) -> PaymentHash {
    preimage(number).hash()
}

pub fn received(id: u64, amount_sat: u64, expiry: u32, secret: u8) -> Htlc {
    Htlc {
        key: HtlcRef::received(id),
        amount_msat: amount_sat * 1000,
        payment_hash: hash(secret),
        cltv_expiry: Height::new(expiry),
        link: Link::Received,
        tag: Vec::new(),
    }
}

pub fn offered(id: u64, amount_sat: u64, expiry: u32, secret: u8) -> Htlc {
    Htlc { key: HtlcRef::offered(id), link: Link::Own, ..received(id, amount_sat, expiry, secret) }
}

pub fn state(htlcs: Vec<Htlc>) -> CommitmentState {
    let sum = |ours: bool| -> u64 {
        htlcs.iter().filter(|htlc| htlc.key.is_offered() == ours).map(|htlc| htlc.amount_msat).sum()
    };
    let half_msat = CAPACITY_SAT * 500;
    CommitmentState {
        local_msat: half_msat - sum(true),
        remote_msat: half_msat - sum(false),
        feerate_sat_per_kw: 253,
        htlcs,
    }
}

pub fn scanned(fixture: &ChannelFixture, parent: Txid, through: u32) -> Event {
    let (channel, through) = (fixture.id(), Tip { height: Height::new(through), hash: block_hash(through) });
    Event::Scanned(Box::new(Scanned { channel, parent, through, confirmed: None, spends: Vec::new() }))
}

/// Opens a channel with these HTLCs on both first commitments; its funding output is searched and unspent.
pub fn open(court: &mut ChainArbitrator, fixture: &mut ChannelFixture, htlcs: Vec<Htlc>) {
    let state = state(htlcs);
    let tip = court.tip().height.get();
    hear(court, &fixture.opened(Standing::default()));
    hear(court, &fixture.adopted());
    hear(court, &scanned(fixture, fixture.setup().funding.txid, tip));
    hear(court, &fixture.local_signed(0, state.clone()).unwrap());
    hear(court, &fixture.remote_signed(0, state).unwrap());
}

/// The request for fee inputs that is due in a channel: its id and the amount in sat.
pub fn asked(court: &ChainArbitrator, of: ChannelId) -> Option<(ActionId, u64)> {
    court.actions_due().into_iter().find_map(|action| {
        let Action::RequestFeeInputs { id, channel, amount_sat, .. } = action else { return None };
        (channel == of).then_some((id, amount_sat))
    })
}

pub fn learned(fixture: &ChannelFixture, htlc: HtlcRef, secret: u8) -> Event {
    let key = HtlcKey { channel: fixture.id(), htlc };
    Event::PreimageLearned { preimage: preimage(secret), usable_for: vec![key] }
}

pub fn channel<'a>(court: &'a ChainArbitrator, fixture: &ChannelFixture) -> &'a ChannelArbitrator {
    court.channel(court.index_of(&fixture.id()).unwrap()).unwrap()
}

/// The transactions whose `Sign` request is due.
pub fn to_sign(court: &ChainArbitrator) -> Vec<Transaction> {
    let sign = |action| if let Action::Sign(request) = action { Some(request.tx) } else { None };
    court.actions_due().into_iter().filter_map(sign).collect()
}
