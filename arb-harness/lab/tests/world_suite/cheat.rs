//! The simulated peer with a revoked commitment: the order of its claims, several HTLCs in one transaction over one channel or
//! two (B42), and a miner that includes its claims and withholds ours. The chain's script checks accept all of it.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::bolt3::{ChannelType, Preimage};
use arb_core::{Height, Htlc, HtlcRef, Link, Side};
use arb_harness::keys::WalletKeys;
use arb_harness::wallet::Wallet;
use arb_lab::chain::{Chain, ChainConfig, Reject};
use arb_lab::fixture::{ChannelFixture, ChannelSetup, Commitment, CommitmentState};
use arb_lab::peer::{ASIDE_SAT, Claimant, Order, Peer, PeerPlan, Piece, Publish, Rates, Withheld, aggregate};
use bitcoin::{OutPoint, Transaction};

use crate::support::{START, TYPES};

const ANCHORS: ChannelType = ChannelType::AnchorsZeroFeeHtlcTx;
const EXPIRY: u32 = START + 10;
const DELAY: u16 = 12;
/// Height at which every HTLC has expired and every delay has passed.
const END: u32 = EXPIRY + 40;
/// Number of the revoked commitment.
const REVOKED: u64 = 3;

fn preimage(id: u64) -> Preimage {
    Preimage([u8::try_from(id).unwrap() + 1; 32])
}

fn htlc(key: HtlcRef, expiry: u32) -> Htlc {
    Htlc {
        key,
        amount_msat: (30_000 + key.id * 1_000) * 1_000,
        payment_hash: preimage(key.id).hash(),
        cltv_expiry: Height::new(expiry),
        link: if key.is_offered() { Link::Own } else { Link::Received },
        tag: Vec::new(),
    }
}

/// A channel with two HTLCs in each direction on the counterparty's revoked commitment; HTLC ids differ between channels.
fn channel(number: u32, channel_type: ChannelType) -> ChannelFixture {
    let mut setup = ChannelSetup::from_seed(&[0x41; 32], number, channel_type, 1_000_000);
    setup.remote_delay_blocks = DELAY;
    let mut fixture = ChannelFixture::new(setup);
    let id = u64::from(number) * 10;
    let htlcs = vec![
        htlc(HtlcRef::offered(id), EXPIRY),
        htlc(HtlcRef::offered(id + 1), EXPIRY + 1),
        htlc(HtlcRef::received(id + 2), EXPIRY),
        htlc(HtlcRef::received(id + 3), EXPIRY),
    ];
    let state = |htlcs: Vec<Htlc>| CommitmentState {
        local_msat: 400_000_000,
        remote_msat: 600_000_000 - htlcs.iter().map(|htlc| htlc.amount_msat).sum::<u64>(),
        feerate_sat_per_kw: 253,
        htlcs,
    };
    fixture.sign_unheard(Side::Remote, REVOKED, state(htlcs));
    fixture.sign_unheard(Side::Remote, REVOKED + 1, state(Vec::new()));
    fixture
}

fn chain_with(fixtures: &[&ChannelFixture]) -> Chain {
    let mut chain = Chain::new(ChainConfig { start_height: START, ..ChainConfig::default() });
    fixtures.iter().for_each(|fixture| fixture.plant(&mut chain).unwrap());
    chain
}

/// A counterparty that publishes the revoked commitment in the first block and knows every preimage.
fn cheating_peer(chain: &mut Chain, plan: PeerPlan) -> Peer {
    let publishes = Some((START, Publish::Commitment(REVOKED)));
    let preimages = (0..40).map(|id| (preimage(id), 0)).collect();
    let peer = Peer::new(PeerPlan { publishes, preimages, ..plan }, &[0xee; 32]);
    for _ in 0..8 {
        chain.mint(peer.wallet().deposit_script(), 20_000);
    }
    peer
}

