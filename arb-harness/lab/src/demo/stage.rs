//! One scenario with its chain, counterparty and node, and a process that dies after every append but that of its start.
//!
//! What happens next depends on the chain and on the court alone, not on what this run of the program has done. So a
//! scenario that was killed goes on where it was.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::bolt3::ChannelType;
use arb_core::{
    ChainArbitrator, CloseReason, ContractId, Event, Height, HtlcKey, HtlcRef, JournalIdentity, Policy, Side,
    StageRecord,
};
use arb_harness::keys::WalletKeys;
use arb_harness::node::Node;
use arb_harness::signer::{KeySigner, Signer};
use arb_log::{JournalError, Storage};
use bitcoin::{Network, OutPoint, ScriptBuf, Transaction};

use super::{ClosedBy, Preimages, Scenario};
use crate::chain::{Chain, ChainConfig, flat_fees};
use crate::fixture::{ChannelFixture, Close, CommitmentState, FixtureError};
use crate::notebook::Notebook;
use crate::peer::{Peer, PeerPlan, Publish, Withheld};
use crate::process::{Process, Surroundings, journal_id, tip};
use crate::wallet::SmallWallet;

/// The height at which the chain begins.
pub const START: u32 = 450;
/// The tip height at which the close begins.
const CLOSE: u32 = 454;
/// The same for a cheating peer without preimages: the HTLCs that it offered have expired.
const LATE_CLOSE: u32 = 505;
/// After how many blocks a reorg disconnects the first commitment of a reorg scenario.
const REORG_BLOCKS: u32 = 5;
/// The tip height at which late preimages become known.
const LATE: u32 = 480;
/// The most blocks at a time while nothing happens: after more, an estimate would be stale.
const IDLE_BLOCKS: usize = 5;
/// The height at which the operator gives up what is hardly worth any feerate and waits for a lower one.
const GIVES_UP: u32 = 1000;
/// The most that it gives up, in satoshi: both stages of an HTLC cost about as much at 5 sat/vB, with a dust limit.
const GIVEN_UP_SAT: u64 = 2_300;
/// The height at which a scenario must have ended.
const END: u32 = 1200;

/// What the counterparty pays us in the commitment after the one that it revokes (msat).
const PAID_MSAT: u64 = 1_000_000_000;
/// The HTLCs whose claims are left out of blocks: one that the counterparty has the preimage of, and one that it offered.
pub const WITHHELD: [HtlcRef; 2] = [HtlcRef::offered(3), HtlcRef::received(1)];

const WALLET_SEED: [u8; 32] = [0x61; 32];
const PEER_WALLET_SEED: [u8; 32] = [0x62; 32];

