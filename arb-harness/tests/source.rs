//! Host and `next_blocks` with a chain source that fails, changes its branch, or repeats spends.

use std::cell::Cell;

use arb_core::{Action, ActionId, BroadcastAnswer, ChannelId, Event, Fees, FoundSpend, Height, Scanned, Tip};
use arb_harness::driver::Outside;
use arb_harness::host::Host;
use arb_harness::keys::WalletKeys;
use arb_harness::signer::KeySigner;
use arb_harness::source::{ChainSource, Found, Header, in_parts, next_blocks};
use arb_lab::chain::{Chain, ChainConfig};
use arb_lab::notebook::Notebook;
use arb_lab::wallet::SmallWallet;
use bitcoin::{
    Amount, BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, absolute, opcodes,
    script, transaction,
};

const CHANNEL: ChannelId = ChannelId([7; 32]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the source is down")]
struct Down;

/// The embedded chain behind a bad connection.
struct Remote {
    chain: Chain,
    is_down: bool,
    /// This block's header names another parent, as if the best chain had changed after its hash was asked for.
    leaves: Cell<Option<BlockHash>>,
}

impl Remote {
    fn new() -> Self {
        Self { chain: Chain::new(ChainConfig::default()), is_down: false, leaves: Cell::new(None) }
    }

    fn ask<T>(&self, answer: impl FnOnce(&Chain) -> Result<T, core::convert::Infallible>) -> Result<T, Down> {
        if self.is_down { Err(Down) } else { answer(&self.chain).map_err(|never| match never {}) }
    }
}

impl ChainSource for Remote {
    type Error = Down;

    fn tip(&self) -> Result<Tip, Down> {
        self.ask(ChainSource::tip)
    }

    fn hash_at(&self, height: Height) -> Result<Option<BlockHash>, Down> {
        self.ask(|chain| chain.hash_at(height))
    }

    fn header(&self, hash: &BlockHash) -> Result<Option<Header>, Down> {
        let header = self.ask(|chain| chain.header(hash))?;
        if self.leaves.get() == Some(*hash) {
            // Any parent but the block before.
            return Ok(header.map(|header| Header { parent: *hash, ..header }));
        }
        Ok(header)
    }

    fn block(&self, hash: &BlockHash) -> Result<Option<Vec<Transaction>>, Down> {
        self.ask(|chain| chain.block(hash))
    }

    /// Spends in reverse order, and each twice.
    fn spends_of(&self, parent: &Txid, outpoints: &[OutPoint], through: &BlockHash) -> Result<Option<Found>, Down> {
        let found = self.ask(|chain| chain.spends_of(parent, outpoints, through))?;
        Ok(found.map(|Found { confirmed, spends }| {
            let spends = spends.iter().rev().flat_map(|spend| [spend.clone(), spend.clone()]).collect();
            Found { confirmed, spends }
        }))
    }

    fn submit(&mut self, transactions: &[Transaction]) -> Result<BroadcastAnswer, Down> {
        if self.is_down {
            return Err(Down);
        }
        ChainSource::submit(&mut self.chain, transactions).map_err(|never| match never {})
    }

    fn estimates(&self) -> Result<Option<Fees>, Down> {
        self.ask(Chain::estimates)
    }
}

/// Carries one action out: its answers, and the source's errors.
fn perform(source: &mut Remote, heard: Tip, action: Action) -> (Vec<Event>, Vec<Down>) {
    let keys = WalletKeys::from_seed(&[1; 32]);
    let (mut signer, mut wallet) = (KeySigner::new(keys.clone()), SmallWallet::new(keys));
    let mut node = Notebook::default();
    let mut host = Host::new(source, &mut signer, &mut wallet, &mut node, heard);
    let mut answers = Vec::new();
    host.perform(action, &mut answers);
    assert_eq!(host.refusals, []);
    (answers, host.failures)
}

fn anybody() -> ScriptBuf {
    script::Builder::new().push_opcode(opcodes::OP_TRUE).into_script()
}

/// Spends a coin that anybody may spend, to the same script.
fn spend(coin: OutPoint, value_sat: u64) -> Transaction {
    let input = TxIn {
        previous_output: coin,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[anybody().to_bytes()]),
    };
    let output = TxOut { value: Amount::from_sat(value_sat), script_pubkey: anybody().to_p2wsh() };
    let (version, lock_time) = (transaction::Version::TWO, absolute::LockTime::ZERO);
    Transaction { version, lock_time, input: vec![input], output: vec![output] }
}

fn watch(coins: &[OutPoint]) -> Action {
    Action::SearchSpends {
        id: ActionId([1; 16]),
        channel: CHANNEL,
        parent: coins[0].txid,
        outpoints: coins.to_vec(),
        scripts: Vec::new(),
        from: Height::new(100),
    }
}

fn broadcast(tx: &Transaction) -> Action {
    let txs = vec![tx.clone()];
    Action::Broadcast { id: ActionId([2; 16]), channel: CHANNEL, txs, max_feerate_sat_per_kw: 1_000 }
}

#[test]
fn a_source_that_fails_gives_no_answer_and_its_error_is_kept() {
    let mut source = Remote::new();
    let coin = source.chain.mint(anybody().to_p2wsh(), 10_000);
    let tx = spend(coin, 9_000);
    let heard = ChainSource::tip(&source).unwrap();
    source.is_down = true;
    for action in [watch(&[coin]), broadcast(&tx)] {
        assert_eq!(perform(&mut source, heard, action), (vec![], vec![Down]));
    }
    assert_eq!(next_blocks(&source, heard, 1), Err(Down));
    assert_eq!(source.chain.mempool().count(), 0);

    source.is_down = false;
    let (answers, failures) = perform(&mut source, heard, broadcast(&tx));
    let accepted = BroadcastAnswer::Accepted;
    assert_eq!(answers, [Event::BroadcastAnswered { channel: CHANNEL, txid: tx.compute_txid(), answer: accepted }]);
    assert_eq!(failures, []);
    assert_eq!(perform(&mut source, heard, watch(&[coin])).0.len(), 1);
}