/// A plan that claims several HTLCs in one transaction.
fn together() -> PeerPlan {
    PeerPlan { together: true, ..PeerPlan::default() }
}

/// Runs blocks up to a height. Panics if a transaction is refused, or if acting again gives another result.
fn blocks(peer: &mut Peer, fixtures: &[&ChannelFixture], chain: &mut Chain, until: u32) {
    while chain.tip().0 < until {
        let txs = peer.act_on(fixtures, chain).unwrap();
        assert_eq!(peer.act_on(fixtures, chain).unwrap(), txs);
        for tx in txs {
            chain.submit(tx.clone()).unwrap_or_else(|why| panic!("{why}: {tx:#?}"));
        }
        assert_eq!(peer.act_on(fixtures, chain).unwrap(), [], "a transaction in the mempool is given again");
        chain.mine();
    }
}

fn revoked(fixture: &ChannelFixture) -> Commitment {
    fixture.commitment(Side::Remote, REVOKED).unwrap()
}

fn output_of(fixture: &ChannelFixture, key: HtlcRef) -> OutPoint {
    let commitment = revoked(fixture);
    let index = commitment.htlcs.iter().position(|htlc| htlc.key == key).unwrap();
    commitment.htlc_output(index).unwrap().0
}

/// The confirmed spend of each HTLC of a channel: height, transaction, and index of the input.
fn spends(fixture: &ChannelFixture, chain: &Chain) -> BTreeMap<HtlcRef, (u32, Transaction, usize)> {
    let of = |htlc: &Htlc| {
        let (height, txid, input) = chain.spender_of(&output_of(fixture, htlc.key))?;
        Some((htlc.key, (height, chain.confirmed(&txid).unwrap().1.clone(), input)))
    };
    revoked(fixture).htlcs.iter().filter_map(of).collect()
}

/// The order in which HTLCs were spent: heights, each with the HTLCs of that block.
fn order(fixture: &ChannelFixture, chain: &Chain) -> Vec<(u32, Vec<HtlcRef>)> {
    let mut order: BTreeMap<u32, Vec<HtlcRef>> = BTreeMap::new();
    for (key, (height, ..)) in spends(fixture, chain) {
        order.entry(height).or_default().push(key);
    }
    order.into_iter().collect()
}

/// Panics unless everything below the HTLC outputs ends in the peer's wallet.
fn assert_takes_everything(fixture: &ChannelFixture, peer: &Peer, chain: &Chain) {
    let stop = peer.wallet().scripts();
    for key in revoked(fixture).htlcs.iter().map(|htlc| htlc.key) {
        let flows = chain.descendants_until(output_of(fixture, key), &stop);
        let left = |flow: &&arb_lab::chain::Flow| flow.spender.is_none() && !stop.contains(&flow.script_pubkey);
        assert!(!flows.is_empty(), "{key} is unspent");
        assert_eq!(flows.iter().find(left), None, "below {key}");
    }
}

/// Panics unless the transaction has a foreign coin and a payment first, each HTLC's output at the index of its input, and
/// change last.
fn assert_aggregated(chain: &Chain, tx: &Transaction, htlcs: usize) {
    let from_a_channel = |place: usize| {
        chain.confirmed(&tx.input[place].previous_output.txid).unwrap().1.input.len() == 1
            && tx.input[place].witness.len() == 5
    };
    assert!(!from_a_channel(0), "the first input must be a coin");
    assert_eq!(tx.output[0].value.to_sat(), ASIDE_SAT);
    for place in 1..=htlcs {
        assert!(from_a_channel(place));
        let spent = tx.input[place].previous_output;
        let value = chain.confirmed(&spent.txid).unwrap().1.output[usize::try_from(spent.vout).unwrap()].value;
        assert_eq!(tx.output[place].value, value, "zero fee: the pair has the HTLC's value");
    }
    assert_eq!((tx.input.len(), tx.output.len()), (htlcs + 1, htlcs + 2));
}

