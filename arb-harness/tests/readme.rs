//! README's run loop as code: a test compares the two word for word, and another runs it.

use arb_core::{Action, Event, JournalIdentity};
use arb_log::{Journal, JournalError, Storage};

use std::path::Path;

use arb_core::bolt3::ChannelType;
use arb_core::{Block, CloseReason, Freshness, Height, Policy, Started, Tip};
use arb_harness::driver::Outside;
use arb_harness::host::Host;
use arb_harness::keys::WalletKeys;
use arb_harness::signer::KeySigner;
use arb_harness::source::next_blocks;
use arb_lab::chain::{Chain, ChainConfig, flat_fees};
use arb_lab::fixture::{ChannelFixture, ChannelSetup, CommitmentState};
use arb_lab::notebook::Notebook;
use arb_lab::process::tip;
use arb_lab::wallet::SmallWallet;
use arb_log::memory::{Fault, Memory};
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, BlockHash, Network, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Witness};

#[rustfmt::skip] // README aligns its comments.
#[expect(clippy::print_stderr, reason = "README shows an embedder where a refusal goes")]
fn run<S: Storage>(
    storage: S,
    identity: &JournalIdentity,
    started: Event,                                        // Event::Started
    mut outside: impl FnMut(Vec<Action>) -> Vec<Event>,    // carries out actions, brings events
) -> Result<(), JournalError<S::Error>> {
    let mut journal = Journal::open(storage)?;             // claims the storage
    let mut court = journal.recover(identity)?;            // folds checkpoint rows and frames
    let mut waiting = vec![started];                       // heard before any action goes out
    let mut later = Vec::new();                            // what did not fit into one frame
    let mut all = true;
    while !waiting.is_empty() {
        all |= waiting.iter().any(Event::is_block);        // a start and a block repeat everything that is due
        let mut step = court.step();
        for event in &waiting {
            if let Err(why) = step.hear(event) {
                eprintln!("refused: {why}");               // the others go on
            }
        }
        match step.commit(&mut journal) {                  // durable first
            Ok(due) => {
                let due = if all { court.actions_due() } else { due };
                all = false;
                waiting = core::mem::take(&mut later);
                waiting.extend(outside(due));              // answers, and other events
            }
            Err(error) if error.is_fenced() => return Err(error), // another owner has taken over
            Err(JournalError::Unwritable(_)) if waiting.len() > 1 => { // too large, nothing was written:
                later.splice(0..0, waiting.split_off(waiting.len() / 2)); // the first half alone may fit
            }
            Err(error @ JournalError::Unwritable(_)) => return Err(error), // one event alone is too large
            Err(_) => {                                    // durability unknown; the events still wait
                journal = journal.reopen()?;
                journal.catch_up(&mut court)?;
                all = true;
            }
        }
    }
    Ok(())
}

/// The chain's last height, long after the channel is resolved.
const END: u32 = 700;

#[test]
fn readme_has_this_loop_word_for_word() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let (readme, here) = (read("../README.md"), read("tests/readme.rs"));
    let blocks: Vec<&str> = readme.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let [block] = blocks.as_slice() else { panic!("README has {} blocks of Rust", blocks.len()) };
    let (imports, function) = block.split_once("\n\n").expect("imports, then the function");
    assert!(here.contains(&format!("\n\n{imports}\n\n")), "other imports: {imports}");
    assert!(here.contains(&format!("\n{function}\n")), "another function: {function}");
}

