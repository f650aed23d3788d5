//! The simulated peer in every kind of close: the chain accepts all its transactions, and it takes everything that is its own.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::bolt3::{ChannelType, OutputKind, Preimage, SpendPath, classify_spend};
use arb_core::{HtlcRef, Side};
use arb_harness::keys::WalletKeys;
use arb_lab::chain::{Chain, Reject};
use arb_lab::fixture::{ChannelFixture, Close, Commitment};
use arb_lab::peer::{Claimant, Peer, PeerPlan, Publish, Rates};
use bitcoin::{OutPoint, Transaction};

use crate::support::{END, NUMBER, START, TYPES, block, chain_with, peer_with_coins, published, run};

/// All published preimages, known to the peer from this height on.
fn preimages(from: u32) -> BTreeMap<Preimage, u32> {
    ChannelFixture::bolt3_preimages().into_values().map(|preimage| (preimage, from)).collect()
}

fn publishing(number: u64) -> PeerPlan {
    PeerPlan { publishes: Some((START, Publish::Commitment(number))), preimages: preimages(0), ..PeerPlan::default() }
}

fn confirmed(fixture: &ChannelFixture, chain: &Chain) -> Commitment {
    let (_, txid, _) = chain.spender_of(&fixture.setup().funding).unwrap();
    fixture.recognise(chain.confirmed(&txid).unwrap().1).unwrap().unwrap()
}

/// How each spent HTLC was spent.
fn paths(commitment: &Commitment, chain: &Chain) -> BTreeMap<HtlcRef, SpendPath> {
    let path = |(index, htlc): (usize, &arb_core::Htlc)| {
        let (outpoint, txout, _) = commitment.htlc_output(index).unwrap();
        let (_, txid, input) = chain.spender_of(&outpoint)?;
        let (_, tx) = chain.confirmed(&txid)?;
        Some((htlc.key, classify_spend(&txout.script_pubkey, &tx.input[input].witness)))
    };
    commitment.htlcs.iter().enumerate().filter_map(path).collect()
}

/// The outputs that are the counterparty's if it knows all preimages: all but our main output and the anchors.
fn theirs(commitment: &Commitment) -> Vec<OutPoint> {
    let ours = match commitment.owner {
        Side::Local => OutputKind::ToOwner,
        Side::Remote => OutputKind::ToOther,
    };
    let is_theirs = |kind: &OutputKind| ![ours, OutputKind::OwnerAnchor, OutputKind::OtherAnchor].contains(kind);
    let outputs = (0..).zip(&commitment.built.outputs).filter(|(_, kind)| is_theirs(kind));
    outputs.map(|(vout, _)| commitment.outpoint(vout)).collect()
}

/// Panics unless everything below the counterparty's outputs ends in its wallet.
fn assert_all_taken(commitment: &Commitment, peer: &Peer, chain: &Chain) {
    let stop = peer.wallet().scripts();
    for outpoint in theirs(commitment) {
        assert!(chain.spender_of(&outpoint).is_some(), "{outpoint} is unspent");
        let left: Vec<_> = chain
            .descendants_until(outpoint, &stop)
            .into_iter()
            .filter(|flow| flow.spender.is_none() && !stop.contains(&flow.script_pubkey))
            .collect();
        assert_eq!(left, [], "below {outpoint}");
    }
}

#[test]
fn its_own_commitment_newest_revoked_or_unknown_is_taken_to_the_end() {
    for channel_type in TYPES {
        for number in [NUMBER - 1, NUMBER, NUMBER + 1] {
            let mut fixture = published(channel_type);
            fixture.sign_unheard(Side::Remote, number, ChannelFixture::bolt3_state(channel_type));
            let mut chain = chain_with(&fixture);
            let mut peer = peer_with_coins(publishing(number), &mut chain);
            run(&mut peer, &fixture, &mut chain, END);
            let commitment = confirmed(&fixture, &chain);
            assert_eq!((commitment.owner, commitment.number), (Side::Remote, number));
            assert_all_taken(&commitment, &peer, &chain);
            let known = ChannelFixture::bolt3_preimages();
            let expected = |key: HtlcRef| match key.is_offered() {
                true => SpendPath::SecondLevelSuccess(known[&key]),
                false => SpendPath::SecondLevelTimeout,
            };
            for (key, path) in paths(&commitment, &chain) {
                assert_eq!(path, expected(key), "{channel_type:?} {key}");
            }
        }
    }
}