#[test]
fn several_htlcs_go_together_where_type_and_lock_time_allow_it() {
    for channel_type in TYPES {
        let fixture = channel(1, channel_type);
        let mut chain = chain_with(&[&fixture]);
        let mut peer = cheating_peer(&mut chain, together());
        blocks(&mut peer, &[&fixture], &mut chain, END);
        assert_takes_everything(&fixture, &peer, &chain);
        let mut transactions: BTreeMap<_, Vec<HtlcRef>> = BTreeMap::new();
        for (key, (height, tx, _)) in spends(&fixture, &chain) {
            transactions.entry((height, tx.compute_txid())).or_default().push(key);
        }
        let together: Vec<Vec<HtlcRef>> = transactions.values().cloned().collect();
        if channel_type == ANCHORS {
            let pairs = [HtlcRef::offered, HtlcRef::received];
            assert_eq!(together, [[pairs[0](10), pairs[0](11)], [pairs[1](12), pairs[1](13)]]);
            for (_, txid) in transactions.keys() {
                assert_aggregated(&chain, chain.confirmed(txid).unwrap().1, 2);
            }
        } else {
            // SIGHASH_ALL: our signature covers the whole transaction, so each HTLC needs one of its own.
            assert_eq!(together.len(), 4);
        }
    }
}

#[test]
fn one_transaction_takes_htlcs_of_two_channels() {
    let fixtures = [channel(1, ANCHORS), channel(2, ANCHORS)];
    let fixtures: Vec<&ChannelFixture> = fixtures.iter().collect();
    let mut chain = chain_with(&fixtures);
    let mut peer = cheating_peer(&mut chain, together());
    blocks(&mut peer, &fixtures, &mut chain, END);
    let spenders = |offered: bool| {
        let all = fixtures.iter().flat_map(|fixture| spends(fixture, &chain));
        let all =
            all.filter(|(key, _)| key.is_offered() == offered).map(|(_, (_, tx, input))| (tx.compute_txid(), input));
        let (txids, inputs): (BTreeSet<_>, Vec<usize>) = all.unzip();
        assert_eq!(inputs.len(), 4);
        txids
    };
    for spenders in [spenders(true), spenders(false)] {
        let [txid] = spenders.into_iter().collect::<Vec<_>>().try_into().expect("one transaction for both channels");
        assert_aggregated(&chain, chain.confirmed(&txid).unwrap().1, 4);
    }
    fixtures.iter().for_each(|fixture| assert_takes_everything(fixture, &peer, &chain));
}

#[test]
fn a_pair_under_another_number_is_refused() {
    let fixture = channel(1, ANCHORS);
    let mut chain = chain_with(&[&fixture]);
    let mut peer = cheating_peer(&mut chain, together());
    blocks(&mut peer, &[&fixture], &mut chain, START + 1);
    let mut tx = peer.act(&fixture, &chain).unwrap().pop().unwrap();
    chain.submit(tx.clone()).unwrap();
    chain.clear_mempool();
    tx.output.swap(1, 2);
    assert!(matches!(chain.submit(tx), Err(Reject::Script { .. })));
}

