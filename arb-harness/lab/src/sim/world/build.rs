//! A world before anything has happened: the fundings are confirmed, and every wallet has coins.

use arb_core::JournalIdentity;
use arb_harness::signer::KeySigner;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, Network, OutPoint, TxOut, Txid};

use super::World;
use super::channel::SimChannel;
use super::payment::Preimages;
use super::process::Process;
use super::seen::{Seen, SeenActions};
use super::signer::SimSigner;
use crate::adversary::Adversary;
use crate::chain::{Chain, ChainConfig};
use crate::fixture::ChannelFixture;
use crate::notebook::Notebook;
use crate::peer::{Peer, PeerPlan};
use crate::process::tip;
use crate::sim::checks::unclaimed::Sums;
use crate::sim::counts::Counts;
use crate::sim::plan::belief::Belief;
use crate::sim::plan::conditions::{ADVERSARY_COINS, Conditions};
use crate::sim::plan::economy::{Economy, Focus};
use crate::sim::plan::faults::Faults;
use crate::sim::plan::rng::Rng;
use crate::sim::plan::seeds::{OUR_KEYS, PEERS, bytes_of, setup};
use crate::sim::plan::{ChannelPlan, Plan, START};
use crate::sim::violation::Violation;
use crate::wallet::SmallWallet;

/// The coins of each counterparty: how many, and of how many satoshi.
const PEER_COINS: (u32, u64) = (12, 40_000);
/// Our coins: how many, and of how many satoshi.
const OUR_COINS: (usize, u64) = (24, 60_000);

impl World {
    /// The world of a seed.
    pub(crate) fn new(seed: u64, focus: Option<Focus>, faults: Faults, traced: bool) -> Result<Self, Violation> {
        let mut rng = Rng::new(seed, 1);
        let plan = Plan::draw(&mut rng);
        let economy = Economy::draw(seed, focus);
        let conditions = Conditions::draw(seed, plan.channels.len(), &economy);
        let belief = Belief::draw(seed, focus, &plan);
        let conditions = if belief.is_some() { conditions.calmed() } else { conditions };
        let mut world = Self::build(seed, rng, plan, (conditions, economy), faults, traced)?;
        world.process.manners.belief.clone_from(&belief);
        world.belief = belief;
        Ok(world)
    }

    /// The world of a seed with flat fees, without an adversary, and with channels that are new to the court.
    #[cfg(test)]
    pub(crate) fn fair(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 1);
        let mut plan = Plan::draw(&mut rng);
        plan.channels.iter_mut().for_each(|channel| channel.adopted = (0, 0));
        Self::build(seed, rng, plan, (Conditions::fair(), Economy::fair()), Faults::none(), false).ok().unwrap()
    }

    fn build(
        seed: u64,
        rng: Rng,
        mut plan: Plan,
        (conditions, economy): (Conditions, Economy),
        faults: Faults,
        traced: bool,
    ) -> Result<Self, Violation> {
        conditions.adjust(&mut plan);
        economy.adjust(seed, &mut plan);
        let mut chain = Chain::new(chain_config(&conditions, &economy));
        let mut signer = KeySigner::new(OUR_KEYS.clone());
        let mut channels = Vec::new();
        for (number, (channel, peer)) in (0_u64..).zip(plan.channels.iter().zip(PEERS.iter())) {
            let fixture = ChannelFixture::new(setup(seed, number, channel));
            channels.push(fund(channel, fixture, peer.clone(), &mut chain, &mut signer)?);
        }
        let adversary = conditions.adversary.map(|(channel, tactic)| {
            let adversary = Adversary::new(channels[channel].peer.clone(), tactic, seed);
            for _ in 0..ADVERSARY_COINS.0 {
                chain.mint(adversary.deposit_script(), ADVERSARY_COINS.1);
            }
            (channel, adversary)
        });
        let rich = vec![OUR_COINS.1; OUR_COINS.0];
        let script_pubkey = SmallWallet::new(OUR_KEYS.clone()).deposit_script();
        let coins_sat = economy.poor.as_ref().map_or(&rich, |poor| &poor.coins_sat);
        let coins: Vec<OutPoint> = coins_sat.iter().map(|sat| chain.mint(script_pubkey.clone(), *sat)).collect();
        let refuses = coins.first().copied().filter(|_| economy.poor.as_ref().is_some_and(|poor| poor.is_refused));
        let gone_sat = economy.poor.as_ref().and_then(|poor| poor.gone_sat);
        let gone = gone_sat.map(|sat| {
            let txid = Txid::from_byte_array(bytes_of(seed, "gone", 0));
            (OutPoint::new(txid, 0), TxOut { value: Amount::from_sat(sat), script_pubkey })
        });
        let signer = SimSigner { keys: signer, refuses };
        let whims = economy.poor.as_ref().map(|poor| poor.whims.clone()).unwrap_or_default();
        let (policy, journal) = (plan.policy.clone(), bytes_of(seed, "journal", 0));
        let identity = JournalIdentity { network: NETWORK, journal, tip: tip(&chain), policy };
        Ok(Self {
            rng,
            plan,
            conditions,
            economy,
            belief: None,
            adversary,
            chain,
            channels,
            node: Notebook::default(),
            payments: Vec::new(),
            told: Vec::new(),
            preimages: Preimages::new(seed),
            process: Process::new(identity, signer, gone.into_iter().collect(), faults),
            seen: Seen { actions: SeenActions { whims, ..SeenActions::default() }, ..Seen::default() },
            counts: Counts::new(),
            sums: Sums::default(),
            trace: traced.then(Vec::new),
            steps: 0,
        })
    }
}

const NETWORK: Network = Network::Regtest;

/// What the nodes of a world accept.
fn chain_config(conditions: &Conditions, economy: &Economy) -> ChainConfig {
    let relay_floor_sat_per_kvb = u64::from(conditions.floor_sat_per_kw()) * 4;
    let carve_out = economy.poor.is_none();
    ChainConfig { network: NETWORK, start_height: START, relay_floor_sat_per_kvb, carve_out, ..ChainConfig::default() }
}

/// Confirms the funding of a channel and gives our signer its keys; the counterparty follows the plan.
fn fund(
    plan: &ChannelPlan,
    fixture: ChannelFixture,
    mut peer: Peer,
    chain: &mut Chain,
    signer: &mut KeySigner,
) -> Result<SimChannel, Violation> {
    let setup = fixture.setup();
    signer.add_channel(setup.id, setup.funding, setup.local.clone());
    fixture.plant(chain).map_err(Violation::world)?;
    *peer.plan_mut() = PeerPlan {
        claims: !plan.idle,
        sweeps: !plan.idle,
        patience_blocks: plan.patience_blocks,
        order: plan.cheater.order,
        together: plan.cheater.together,
        ..PeerPlan::default()
    };
    for _ in 0..PEER_COINS.0 {
        chain.mint(peer.wallet().deposit_script(), PEER_COINS.1);
    }
    Ok(SimChannel::new(plan.clone(), fixture, peer))
}
