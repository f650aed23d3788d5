//! The chain in a file: unchanged after reopening, truncated at a torn write, refused where a record was changed.

use std::fs;
use std::path::{Path, PathBuf};

use arb_lab::chain::{Chain, ChainConfig, ChainFileError};
use bitcoin::{Amount, Network, OutPoint, TxOut};
use proptest::prelude::*;

use crate::reorgs::{apply, steps};
use crate::support::*;

/// A temporary folder that is removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("arb-chain-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("chain")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _leftovers_do_no_harm = fs::remove_dir_all(&self.0);
    }
}

fn config() -> ChainConfig {
    ChainConfig::default()
}

/// A chain file with every kind of record: minted coins, blocks, and a reorg.
fn chain_with_every_record(path: &Path) -> Chain {
    let mut chain = Chain::create(path, config()).expect("a new file");
    let coin = chain.mint(p2wpkh(1), COIN);
    let txout = TxOut { value: Amount::from_sat(COIN), script_pubkey: p2wpkh(1) };
    chain.mint_at(OutPoint::new(coin.txid, 9), txout).expect("free");
    let tx = pay(coin, COIN, 1, p2wpkh(2), 500);
    chain.mine_txs(vec![tx.clone()]).expect("valid");
    chain.mine();
    chain.reorg_drop(2);
    chain.mine();
    chain.mine_txs(vec![tx]).expect("valid");
    chain
}

fn same(a: &Chain, b: &Chain) -> bool {
    let blocks = |chain: &Chain| (START..=chain.tip().0).map(|h| chain.block_at(h).cloned()).collect::<Vec<_>>();
    let spenders = |chain: &Chain| {
        let spent = blocks(chain).into_iter().flatten().flat_map(|block| block.txs);
        spent.flat_map(|tx| tx.input).map(|input| chain.spender_of(&input.previous_output)).collect::<Vec<_>>()
    };
    a.tip() == b.tip() && a.utxos() == b.utxos() && blocks(a) == blocks(b) && spenders(a) == spenders(b)
}

#[test]
fn reopening_gives_the_same_chain_without_its_mempool_and_it_goes_on_alike() {
    let folder = Folder::new("reopen");
    let mut before = chain_with_every_record(&folder.file());
    let tip = before.block_at(before.tip().0).unwrap().txs[0].clone();
    before.submit(pay(outpoint(&tip, 0), COIN - 500, 2, p2wpkh(3), 500)).unwrap();
    assert!(before.disk_failure().is_none());
    let mut other = Chain::create(folder.0.join("other"), config()).unwrap();
    fs::copy(folder.file(), folder.0.join("copy")).unwrap();
    let mut after = Chain::open(folder.0.join("copy"), config()).unwrap();
    assert!(same(&before, &after));
    assert!(!same(&before, &other));
    assert_eq!((after.cut_on_open(), after.mempool().count(), before.mempool().count()), (0, 0, 1));
    before.clear_mempool();
    assert_eq!(before.mine(), after.mine(), "the same next hash: the branch counter was saved");
    other.mint(p2wpkh(1), COIN);
    assert_eq!(before.mint(p2wpkh(1), COIN), after.mint(p2wpkh(1), COIN));
    drop(after);
    assert!(same(&before, &Chain::open_or_create(folder.0.join("copy"), config()).unwrap()));
}

#[test]
fn a_record_torn_at_any_byte_is_cut_and_the_chain_goes_on() {
    let folder = Folder::new("torn");
    let chain = chain_with_every_record(&folder.file());
    let before = fs::metadata(folder.file()).unwrap().len();
    drop(chain);
    let mut chain = Chain::open(folder.file(), config()).unwrap();
    let old = chain.tip();
    chain.mine();
    drop(chain);
    let bytes = fs::read(folder.file()).unwrap();
    let start = usize::try_from(before).unwrap();
    let torn = folder.0.join("torn");
    for end in start..bytes.len() {
        fs::write(&torn, &bytes[..end]).unwrap();
        let mut chain = Chain::open(&torn, config()).unwrap();
        assert_eq!((chain.tip(), chain.cut_on_open()), (old, u64::try_from(end - start).unwrap()), "byte {end}");
        let mined = chain.mine();
        drop(chain);
        assert_eq!(fs::read(&torn).unwrap(), bytes, "the block written again is the same");
        assert_eq!(Chain::open(&torn, config()).unwrap().tip(), (mined.height, mined.hash));
    }
}