#[test]
fn htlcs_of_two_lock_times_cannot_share_a_transaction() {
    let fixture = channel(1, ANCHORS);
    let mut chain = chain_with(&[&fixture]);
    let mut peer = cheating_peer(&mut chain, PeerPlan { claims: false, ..PeerPlan::default() });
    blocks(&mut peer, &[&fixture], &mut chain, END);
    let commitment = revoked(&fixture);
    let rates = Rates { feerate_sat_per_kw: 500, floor_sat_per_kvb: 1000 };
    let claimant = Claimant { fixture: &fixture, side: Side::Remote, commitment: &commitment, rates };
    let pieces = [0, 2].map(|index| {
        let key = commitment.htlcs[index].key;
        Piece { claimant, index, preimage: key.is_offered().then(|| preimage(key.id)) }
    });
    let mut wallet = peer.wallet().clone();
    wallet.rescan(&chain);
    let offer = wallet.offer(arb_core::ActionId([1; 16]), commitment.outpoint(0), 5_000, 500, &[]).unwrap();
    let aside = wallet.deposit_script();
    let alone = |piece: &Piece<'_>| aggregate(&[*piece], &offer, aside.clone(), wallet.keys()).unwrap();
    for piece in &pieces {
        chain.submit(alone(piece)).unwrap();
        chain.clear_mempool();
    }
    let mixed = aggregate(&pieces, &offer, aside.clone(), wallet.keys()).unwrap();
    assert!(matches!(chain.submit(mixed), Err(Reject::Script { .. })));
}

#[test]
fn it_claims_in_the_order_that_it_likes() {
    let [a, b, c, d] = [HtlcRef::offered(10), HtlcRef::offered(11), HtlcRef::received(12), HtlcRef::received(13)];
    for channel_type in TYPES {
        for (preferred, first, second) in
            [(Order::SuccessFirst, vec![a, b], vec![c, d]), (Order::TimeoutFirst, vec![c, d], vec![a, b])]
        {
            let fixture = channel(1, channel_type);
            let mut chain = chain_with(&[&fixture]);
            let mut peer = cheating_peer(&mut chain, PeerPlan { order: preferred, ..PeerPlan::default() });
            // All HTLCs have expired when the peer begins.
            (START..EXPIRY).for_each(|_| drop(chain.mine()));
            blocks(&mut peer, &[&fixture], &mut chain, END);
            assert_eq!(order(&fixture, &chain), [(EXPIRY + 2, first), (EXPIRY + 3, second)], "{channel_type:?}");
            assert_takes_everything(&fixture, &peer, &chain);
        }
    }
    let fixture = channel(1, ANCHORS);
    let mut chain = chain_with(&[&fixture]);
    let mut peer = cheating_peer(&mut chain, PeerPlan::default());
    blocks(&mut peer, &[&fixture], &mut chain, END);
    assert_eq!(order(&fixture, &chain), [(START + 2, vec![a, b]), (EXPIRY + 1, vec![c, d])]);
}

/// A claim of ours on one of the peer's outputs, by timeout. It stands in for a penalty: the miner only needs a transaction of
/// ours to choose from.
fn our_timeout(fixture: &ChannelFixture, index: usize) -> Transaction {
    let commitment = revoked(fixture);
    let rates = Rates { feerate_sat_per_kw: 5_000, floor_sat_per_kvb: 1000 };
    let claimant = Claimant { fixture, side: Side::Local, commitment: &commitment, rates };
    let to = WalletKeys::from_seed(&[3; 32]).script_for(b"ours");
    claimant.direct(index, None, to).unwrap().unwrap()
}

/// A chain with the revoked commitment confirmed, all HTLCs expired, and our claims of both offered HTLCs in the mempool.
fn contested(fixture: &ChannelFixture, plan: PeerPlan) -> (Chain, Peer, [Transaction; 2]) {
    let mut chain = chain_with(&[fixture]);
    let mut peer = cheating_peer(&mut chain, PeerPlan { claims: false, ..plan });
    blocks(&mut peer, &[fixture], &mut chain, EXPIRY + 2);
    peer.plan_mut().claims = true;
    let ours = [0, 1].map(|index| our_timeout(fixture, index));
    for tx in &ours {
        chain.submit(tx.clone()).unwrap();
    }
    (chain, peer, ours)
}