/// Why a scenario could not be played to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError<E> {
    /// The journal failed.
    #[error("the journal: {0}")]
    Journal(#[from] JournalError<E>),
    /// The fixture could not build a transaction.
    #[error("the fixture: {0}")]
    Fixture(#[from] FixtureError),
    /// The chain refused a transaction or a block of the scenario.
    #[error("the chain refused a transaction: {0}")]
    Chain(#[from] crate::chain::Reject),
    /// The chain's file failed.
    #[error("the chain's file: {0}")]
    File(String),
    /// The channel is not resolved at the last height.
    #[error("the channel is not resolved at height {END}")]
    Endless,
}

/// Everything in a scenario except the process.
pub struct Stage<F> {
    /// The scenario that is played.
    pub scenario: Scenario,
    /// The chain, in memory or saved to a file.
    pub chain: Chain,
    /// The channel with the keys and commitments of both sides.
    pub fixture: ChannelFixture,
    /// The node, which survives the process.
    pub node: Notebook,
    peer: Peer,
    keys: WalletKeys,
    open: F,
    /// Blocks that were mined by this run of the program.
    pub blocks: u32,
    /// Reorgs that this run of the program caused.
    pub reorgs: u32,
}

impl<S, F> Surroundings for Stage<F>
where
    S: Storage,
    F: FnMut() -> Result<S, JournalError<S::Error>>,
{
    type Storage = S;

    fn storage(&mut self) -> Result<S, JournalError<S::Error>> {
        (self.open)()
    }

    fn parts(&mut self) -> (&mut Chain, Box<dyn Signer>, SmallWallet, &mut dyn Node) {
        let setup = self.fixture.setup();
        let mut signer = KeySigner::new(self.keys.clone());
        signer.add_channel(setup.id, setup.funding, setup.local.clone());
        let wallet = SmallWallet::new(self.keys.clone());
        (&mut self.chain, Box::new(signer), wallet, &mut self.node)
    }

    fn chain(&self) -> &Chain {
        &self.chain
    }
}

/// The configuration of a scenario's chain.
pub fn chain_config() -> ChainConfig {
    ChainConfig {
        network: Network::Regtest,
        start_height: START,
        relay_floor_sat_per_kvb: 1000,
        ..ChainConfig::default()
    }
}

impl<S, F> Stage<F>
where
    S: Storage,
    F: FnMut() -> Result<S, JournalError<S::Error>>,
{
    /// Sets a scenario up on a chain, new or saved, with a way to open its storage.
    ///
    /// # Errors
    /// The error of the fixture, or of the chain if it refuses the funding.
    pub fn new(scenario: Scenario, mut chain: Chain, open: F) -> Result<Self, StageError<S::Error>> {
        let mut fixture = ChannelFixture::bolt3(scenario.channel_type);
        let keys = WalletKeys::from_seed(&WALLET_SEED);
        let wallet = SmallWallet::new(keys.clone());
        let peer_wallet = SmallWallet::from_seed(&PEER_WALLET_SEED);
        if chain.utxo(&fixture.setup().funding).is_none() && chain.spender_of(&fixture.setup().funding).is_none() {
            fixture.plant(&mut chain)?;
            for _ in 0..8 {
                chain.mint(wallet.deposit_script(), 20_000);
                chain.mint(peer_wallet.deposit_script(), 20_000);
            }
        }
        sign_states(scenario, &mut fixture, &chain)?;
        let peer = Peer::new(PeerPlan::default(), &PEER_WALLET_SEED);
        let mut stage =
            Self { scenario, chain, fixture, node: Notebook::default(), peer, keys, open, blocks: 0, reorgs: 0 };
        *stage.peer.plan_mut() = stage.peer_plan()?;
        Ok(stage)
    }

    /// The estimate for every target is the relay floor, all the time.
    fn fees(&self) -> Event {
        let floor = floor_sat_per_kw(&self.chain);
        flat_fees(floor, floor)
    }

    /// The journal's identity.
    pub fn identity(&self) -> JournalIdentity {
        let id = self.fixture.id();
        let first = self.chain.block_at(START).map_or_else(|| tip(&self.chain).hash, |block| block.hash);
        JournalIdentity {
            network: Network::Regtest,
            journal: journal_id(&id, &self.scenario.name()),
            tip: arb_core::Tip { height: Height::new(START), hash: first },
            policy: Policy::default(),
        }
    }

    /// Plays until the channel is resolved and gone. `watch` is called after every turn with the tip's height and the
    /// number of frames appended so far.
    ///
    /// # Errors
    /// The first error of journal, chain or fixture, or that the scenario does not end.
    pub fn play(&mut self, process: &mut Process, mut watch: impl FnMut(u32, u64)) -> Result<(), StageError<S::Error>> {
        process.blocks_a_step = IDLE_BLOCKS + 1;
        let mut stopped = process.run(self)?;
        let opened = stopped.court.index_of(&self.fixture.id()).is_some() || stopped.court.has_had_channels();
        if !opened {
            process.inbox = self.setup()?;
            stopped = process.run(self)?;
        }
        while stopped.court.index_of(&self.fixture.id()).is_some() {
            if self.chain.tip().0 >= END {
                return Err(StageError::Endless);
            }
            self.advance(&stopped.court)?;
            process.first = vec![self.fees()];
            process.inbox = self.news(&stopped.court);
            stopped = process.run(self)?;
            if let Some(failure) = self.chain.disk_failure() {
                return Err(StageError::File(failure.to_string()));
            }
            watch(self.chain.tip().0, process.appends);
        }
        Ok(())
    }

    /// The events that the node tells the court first: the channel as it stands.
    fn setup(&self) -> Result<Vec<Event>, StageError<S::Error>> {
        let number = ChannelFixture::BOLT3_NUMBER;
        let mut fixture = ChannelFixture::bolt3(self.scenario.channel_type);
        let state = state(self.scenario.channel_type, &self.chain);
        let mut events = vec![
            self.fees(),
            fixture.opened(fixture.standing(number, number)?),
            fixture.adopted(),
            fixture.local_signed(number, state.clone())?,
            fixture.remote_signed(number, state.clone())?,
        ];
        match self.scenario.closed_by {
            ClosedBy::Pending => events.push(fixture.remote_signed(number + 1, state)?),
            ClosedBy::Mutual => {
                let empty = without_htlcs(state);
                events.push(fixture.remote_signed(number + 1, empty.clone())?);
                events.push(fixture.remote_revoked(number)?);
                events.push(fixture.local_signed(number + 1, empty)?);
                events.push(fixture.mutual_close(self.mutual())?.event);
            }
            ClosedBy::Revoked => {
                let newer = newer(state);
                events.push(fixture.remote_signed(number + 1, newer.clone())?);
                events.push(fixture.remote_revoked(number)?);
                events.push(fixture.local_signed(number + 1, newer)?);
            }
            ClosedBy::Ours | ClosedBy::Theirs | ClosedBy::Unknown => {}
        }
        if self.scenario.preimages == Preimages::Known {
            events.extend(self.preimages());
        }
        Ok(events)
    }

    /// The events that the node tells the court now.
    fn news(&self, court: &ChainArbitrator) -> Vec<Event> {
        let id = self.fixture.id();
        let Some(channel) = court.index_of(&id).and_then(|index| court.channel(index)) else { return Vec::new() };
        let height = self.chain.tip().0;
        let mut events = Vec::new();
        let is_ours = self.scenario.closed_by == ClosedBy::Ours || self.scenario.first_commitment().0 == Side::Local;
        if is_ours && height >= self.close() && channel.frozen().is_none() {
            events.push(Event::CloseRequested { channel: id, why: CloseReason::Operator });
        }
        if self.scenario.preimages == Preimages::Late && height >= LATE {
            let missing = channel.htlcs().any(|htlc| !htlc.key.is_offered() && channel.usable(htlc.key).is_none());
            if missing {
                events.extend(self.preimages());
            }
        }
        if height >= GIVES_UP {
            events.extend(self.abandoned(court));
        }
        events
    }

    /// Gives up the small outputs that wait for a lower feerate: on this chain there is none.
    fn abandoned(&self, court: &ChainArbitrator) -> Vec<Event> {
        let id = self.fixture.id();
        let docket = court.index_of(&id).and_then(|index| court.docket(index));
        let contracts = docket.map(|docket| docket.contracts).unwrap_or_default().into_iter();
        let small = contracts
            .filter(|contract| contract.amount_sat <= GIVEN_UP_SAT && contract.stage == StageRecord::ClaimWanted);
        let outputs = small.filter_map(|contract| match contract.id {
            ContractId::Output(output) => Some(output),
            ContractId::NoOutput(_) => None,
        });
        let next = |output| {
            // Our HTLC transaction has the output at the input's own index (BOLT 3).
            let spent = self.chain.spender_of(&output);
            let second = spent.and_then(|(_, txid, input)| Some(OutPoint::new(txid, u32::try_from(input).ok()?)));
            Event::ClaimAbandoned { channel: id, outpoint: second.unwrap_or(output) }
        };
        outputs.map(next).collect()
    }

    fn preimages(&self) -> Vec<Event> {
        let received = ChannelFixture::bolt3_preimages().into_iter().filter(|(htlc, _)| !htlc.is_offered());
        let key = |htlc| HtlcKey { channel: self.fixture.id(), htlc };
        received.map(|(htlc, preimage)| Event::PreimageLearned { preimage, usable_for: vec![key(htlc)] }).collect()
    }

    /// The tip height from which on the court could claim a received HTLC with its preimage.
    pub fn usable_since(&self) -> BTreeMap<HtlcRef, u32> {
        let since = match self.scenario.preimages {
            Preimages::Known => START,
            Preimages::Late => LATE,
            Preimages::Never | Preimages::None => return BTreeMap::new(),
        };
        ChannelFixture::bolt3_preimages()
            .into_keys()
            .filter(|htlc| !htlc.is_offered())
            .map(|htlc| (htlc, since))
            .collect()
    }

    /// Every script of our wallet.
    pub fn ours(&self) -> BTreeSet<ScriptBuf> {
        let mut ours = SmallWallet::new(self.keys.clone()).scripts();
        ours.insert(self.fixture.setup().fallback_script.clone());
        ours
    }

    fn peer_plan(&self) -> Result<PeerPlan, StageError<S::Error>> {
        let number = ChannelFixture::BOLT3_NUMBER;
        let publishes = match self.scenario.closed_by {
            // In a reorg scenario the miner decides which commitment confirms.
            _ if self.scenario.reorg => None,
            ClosedBy::Ours => None,
            ClosedBy::Theirs | ClosedBy::Revoked => Some(Publish::Commitment(number)),
            ClosedBy::Pending | ClosedBy::Unknown => Some(Publish::Commitment(number + 1)),
            ClosedBy::Mutual => Some(Publish::Transaction(self.fixture.mutual_close(self.mutual())?.tx)),
        };
        let since = match self.scenario.preimages {
            Preimages::Known => Some(0),
            Preimages::Late => Some(LATE),
            Preimages::Never | Preimages::None => None,
        };
        let offered = ChannelFixture::bolt3_preimages().into_iter().filter(|(htlc, _)| htlc.is_offered());
        let preimages = offered.filter_map(|(_, preimage)| Some((preimage, since?))).collect();
        Ok(PeerPlan { publishes: publishes.map(|what| (self.close(), what)), preimages, ..PeerPlan::default() })
    }

    fn mutual(&self) -> Close {
        let wallet = SmallWallet::new(self.keys.clone());
        let peer = SmallWallet::from_seed(&PEER_WALLET_SEED);
        // It replaces a commitment of ours, also where that pays the relay floor.
        let fee_sat = 1_000.max(u64::from(floor_sat_per_kw(&self.chain)).saturating_mul(8) / 5);
        Close {
            local_sat: 6_990_000 - fee_sat,
            local_script: wallet.deposit_script(),
            remote_sat: 3_010_000,
            remote_script: peer.deposit_script(),
        }
    }

    /// Lets the counterparty act, and mines one or more blocks.
    fn advance(&mut self, court: &ChainArbitrator) -> Result<(), StageError<S::Error>> {
        let height = self.chain.tip().0;
        if self.scenario.reorg && self.swap(height)? {
            return Ok(());
        }
        for tx in self.peer.act(&self.fixture, &self.chain)? {
            // A transaction that is refused now is submitted again before the next block.
            let _not_now = self.chain.submit(tx).err();
        }
        let eventful = height <= LATE.max(self.close() + REORG_BLOCKS);
        let busy = self.chain.mempool().next().is_some() || owes_broadcast(court) || eventful;
        for _ in 0..if busy { 1 } else { IDLE_BLOCKS } {
            match self.withheld()? {
                None => self.chain.mine(),
                Some(withheld) => {
                    let template = self.peer.template(&[&self.fixture], &self.chain, &withheld)?;
                    self.chain.mine_template(template)?
                }
            };
            self.blocks += 1;
        }
        Ok(())
    }

    /// What the miner of the next block leaves out; `None` if the miner is neutral. The counterparty mines the block after
    /// a revoked commitment, so it gets first what it can claim at once.
    fn withheld(&self) -> Result<Option<Withheld>, StageError<S::Error>> {
        if self.scenario.closed_by != ClosedBy::Revoked {
            return Ok(None);
        }
        let revoked = self.fixture.commitment(Side::Remote, ChannelFixture::BOLT3_NUMBER)?;
        let Some((height, _)) = self.chain.confirmed(&revoked.built.txid) else { return Ok(None) };
        if self.chain.tip().0 == height {
            return Ok(Some(Withheld::Everything));
        }
        if !self.scenario.withheld {
            return Ok(None);
        }
        let mut outputs = BTreeSet::new();
        for (index, htlc) in revoked.htlcs.iter().enumerate() {
            if WITHHELD.contains(&htlc.key) {
                outputs.insert(revoked.htlc_output(index)?.0);
            }
        }
        Ok(Some(Withheld::Of(outputs)))
    }

    /// The tip height at which the close begins.
    fn close(&self) -> u32 {
        match (self.scenario.closed_by, self.scenario.preimages) {
            (ClosedBy::Revoked, Preimages::Never) => LATE_CLOSE,
            _ => CLOSE,
        }
    }

    /// In a reorg scenario, confirms the first commitment and replaces it five blocks later. True if this turn did either.
    fn swap(&mut self, height: u32) -> Result<bool, StageError<S::Error>> {
        let spent = self.chain.spender_of(&self.fixture.setup().funding).is_some();
        let swapped = self.chain.highest() > height;
        if spent && !swapped && height == self.close() + REORG_BLOCKS {
            let first = self.scenario.first_commitment();
            let first = self.fixture.commitment(first.0, first.1)?.built.txid;
            let was_first = self.chain.confirmed(&first).is_some();
            if was_first {
                self.chain.reorg_drop(REORG_BLOCKS);
                self.chain.clear_mempool();
                self.reorgs += 1;
                return self.swap(self.close());
            }
        }
        if !spent && height >= self.close() {
            let tx = if swapped { self.last_transaction()? } else { self.first_transaction()? };
            self.chain.mine_txs(vec![tx])?;
            self.blocks += 1;
            return Ok(true);
        }
        Ok(false)
    }

    fn first_transaction(&self) -> Result<Transaction, StageError<S::Error>> {
        let (side, number) = self.scenario.first_commitment();
        Ok(self.fixture.commitment_tx(side, number)?)
    }

    fn last_transaction(&self) -> Result<Transaction, StageError<S::Error>> {
        Ok(match self.scenario.last_commitment() {
            Some((side, number)) => self.fixture.commitment_tx(side, number)?,
            None => self.fixture.mutual_close(self.mutual())?.tx,
        })
    }
}

/// The relay floor of a chain, in satoshi per kiloweight.
fn floor_sat_per_kw(chain: &Chain) -> u32 {
    u32::try_from(chain.config().relay_floor_sat_per_kvb.div_ceil(4)).unwrap_or(u32::MAX)
}

/// The published commitment. Where it would be below the chain's relay floor, it pays a little more than that, as after an
/// `update_fee`: no node relays less, and without anchors nobody could hurry it.
fn state(channel_type: ChannelType, chain: &Chain) -> CommitmentState {
    let mut state = ChannelFixture::bolt3_state(channel_type);
    let floor = floor_sat_per_kw(chain);
    if state.feerate_sat_per_kw < floor {
        state.feerate_sat_per_kw = floor.saturating_add(floor / 20);
    }
    state
}

/// Signs everything that is ever signed in a scenario, also what our side does not know.
fn sign_states<E>(scenario: Scenario, fixture: &mut ChannelFixture, chain: &Chain) -> Result<(), StageError<E>> {
    let number = ChannelFixture::BOLT3_NUMBER;
    let state = state(scenario.channel_type, chain);
    fixture.local_signed(number, state.clone())?;
    fixture.remote_signed(number, state.clone())?;
    match scenario.closed_by {
        ClosedBy::Pending => {
            fixture.remote_signed(number + 1, state)?;
        }
        ClosedBy::Unknown => fixture.sign_unheard(Side::Remote, number + 1, state),
        ClosedBy::Revoked => {
            fixture.remote_signed(number + 1, newer(state.clone()))?;
            fixture.local_signed(number + 1, newer(state))?;
        }
        ClosedBy::Mutual => {
            fixture.remote_signed(number + 1, without_htlcs(state.clone()))?;
            fixture.local_signed(number + 1, without_htlcs(state))?;
        }
        ClosedBy::Ours | ClosedBy::Theirs => {}
    }
    Ok(())
}

/// The state after the one that will be revoked: the counterparty has paid us, and every HTLC is still there.
fn newer(mut state: CommitmentState) -> CommitmentState {
    state.local_msat += PAID_MSAT;
    state.remote_msat -= PAID_MSAT;
    state
}

/// The state after every HTLC was settled: received ones are part of our balance, offered ones of theirs.
fn without_htlcs(mut state: CommitmentState) -> CommitmentState {
    for htlc in core::mem::take(&mut state.htlcs) {
        if htlc.key.is_offered() {
            state.remote_msat += htlc.amount_msat;
        } else {
            state.local_msat += htlc.amount_msat;
        }
    }
    state
}

/// Whether the court has a transaction to sign or to broadcast.
fn owes_broadcast(court: &ChainArbitrator) -> bool {
    court
        .actions_due()
        .iter()
        .any(|action| matches!(action, arb_core::Action::Broadcast { .. } | arb_core::Action::Sign(_)))
}