#[test]
fn a_file_torn_at_birth_is_born_again() {
    let folder = Folder::new("birth");
    drop(Chain::create(folder.file(), config()).unwrap());
    let bytes = fs::read(folder.file()).unwrap();
    for end in 0..bytes.len() {
        fs::write(folder.file(), &bytes[..end]).unwrap();
        assert_eq!(Chain::open(folder.file(), config()).unwrap().tip(), chain().tip());
        assert_eq!(fs::read(folder.file()).unwrap(), bytes);
    }
}

#[test]
fn a_bit_flipped_before_the_last_record_is_refused_and_located() {
    let folder = Folder::new("flip");
    let chain = chain_with_every_record(&folder.file());
    let last_record = usize::try_from(fs::metadata(folder.file()).unwrap().len()).unwrap();
    drop(chain);
    Chain::open(folder.file(), config()).unwrap().mine();
    let bytes = fs::read(folder.file()).unwrap();
    let flipped = folder.0.join("flipped");
    for at in 8..last_record {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&flipped, &changed).unwrap();
        let answer = Chain::open(&flipped, config());
        let Err(ChainFileError::Corrupt { offset, .. }) = answer else { panic!("byte {at}: {answer:?}") };
        assert!(usize::try_from(offset).unwrap() <= at, "byte {at}");
        assert_eq!(fs::read(&flipped).unwrap(), changed, "the file is not truncated");
    }
}

#[test]
fn wrong_paths_and_wrong_files_are_typed_errors() {
    let folder = Folder::new("paths");
    assert!(matches!(Chain::open(&folder.0, config()), Err(ChainFileError::IsFolder { .. })));
    assert!(matches!(Chain::create(&folder.0, config()), Err(ChainFileError::IsFolder { .. })));
    assert!(matches!(Chain::open(folder.file(), config()), Err(ChainFileError::Io { doing: "open", .. })));
    let nowhere = folder.0.join("no/such/folder");
    assert!(matches!(Chain::create(nowhere, config()), Err(ChainFileError::Io { doing: "create", .. })));
    let chain = Chain::create(folder.file(), config()).unwrap();
    assert!(matches!(Chain::create(folder.file(), config()), Err(ChainFileError::Io { doing: "create", .. })));
    assert!(matches!(Chain::open(folder.file(), config()), Err(ChainFileError::InUse { .. })));
    drop(chain);
    let elsewhere = ChainConfig { network: Network::Signet, ..config() };
    assert!(matches!(
        Chain::open(folder.file(), elsewhere),
        Err(ChainFileError::OtherChain { start_height: START, .. })
    ));
    let later = ChainConfig { start_height: 7, ..config() };
    assert!(matches!(Chain::open(folder.file(), later), Err(ChainFileError::OtherChain { start_height: START, .. })));
    fs::write(folder.file(), "a letter to somebody else").unwrap();
    assert!(matches!(Chain::open(folder.file(), config()), Err(ChainFileError::NotAChain { .. })));
    assert_eq!(fs::read(folder.file()).unwrap(), b"a letter to somebody else");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_life_reopens_as_it_was(steps in steps(), drops in prop::collection::vec(0_u32..4, 60)) {
        let folder = Folder::new("any");
        let path = folder.file();
        let _from_an_earlier_case = fs::remove_file(&path).err();
        let mut chain = Chain::create(&path, config()).unwrap();
        chain.mint(anyone(1).to_p2wsh(), COIN);
        for (step, depth) in steps.iter().zip(drops) {
            apply(&mut chain, step);
            if depth == 3 {
                chain.reorg_drop(2);
            }
        }
        fs::copy(&path, folder.0.join("copy")).unwrap();
        prop_assert!(same(&chain, &Chain::open(folder.0.join("copy"), config()).unwrap()));
    }
}