#[test]
fn a_miner_on_its_side_takes_its_claims_and_leaves_ours_out() {
    for channel_type in TYPES {
        let fixture = channel(1, channel_type);
        // In a block by feerate our claims win, because they pay more.
        let (mut chain, mut peer, ours) = contested(&fixture, PeerPlan::default());
        for tx in peer.act(&fixture, &chain).unwrap() {
            let _beaten = chain.submit(tx).err();
        }
        chain.mine();
        let taken = spends(&fixture, &chain);
        for (id, tx) in [10, 11].into_iter().zip(&ours) {
            assert_eq!(taken[&HtlcRef::offered(id)].1, *tx);
        }
        // The peer's miner includes its claims without a fee.
        for withheld in [Withheld::Nothing, Withheld::Everything] {
            let (mut chain, mut peer, ours) = contested(&fixture, PeerPlan::default());
            let template = peer.template(&[&fixture], &chain, &withheld).unwrap();
            assert_eq!(peer.template(&[&fixture], &chain, &withheld).unwrap(), template);
            assert_eq!(template.leaves_out.len(), if withheld == Withheld::Nothing { 0 } else { 2 });
            let mined = chain.mine_template(template.clone()).unwrap();
            assert_eq!(mined.txs, template.first);
            assert_eq!(spends(&fixture, &chain).len(), 4);
            for tx in ours {
                assert_eq!(chain.in_mempool(&tx.compute_txid()), None, "a conflicting claim is confirmed");
            }
        }
    }
}

#[test]
fn what_is_withheld_waits_and_the_rest_of_ours_gets_in() {
    for channel_type in TYPES {
        let fixture = channel(1, channel_type);
        let (mut chain, mut peer, ours) = contested(&fixture, PeerPlan::default());
        peer.plan_mut().preimages = BTreeMap::new();
        let withheld = Withheld::Of([output_of(&fixture, HtlcRef::offered(10))].into());
        for _ in 0..3 {
            let template = peer.template(&[&fixture], &chain, &withheld).unwrap();
            chain.mine_template(template).unwrap();
        }
        assert!(chain.in_mempool(&ours[0].compute_txid()).is_some(), "a withheld claim stays in the mempool");
        assert!(chain.confirmed(&ours[1].compute_txid()).is_some());
        let template = peer.template(&[&fixture], &chain, &Withheld::Everything).unwrap();
        assert!(template.leaves_out.contains(&ours[0].compute_txid()));
    }
}

#[test]
fn a_claim_below_a_second_level_is_withheld_with_its_htlc() {
    for (channel_type, plan) in [(TYPES[0], PeerPlan::default()), (ANCHORS, PeerPlan::default()), (ANCHORS, together())]
    {
        let fixture = channel(1, channel_type);
        let mut chain = chain_with(&[&fixture]);
        let mut peer = cheating_peer(&mut chain, PeerPlan { sweeps: false, ..plan });
        blocks(&mut peer, &[&fixture], &mut chain, START + 2 + u32::from(DELAY));
        // The peer's sweeps stand in for our penalties, because they spend the same outputs.
        peer.plan_mut().sweeps = true;
        let sweeps = peer.act(&fixture, &chain).unwrap();
        for tx in &sweeps {
            chain.submit(tx.clone()).unwrap();
        }
        peer.plan_mut().sweeps = false;
        let key = HtlcRef::offered(11);
        let (_, second, input) = spends(&fixture, &chain).remove(&key).unwrap();
        let below = OutPoint::new(second.compute_txid(), u32::try_from(input).unwrap());
        let expected = chain.mempool_spender(&below).unwrap().compute_txid();
        let withheld = Withheld::Of([output_of(&fixture, key)].into());
        let template = peer.template(&[&fixture], &chain, &withheld).unwrap();
        assert_eq!(template.leaves_out, [expected].into());
        let all = peer.template(&[&fixture], &chain, &Withheld::Everything).unwrap().leaves_out;
        assert_eq!(all, sweeps.iter().map(Transaction::compute_txid).collect());
        chain.mine_template(template).unwrap();
        assert!(chain.in_mempool(&expected).is_some());
        assert_eq!(chain.mempool().count(), 1);
    }
}
