//! README's run loop as code: a test compares the two word for word, and another runs it.

use arb_core::{Action, Event, JournalIdentity};
use arb_log::{Journal, JournalError, Storage};

use std::path::Path;

use arb_core::bolt3::ChannelType;
use arb_core::{CloseReason, Freshness, Height, Policy, Started};
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
                waiting = outside(due);                    // answers, and other events
            }
            Err(error) if error.is_fenced() => return Err(error), // another owner has taken over
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