#[test]
fn from_our_commitment_it_takes_its_balance_and_the_htlcs() {
    for channel_type in TYPES {
        let fixture = published(channel_type);
        let mut chain = chain_with(&fixture);
        let plan = PeerPlan { preimages: preimages(0), ..PeerPlan::default() };
        let mut peer = peer_with_coins(plan, &mut chain);
        chain.submit(fixture.local_commitment_tx(NUMBER).unwrap()).unwrap();
        run(&mut peer, &fixture, &mut chain, END);
        let commitment = confirmed(&fixture, &chain);
        assert_eq!(commitment.owner, Side::Local);
        assert_all_taken(&commitment, &peer, &chain);
        let known = ChannelFixture::bolt3_preimages();
        let expected = |key: HtlcRef| match key.is_offered() {
            true => SpendPath::Preimage(known[&key]),
            false => SpendPath::Timeout,
        };
        let paths = paths(&commitment, &chain);
        assert_eq!(paths.len(), 5);
        for (key, path) in paths {
            assert_eq!(path, expected(key), "{channel_type:?} {key}");
        }
    }
}

#[test]
fn after_a_mutual_close_it_has_nothing_to_do() {
    let fixture = published(ChannelType::AnchorsZeroFeeHtlcTx);
    let mut chain = chain_with(&fixture);
    let script = |name: &[u8]| WalletKeys::from_seed(&[3; 32]).script_for(name);
    let close = Close {
        local_sat: 6_990_000,
        local_script: script(b"ours"),
        remote_sat: 3_000_000,
        remote_script: script(b"theirs"),
    };
    let tx = fixture.mutual_close(close).unwrap().tx;
    let publishes = Some((START + 2, Publish::Transaction(tx.clone())));
    let mut peer = peer_with_coins(PeerPlan { publishes, ..PeerPlan::default() }, &mut chain);
    run(&mut peer, &fixture, &mut chain, START + 20);
    assert_eq!(chain.spender_of(&fixture.setup().funding), Some((START + 3, tx.compute_txid(), 0)));
}

#[test]
fn it_waits_for_preimages_for_expiry_and_for_its_patience() {
    for channel_type in TYPES {
        let fixture = published(channel_type);
        let mut chain = chain_with(&fixture);
        let plan = PeerPlan { preimages: preimages(490), patience_blocks: 3, ..publishing(NUMBER) };
        let mut peer = peer_with_coins(plan, &mut chain);
        let spends = |chain: &Chain| paths(&confirmed(&fixture, chain), chain).into_keys().collect::<Vec<_>>();
        run(&mut peer, &fixture, &mut chain, 490);
        assert_eq!(spends(&chain), []);
        block(&mut peer, &fixture, &mut chain);
        assert_eq!(spends(&chain), [HtlcRef::offered(2), HtlcRef::offered(3)]);
        run(&mut peer, &fixture, &mut chain, 503);
        assert_eq!(spends(&chain).len(), 2, "the first expires at 500, and three blocks pass");
        block(&mut peer, &fixture, &mut chain);
        assert!(spends(&chain).contains(&HtlcRef::received(0)));
    }
}

#[test]
fn a_plan_without_claims_or_sweeps_takes_nothing() {
    let fixture = published(ChannelType::StaticRemotekey);
    let mut chain = chain_with(&fixture);
    let mut peer = peer_with_coins(PeerPlan { claims: false, sweeps: false, ..publishing(NUMBER) }, &mut chain);
    run(&mut peer, &fixture, &mut chain, END);
    let commitment = confirmed(&fixture, &chain);
    let spent: Vec<_> = theirs(&commitment).into_iter().filter(|output| chain.spender_of(output).is_some()).collect();
    assert_eq!(spent, []);
    peer.plan_mut().sweeps = true;
    block(&mut peer, &fixture, &mut chain);
    assert_eq!(chain.block_at(END + 1).unwrap().txs.len(), 1, "only its main output is swept");
}