#[test]
fn readmes_loop_closes_a_channel_through_failed_writes_to_the_last_satoshi() {
    let mut chain = Chain::new(ChainConfig::default());
    let setup = ChannelSetup::from_seed(&[0x21; 32], 0, ChannelType::AnchorsZeroFeeHtlcTx, 1_000_000);
    let mut fixture = ChannelFixture::new(setup.clone());
    fixture.plant(&mut chain).unwrap();
    let state = CommitmentState {
        local_msat: 600_000_000,
        remote_msat: 400_000_000,
        feerate_sat_per_kw: 1_000,
        htlcs: Vec::new(),
    };
    let keys = WalletKeys::from_seed(&[0x22; 32]);
    let (mut signer, mut wallet, mut node) =
        (KeySigner::new(keys.clone()), SmallWallet::new(keys), Notebook::default());
    signer.add_channel(setup.id, setup.funding, setup.local.clone());
    let mut heard = tip(&chain);
    let identity =
        JournalIdentity { network: chain.config().network, journal: [1; 32], tip: heard, policy: Policy::default() };
    let started = Event::Started(Started {
        build: "readme".into(),
        freshness: Freshness::Trusted,
        best_height: heard.height,
        run: 0,
    });
    let mut news = vec![
        flat_fees(500, 253),
        fixture.opened(fixture.standing(0, 0).unwrap()),
        fixture.local_signed(0, state.clone()).unwrap(),
        fixture.remote_signed(0, state).unwrap(),
        Event::AdoptionComplete { channel: None, committed: Vec::new() },
        Event::CloseRequested { channel: setup.id, why: CloseReason::Operator },
    ];
    let memory = Memory::new();
    for (write, fault) in [(2, Fault::Lost), (5, Fault::Unreported), (40, Fault::Lost), (80, Fault::Unreported)] {
        memory.fail_write(write, fault);
    }
    let outside = |actions: Vec<Action>| {
        let mut events = core::mem::take(&mut news);
        let mut host = Host::new(&mut chain, &mut signer, &mut wallet, &mut node, heard);
        actions.into_iter().for_each(|action| host.perform(action, &mut events));
        if events.is_empty() && heard.height < Height::new(END) {
            chain.mine();
            let Ok(blocks) = next_blocks(&chain, heard, 1);
            events.push(flat_fees(500, 253));
            events.extend(blocks);
            heard = tip(&chain);
        }
        events
    };
    run(memory.clone(), &identity, started, outside).unwrap();
    assert!(chain.spender_of(&setup.funding).is_some(), "our commitment is confirmed");
    let sheet = node.sheets.get(&setup.id).expect("the channel is resolved");
    assert!(sheet.balances() && sheet.lost_sat == 0, "{sheet:?}");
    let court = Journal::open(memory).unwrap().recover(&identity).unwrap();
    assert_eq!((court.tip(), court.index_of(&setup.id)), (tip(&chain), None));
}

/// A block whose transactions spend these outputs, each with a witness of 3.5 MB, so that the log keeps all of them.
fn large_block(heard: Tip, spent: &[OutPoint]) -> (Event, Tip) {
    let items = vec![vec![1; 500_000]; 7];
    let tx = |outpoint: &OutPoint| spend(*outpoint, &items, 1);
    let (height, parent) = (heard.height.next(), heard.hash);
    let hash = BlockHash::from_byte_array([u8::try_from(height.get()).unwrap_or(u8::MAX); 32]);
    let block = Block { height, hash, parent, best_height: height, txs: spent.iter().map(tx).collect() };
    (Event::BlockConnected(Box::new(block)), Tip { height, hash })
}

fn spend(previous_output: OutPoint, witness: &[Vec<u8>], outputs: usize) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn { previous_output, witness: Witness::from_slice(witness), ..TxIn::default() }],
        output: vec![TxOut { value: Amount::from_sat(1_000), script_pubkey: ScriptBuf::new() }; outputs],
    }
}

#[test]
fn a51_readmes_loop_hears_what_is_too_large_in_halves_and_ends_with_one_event_that_is() {
    let setup = ChannelSetup::from_seed(&[0x21; 32], 0, ChannelType::AnchorsZeroFeeHtlcTx, 1_000_000);
    let fixture = ChannelFixture::new(setup.clone());
    let start = Tip { height: Height::new(100), hash: BlockHash::from_byte_array([255; 32]) };
    let identity =
        JournalIdentity { network: Network::Regtest, journal: [1; 32], tip: start, policy: Policy::default() };
    let (build, freshness) = (String::from("readme"), Freshness::Trusted);
    let started = Started { build, freshness, best_height: start.height, run: 0 };
    let close = spend(setup.funding, &[], 42);
    let outputs: Vec<OutPoint> = (0..42).map(|vout| OutPoint { txid: close.compute_txid(), vout }).collect();
    let (mut closing, tip) = large_block(start, &[]);
    if let Event::BlockConnected(block) = &mut closing {
        block.txs.push(close);
    }
    // Two blocks that fit into a frame each, and not together; then one that fits into none.
    let (first, tip) = large_block(tip, &outputs[..11]);
    let (second, tip) = large_block(tip, &outputs[11..22]);
    let (third, _) = large_block(tip, &outputs[22..]);
    let opened = vec![fixture.opened(fixture.standing(0, 0).unwrap()), closing];
    for is_large in [false, true] {
        let memory = Memory::new();
        // The last one comes first.
        let mut news = vec![vec![first.clone(), second.clone()], opened.clone()];
        if is_large {
            news.insert(0, vec![third.clone()]);
        }
        let mut turns = 0;
        let outside = |_: Vec<Action>| {
            turns += 1;
            assert!(turns < 20, "it comes to an end");
            news.pop().unwrap_or_default()
        };
        let answer = run(memory.clone(), &identity, Event::Started(started.clone()), outside);
        assert_eq!(matches!(answer, Err(JournalError::Unwritable(_))), is_large, "{answer:?}");
        let court = Journal::open(memory).unwrap().recover(&identity).unwrap();
        assert_eq!(court.tip(), tip);
    }
}