#[test]
fn a_search_up_to_a_block_that_left_the_best_chain_is_no_answer() {
    let mut source = Remote::new();
    let coin = source.chain.mint(anybody().to_p2wsh(), 10_000);
    source.chain.mine_txs(vec![spend(coin, 9_000)]).unwrap();
    let heard = ChainSource::tip(&source).unwrap();
    source.chain.reorg_drop(1);
    source.chain.mine_txs(vec![spend(coin, 8_000)]).unwrap();
    assert_eq!(
        perform(&mut source, heard, watch(&[coin])),
        (vec![], vec![]),
        "the height is the same, the block is not"
    );
    let unknown = Tip { hash: BlockHash::from_raw_hash(bitcoin::hashes::Hash::all_zeros()), ..heard };
    assert_eq!(perform(&mut source, unknown, watch(&[coin])), (vec![], vec![]));
}

#[test]
fn what_a_search_found_is_in_order_and_once_whatever_the_source_does() {
    let mut source = Remote::new();
    let coins: Vec<OutPoint> = (0..3).map(|_| source.chain.mint(anybody().to_p2wsh(), 10_000)).collect();
    for coin in &coins {
        source.chain.mine_txs(vec![spend(*coin, 9_000)]).unwrap();
    }
    let heard = Tip { height: Height::new(102), hash: source.chain.block_at(102).unwrap().hash };
    let (answers, _) = perform(&mut source, heard, watch(&coins));
    let [Event::Scanned(scanned)] = answers.as_slice() else { panic!("{answers:?}") };
    let found: Vec<_> = scanned.spends.iter().map(|spend| (spend.height.get(), spend.tx.clone())).collect();
    assert_eq!(found, [(101, spend(coins[0], 9_000)), (102, spend(coins[1], 9_000))], "the third came later");
    assert_eq!((scanned.channel, scanned.through), (CHANNEL, heard));
}

#[test]
fn a_court_is_led_back_from_a_branch_that_is_gone_and_on_along_the_best_one() {
    let mut source = Remote::new();
    let start = ChainSource::tip(&source).unwrap();
    source.chain.mine();
    source.chain.mine();
    let old = ChainSource::tip(&source).unwrap();
    source.chain.reorg_drop(2);
    for _ in 0..3 {
        source.chain.mine();
    }
    let steps = |limit: usize| -> Vec<(bool, u32, u32)> {
        let events = next_blocks(&source, old, limit).unwrap();
        let step = |event: &Event| {
            if let Event::BlockDisconnected(left) = event {
                return (false, left.height.get(), left.best_height.get());
            }
            let Event::BlockConnected(block) = event else { panic!("{event:?}") };
            (true, block.height.get(), block.best_height.get())
        };
        events.iter().map(step).collect()
    };
    let back = [(false, 102, 103), (false, 101, 103)];
    assert_eq!(steps(0), back);
    assert_eq!(steps(1), [&back[..], &[(true, 101, 103)]].concat());
    assert_eq!(steps(9), [&back[..], &[(true, 101, 103), (true, 102, 103), (true, 103, 103)]].concat());
    assert_eq!(next_blocks(&source, start, 2).unwrap().len(), 2);
}

#[test]
fn blocks_of_two_branches_are_never_mixed() {
    let mut source = Remote::new();
    let start = ChainSource::tip(&source).unwrap();
    source.chain.mine();
    source.chain.mine();
    source.leaves.set(source.chain.block_at(102).map(|block| block.hash));
    assert_eq!(next_blocks(&source, start, 9).unwrap().len(), 1, "the second block does not follow the first any more");
}

#[test]
fn a51_what_is_too_large_for_one_event_is_told_in_parts_of_whole_blocks() {
    // Four blocks of 12 MB: no block is that large, but the sums are the same.
    let found = |height, byte| FoundSpend {
        height: Height::new(height),
        tx: Transaction {
            output: vec![TxOut {
                value: Amount::from_sat(u64::from(byte)),
                script_pubkey: ScriptBuf::from_bytes(vec![byte; 6_000_000]),
            }],
            ..spend(OutPoint::null(), 1_000)
        },
    };
    let spends: Vec<FoundSpend> = (0..8).map(|n| found(100 + u32::from(n) / 2, n)).collect();
    let through = Tip { height: Height::new(110), hash: BlockHash::from_raw_hash(bitcoin::hashes::Hash::all_zeros()) };
    let parent = OutPoint::null().txid;
    let scanned = Scanned { channel: CHANNEL, parent, through, confirmed: Some(Height::new(99)), spends };
    let events = in_parts(scanned.clone());
    let [Event::ScannedPart(first), Event::Scanned(last)] = events.as_slice() else { panic!("{}", events.len()) };
    assert_eq!((first.spends.len(), first.confirmed), (4, None));
    assert_eq!((last.spends.len(), last.confirmed), (4, scanned.confirmed));
    assert!([first.spends.clone(), last.spends.clone()].concat() == scanned.spends);
    let few = Scanned { spends: scanned.spends[..2].to_vec(), ..scanned };
    assert!(in_parts(few.clone()) == [Event::Scanned(Box::new(few.clone()))]);
    let none = Scanned { spends: Vec::new(), ..few };
    assert!(in_parts(none.clone()) == [Event::Scanned(Box::new(none))]);
}