#[test]
fn zero_fee_htlc_transactions_wait_for_a_coin() {
    let fixture = published(ChannelType::AnchorsZeroFeeHtlcTx);
    let mut chain = chain_with(&fixture);
    let mut peer = Peer::new(PeerPlan { sweeps: false, ..publishing(NUMBER) }, &[0xee; 32]);
    run(&mut peer, &fixture, &mut chain, 490);
    assert!(paths(&confirmed(&fixture, &chain), &chain).is_empty());
    chain.mint(peer.wallet().deposit_script(), 5_000);
    block(&mut peer, &fixture, &mut chain);
    assert_eq!(paths(&confirmed(&fixture, &chain), &chain).len(), 1, "one coin pays for one HTLC transaction");
    block(&mut peer, &fixture, &mut chain);
    assert_eq!(paths(&confirmed(&fixture, &chain), &chain).len(), 2, "the change pays for the next one");
}

#[test]
fn a_coin_is_free_again_when_its_htlc_is_gone() {
    let fixture = published(ChannelType::AnchorsZeroFeeHtlcTx);
    let mut chain = chain_with(&fixture);
    let mut peer = Peer::new(PeerPlan { preimages: preimages(503), sweeps: false, ..publishing(NUMBER) }, &[0xee; 32]);
    chain.mint(peer.wallet().deposit_script(), 5_000);
    run(&mut peer, &fixture, &mut chain, 498);
    peer.plan_mut().patience_blocks = 50;
    run(&mut peer, &fixture, &mut chain, 503);
    let [first] = peer.act(&fixture, &chain).unwrap().try_into().unwrap();
    let commitment = confirmed(&fixture, &chain);
    let index = commitment.htlcs.iter().position(|htlc| htlc.key == HtlcRef::offered(2)).unwrap();
    assert_eq!(first.input[0].previous_output, commitment.htlc_output(index).unwrap().0);
    // Our claim of the HTLC confirms first.
    let rates = Rates { feerate_sat_per_kw: 500, floor_sat_per_kvb: 1000 };
    let claimant = Claimant { fixture: &fixture, side: Side::Local, commitment: &commitment, rates };
    let ours = claimant.direct(index, None, fixture.setup().fallback_script.clone()).unwrap().unwrap();
    chain.mine_txs(vec![ours]).unwrap();
    let [second] = peer.act(&fixture, &chain).unwrap().try_into().unwrap();
    assert_eq!(second.input[1].previous_output, first.input[1].previous_output);
    chain.submit(second).unwrap();
}

#[test]
fn it_sweeps_in_the_first_block_that_allows_it_and_pays_what_it_means_to() {
    for channel_type in TYPES {
        let mut setup = published(channel_type).setup().clone();
        setup.remote_delay_blocks = 10;
        let mut fixture = ChannelFixture::new(setup);
        fixture.sign_unheard(Side::Remote, NUMBER, ChannelFixture::bolt3_state(channel_type));
        let mut chain = chain_with(&fixture);
        let mut peer = peer_with_coins(PeerPlan { feerate_sat_per_kw: 700, ..publishing(NUMBER) }, &mut chain);
        run(&mut peer, &fixture, &mut chain, END);
        let commitment = confirmed(&fixture, &chain);
        let main = commitment.built.outputs.iter().position(|kind| *kind == OutputKind::ToOwner).unwrap();
        let (height, main, _) = chain.spender_of(&commitment.outpoint(u32::try_from(main).unwrap())).unwrap();
        assert_eq!(height, START + 1 + 10);
        let index = commitment.htlcs.iter().position(|htlc| htlc.key == HtlcRef::received(4)).unwrap();
        let htlc = commitment.htlc_output(index).unwrap().0;
        let (at, second_level, _) = chain.spender_of(&htlc).unwrap();
        let (height, sweep, _) = chain.spender_of(&OutPoint::new(second_level, 0)).unwrap();
        assert_eq!((at, height), (505, 515));
        // Without anchors, the fee of a second level is fixed by the commitment's feerate.
        let chosen = if channel_type == ChannelType::StaticRemotekey { vec![] } else { vec![second_level] };
        for txid in chosen.into_iter().chain([main, sweep]) {
            let (fee, tx) = (chain.fee_of(&txid).unwrap(), chain.confirmed(&txid).unwrap().1);
            let exact = tx.weight().to_wu() * 700 / 1000;
            assert!((exact..exact + 10).contains(&fee), "{channel_type:?} {fee} {exact}");
        }
    }
}

