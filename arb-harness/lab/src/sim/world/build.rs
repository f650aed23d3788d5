//! A world before anything has happened: the fundings are confirmed, and every wallet has coins.

use arb_core::JournalIdentity;
use arb_harness::signer::KeySigner;
use bitcoin::Network;

use super::World;
use super::channel::SimChannel;
use super::payment::Preimages;
use super::process::Process;
use super::seen::Seen;
use crate::adversary::Adversary;
use crate::chain::{Chain, ChainConfig};
use crate::fixture::ChannelFixture;
use crate::notebook::Notebook;
use crate::peer::{Peer, PeerPlan};
use crate::process::tip;
use crate::sim::counts::Counts;
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
const OUR_COINS: (u32, u64) = (24, 60_000);

impl World {
    /// The world of a seed.
    pub(crate) fn new(seed: u64, focus: Option<Focus>, faults: Faults, traced: bool) -> Result<Self, Violation> {
        let mut rng = Rng::new(seed, 1);
        let plan = Plan::draw(&mut rng);
        let economy = Economy::draw(seed, focus);
        let conditions = Conditions::draw(seed, plan.channels.len(), &economy);
        Self::build(seed, rng, plan, (conditions, economy), faults, traced)
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
        let mut chain = Chain::new(chain_config(&conditions));
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
        let deposit = SmallWallet::new(OUR_KEYS.clone()).deposit_script();
        for _ in 0..OUR_COINS.0 {
            chain.mint(deposit.clone(), OUR_COINS.1);
        }
        let (policy, journal) = (plan.policy.clone(), bytes_of(seed, "journal", 0));
        let identity = JournalIdentity { network: NETWORK, journal, tip: tip(&chain), policy };
        Ok(Self {
            rng,
            plan,
            conditions,
            economy,
            adversary,
            chain,
            channels,
            node: Notebook::default(),
            payments: Vec::new(),
            preimages: Preimages::new(seed),
            process: Process::new(identity, signer, faults),
            seen: Seen::default(),
            counts: Counts::new(),
            trace: traced.then(Vec::new),
            steps: 0,
        })
    }
}

const NETWORK: Network = Network::Regtest;

/// What the nodes of a world accept.
fn chain_config(conditions: &Conditions) -> ChainConfig {
    let relay_floor_sat_per_kvb = u64::from(conditions.floor_sat_per_kw()) * 4;
    ChainConfig { network: NETWORK, start_height: START, relay_floor_sat_per_kvb, ..ChainConfig::default() }
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