#[test]
fn after_a_reorg_it_takes_everything_again() {
    for channel_type in TYPES {
        let fixture = published(channel_type);
        let mut chain = chain_with(&fixture);
        let mut peer = peer_with_coins(publishing(NUMBER), &mut chain);
        run(&mut peer, &fixture, &mut chain, END);
        let dropped = chain.reorg_drop(END - START);
        assert_eq!(dropped.len(), usize::try_from(END - START).unwrap());
        assert!(chain.spender_of(&fixture.setup().funding).is_none());
        run(&mut peer, &fixture, &mut chain, END);
        assert_all_taken(&confirmed(&fixture, &chain), &peer, &chain);
    }
}

#[test]
fn two_runs_are_the_same() {
    let blocks = || {
        let fixture = published(ChannelType::AnchorsZeroFeeHtlcTx);
        let mut chain = chain_with(&fixture);
        let mut peer = peer_with_coins(publishing(NUMBER), &mut chain);
        run(&mut peer, &fixture, &mut chain, END);
        chain.tip().1
    };
    assert_eq!(blocks(), blocks());
}

/// Every claim that one side can build on both commitments, final or not.
fn claims(fixture: &ChannelFixture, side: Side, preimage: Preimage) -> Vec<(Commitment, Transaction)> {
    let rates = Rates { feerate_sat_per_kw: 500, floor_sat_per_kvb: 1000 };
    let to = WalletKeys::from_seed(&[3; 32]).script_for(b"to");
    let mut claims = Vec::new();
    for owner in [Side::Local, Side::Remote] {
        let commitment = fixture.commitment(owner, NUMBER).unwrap();
        let claimant = Claimant { fixture, side, commitment: &commitment, rates };
        for index in 0..commitment.htlcs.len() {
            let by_claimant = commitment.htlcs[index].key.is_offered() == (side == Side::Local);
            let preimage = (!by_claimant).then_some(preimage);
            let claim = if owner == side {
                claimant.second_level(index, preimage, None).unwrap()
            } else {
                claimant.direct(index, preimage, to.clone()).unwrap().unwrap()
            };
            claims.push((commitment.clone(), claim));
        }
        let mine = if owner == side { OutputKind::ToOwner } else { OutputKind::ToOther };
        let vout = commitment.built.outputs.iter().position(|kind| *kind == mine).unwrap();
        let claim = claimant.main(u32::try_from(vout).unwrap(), to.clone()).unwrap().unwrap();
        claims.push((commitment, claim));
    }
    claims
}

#[test]
fn every_claim_is_refused_too_early_and_with_a_wrong_preimage() {
    let (mut wrong_preimages, mut too_early) = (0, 0);
    for channel_type in TYPES {
        let fixture = published(channel_type);
        for side in [Side::Local, Side::Remote] {
            for (commitment, claim) in claims(&fixture, side, Preimage([0xaa; 32])) {
                let mut chain = chain_with(&fixture);
                let tx = fixture.commitment_tx(commitment.owner, NUMBER).unwrap();
                chain.mine_txs(vec![tx]).unwrap();
                match chain.mine_txs(vec![claim.clone()]) {
                    Ok(_) => assert!(claim.lock_time.to_consensus_u32() == 0),
                    Err(Reject::NonFinal { .. } | Reject::NonBip68Final { .. }) => too_early += 1,
                    Err(Reject::Script { .. }) => wrong_preimages += 1,
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
    // For each type and side, on both commitments: two or three HTLCs by preimage and the others by expiry; and the delayed
    // balance.
    assert_eq!((wrong_preimages, too_early), (20, 24));
}

#[test]
fn a_script_of_the_pool_is_enough_for_all_sweeps() {
    let scripts: BTreeSet<_> = Peer::new(PeerPlan::default(), &[1; 32]).wallet().scripts();
    assert_eq!(scripts.len(), usize::try_from(arb_harness::keys::POOL).unwrap());
}
