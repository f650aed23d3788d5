//! How a spent output was spent, read from script and witness (BOLT 5).
//!
//! Everything here is total: any transaction that confirms is an input, whoever wrote it, and what is not understood is
//! `Unknown`, never an error. A path is decided as the script itself decides it, by hash and size of the topmost item,
//! because only that is consensus: shapes that nodes refuse to relay can still be mined.
//!
//! Tests: arb-core/tests/bolt3_incidents.rs, arb-core/tests/bolt3_interpreter.rs

use crate::bolt3::types::{ChannelType, PaymentHash, Point, Preimage};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bitcoin::hashes::{Hash, hash160};
use bitcoin::opcodes::{Opcode, all as op};
use bitcoin::script::{Instruction, InstructionIndices};
use bitcoin::{Script, Transaction, Witness};

/// First byte of a taproot annex (BIP 341).
const ANNEX_TAG: u8 = 0x50;

/// The branch through which an output was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpendPath {
    /// The revocation key: of a delayed output or of an HTLC.
    Revocation,
    /// The owner's delayed key, after the delay.
    Delayed,
    /// HTLC-success, with the preimage that it showed.
    SecondLevelSuccess(Preimage),
    /// HTLC-timeout.
    SecondLevelTimeout,
    /// The other side took an offered HTLC with this preimage.
    Preimage(Preimage),
    /// The other side took a received HTLC after its expiry.
    Timeout,
    /// The 2-of-2 of the funding output.
    Funding,
    /// The other side took its balance. Any P2WPKH output spent by its key also reads like this.
    ToRemote,
    /// An anchor, apparently by its key. A non-empty item that is no valid signature reads like this too.
    AnchorKey,
    /// An anchor, by anybody.
    AnchorAnyone,
    /// None of these.
    Unknown,
}

impl SpendPath {
    /// The preimage that the branch itself shows.
    pub const fn preimage(&self) -> Option<&Preimage> {
        match self {
            Self::SecondLevelSuccess(preimage) | Self::Preimage(preimage) => Some(preimage),
            Self::Revocation
            | Self::Delayed
            | Self::SecondLevelTimeout
            | Self::Timeout
            | Self::Funding
            | Self::ToRemote
            | Self::AnchorKey
            | Self::AnchorAnyone
            | Self::Unknown => None,
        }
    }

    /// Whether an HTLC left by the owner's pre-signed transaction: HTLC-success or HTLC-timeout.
    pub const fn is_second_level(&self) -> bool {
        match self {
            Self::SecondLevelSuccess(_) | Self::SecondLevelTimeout => true,
            Self::Revocation
            | Self::Delayed
            | Self::Preimage(_)
            | Self::Timeout
            | Self::Funding
            | Self::ToRemote
            | Self::AnchorKey
            | Self::AnchorAnyone
            | Self::Unknown => false,
        }
    }

    /// Whether the other side took an HTLC straight from the commitment: with its preimage, or after its expiry.
    pub const fn is_direct(&self) -> bool {
        match self {
            Self::Preimage(_) | Self::Timeout => true,
            Self::Revocation
            | Self::Delayed
            | Self::SecondLevelSuccess(_)
            | Self::SecondLevelTimeout
            | Self::Funding
            | Self::ToRemote
            | Self::AnchorKey
            | Self::AnchorAnyone
            | Self::Unknown => false,
        }
    }
}

/// A witness script of BOLT 3, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScriptTemplate {
    /// The 2-of-2, keys as they stand in the script.
    Funding {
        /// First key.
        first: Point,
        /// Second key.
        second: Point,
    },
    /// `to_local` or a second-level output.
    Delayed {
        /// Revocation key.
        revocation: Point,
        /// CSV delay in blocks.
        delay_blocks: u16,
        /// The owner's delayed key.
        owner_delayed: Point,
    },
    /// `to_remote` of an anchor channel.
    ToRemote {
        /// The other side's payment key.
        key: Point,
    },
    /// A keyed anchor.
    Anchor {
        /// Funding key of the side that it is for.
        key: Point,
    },
    /// An HTLC that the commitment's owner offered.
    Offered {
        /// With or without the one-block delay of anchors.
        channel_type: ChannelType,
        /// HASH160 of the revocation key.
        revocation_hash: [u8; 20],
        /// The other side's HTLC key.
        other_htlc: Point,
        /// The owner's HTLC key.
        owner_htlc: Point,
        /// RIPEMD160 of the payment hash.
        payment_hash160: [u8; 20],
    },
    /// An HTLC that the commitment's owner received.
    Received {
        /// With or without the one-block delay of anchors.
        channel_type: ChannelType,
        /// HASH160 of the revocation key.
        revocation_hash: [u8; 20],
        /// The other side's HTLC key.
        other_htlc: Point,
        /// The owner's HTLC key.
        owner_htlc: Point,
        /// RIPEMD160 of the payment hash.
        payment_hash160: [u8; 20],
        /// Height from which on the other side can take it back.
        cltv_expiry: u32,
    },
}

/// How the output with this scriptPubKey was spent by this witness.
pub fn classify_spend(spent_script_pubkey: &Script, witness: &Witness) -> SpendPath {
    let mut items: Vec<&[u8]> = witness.iter().collect();
    // Only taproot knows an annex, but none of our scripts begins with this byte, so taking it off costs nothing.
    if items.len() >= 2 && items.last().is_some_and(|last| last.first() == Some(&ANNEX_TAG)) {
        items.pop();
    }
    let Some((last, stack)) = items.split_last() else { return SpendPath::Unknown };
    if spent_script_pubkey.is_p2wpkh() {
        return p2wpkh_path(spent_script_pubkey, stack, last);
    }
    let script = Script::from_bytes(last);
    if script.to_p2wsh().as_script() != spent_script_pubkey {
        return SpendPath::Unknown;
    }
    parse_script(script).map_or(SpendPath::Unknown, |template| template.path(stack))
}

/// What a later reader can learn of a witness (A22): all of it if the spend can be classified, because no item of BOLT 3's
/// templates is large; else its 32-byte items, which may be preimages, and at most eight of them. It is classified like the
/// whole witness.
pub fn legible_witness(spent_script_pubkey: &Script, witness: &Witness) -> Witness {
    let is_small = witness.len() <= ITEMS_MAX && witness.iter().all(|item| item.len() <= ITEM_MAX);
    if is_small && classify_spend(spent_script_pubkey, witness) != SpendPath::Unknown {
        return witness.clone();
    }
    let items: Vec<&[u8]> = witness.iter().filter(|item| item.len() == 32).take(PREIMAGES_MAX).collect();
    Witness::from_slice(&items)
}

/// The items of the longest stack that a template takes, its script, and an annex.
const ITEMS_MAX: usize = 6;
/// The most bytes of a stack element (consensus), and more than BOLT 3's scripts have.
const ITEM_MAX: usize = 520;
/// The 32-byte items that are kept of a witness that is not understood.
const PREIMAGES_MAX: usize = 8;

/// Takes a witness script apart; `None` if it is not exactly one of BOLT 3's.
pub fn parse_script(script: &Script) -> Option<ScriptTemplate> {
    let readers = [read_htlc, read_delayed, read_to_remote, read_anchor, read_funding];
    readers.iter().find_map(|read| {
        let mut reader = Reader(script.instruction_indices_minimal());
        let template = read(&mut reader)?;
        reader.end().map(|()| template)
    })
}

/// Every 32-byte witness item of `tx` with the index of its input; whether one matches a hash is the caller's question.
pub fn preimages_in(tx: &Transaction) -> impl Iterator<Item = (usize, Preimage)> + '_ {
    tx.input.iter().enumerate().flat_map(|(index, input)| {
        input.witness.iter().filter_map(move |item| Some((index, Preimage(item.try_into().ok()?))))
    })
}

/// The 32-byte witness items of these transactions by their hash. A transaction may show one item ten thousand times: it is
/// hashed once (A25).
pub fn revealed_by<'a>(txs: impl IntoIterator<Item = &'a Transaction>) -> BTreeMap<PaymentHash, Preimage> {
    let items: BTreeSet<Preimage> =
        txs.into_iter().flat_map(|tx| preimages_in(tx).map(|(_, preimage)| preimage)).collect();
    items.into_iter().map(|preimage| (preimage.hash(), preimage)).collect()
}

impl ScriptTemplate {
    /// The branch that the script takes on this stack (the top is last).
    fn path(&self, stack: &[&[u8]]) -> SpendPath {
        match self {
            Self::Funding { .. } => match stack {
                [[], _, _] => SpendPath::Funding,
                _ => SpendPath::Unknown,
            },
            Self::Delayed { .. } => match stack {
                [_, selector] if is_true(selector) => SpendPath::Revocation,
                [_, _] => SpendPath::Delayed,
                _ => SpendPath::Unknown,
            },
            Self::ToRemote { .. } => match stack {
                [_] => SpendPath::ToRemote,
                _ => SpendPath::Unknown,
            },
            Self::Anchor { .. } => match stack {
                [[]] => SpendPath::AnchorAnyone,
                [_] => SpendPath::AnchorKey,
                _ => SpendPath::Unknown,
            },
            Self::Offered { revocation_hash, payment_hash160, .. } => {
                match (HtlcBranch::of(stack, revocation_hash, payment_hash160), stack) {
                    (HtlcBranch::Revocation, [_, _]) => SpendPath::Revocation,
                    (HtlcBranch::Preimage(preimage), [_, _]) => SpendPath::Preimage(preimage),
                    (HtlcBranch::Other, [[], _, _, _]) => SpendPath::SecondLevelTimeout,
                    _ => SpendPath::Unknown,
                }
            }
            Self::Received { revocation_hash, payment_hash160, .. } => {
                match (HtlcBranch::of(stack, revocation_hash, payment_hash160), stack) {
                    (HtlcBranch::Revocation, [_, _]) => SpendPath::Revocation,
                    (HtlcBranch::Preimage(preimage), [[], _, _, _]) => SpendPath::SecondLevelSuccess(preimage),
                    (HtlcBranch::Other, [_, _]) => SpendPath::Timeout,
                    _ => SpendPath::Unknown,
                }
            }
        }
    }
}

/// What the head of an HTLC script makes of the topmost item.
enum HtlcBranch {
    /// It hashes to the revocation hash.
    Revocation,
    /// It is 32 bytes and fulfils the HTLC.
    Preimage(Preimage),
    /// It is 32 bytes and does not: the script fails.
    Fails,
    /// Any other size: the script drops it. Nodes relay only the empty one.
    Other,
}

impl HtlcBranch {
    fn of(stack: &[&[u8]], revocation_hash: &[u8; 20], payment_hash160: &[u8; 20]) -> Self {
        let Some(top) = stack.last() else { return Self::Fails };
        let hash = hash160::Hash::hash(top).to_byte_array();
        if hash == *revocation_hash {
            return Self::Revocation;
        }
        match <[u8; 32]>::try_from(*top) {
            Ok(bytes) if hash == *payment_hash160 => Self::Preimage(Preimage(bytes)),
            Ok(_) => Self::Fails,
            Err(_) => Self::Other,
        }
    }
}

/// The interpreter's idea of truth: any bit set, except that a lone sign bit is minus zero.
fn is_true(item: &[u8]) -> bool {
    item.split_last().is_some_and(|(last, rest)| rest.iter().any(|byte| *byte != 0) || (*last != 0 && *last != 0x80))
}

/// P2WPKH is spent by its key or not at all.
fn p2wpkh_path(script_pubkey: &Script, stack: &[&[u8]], key: &[u8]) -> SpendPath {
    let program = script_pubkey.as_bytes().get(2..);
    let matches = program == Some(hash160::Hash::hash(key).to_byte_array().as_slice());
    if matches && stack.len() == 1 { SpendPath::ToRemote } else { SpendPath::Unknown }
}

/// Reads a script front to back; every step answers `None` as soon as the script is something else.
struct Reader<'a>(InstructionIndices<'a>);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<Instruction<'a>> {
        self.0.next()?.ok().map(|(_, instruction)| instruction)
    }

    fn op(&mut self, wanted: Opcode) -> Option<()> {
        (self.next()? == Instruction::Op(wanted)).then_some(())
    }

    fn ops(&mut self, wanted: &[Opcode]) -> Option<()> {
        wanted.iter().try_for_each(|opcode| self.op(*opcode))
    }

    fn push<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.next()?.push_bytes()?.as_bytes().try_into().ok()
    }

    fn point(&mut self) -> Option<Point> {
        self.push().map(Point)
    }

    fn number(&mut self) -> Option<i64> {
        self.next()?.script_num()
    }

    fn exactly(&mut self, wanted: i64) -> Option<()> {
        (self.number()? == wanted).then_some(())
    }

    fn end(&mut self) -> Option<()> {
        self.0.next().is_none().then_some(())
    }
}

fn read_funding(script: &mut Reader<'_>) -> Option<ScriptTemplate> {
    script.exactly(2)?;
    let (first, second) = (script.point()?, script.point()?);
    script.exactly(2)?;
    script.op(op::OP_CHECKMULTISIG)?;
    Some(ScriptTemplate::Funding { first, second })
}

fn read_delayed(script: &mut Reader<'_>) -> Option<ScriptTemplate> {
    script.op(op::OP_IF)?;
    let revocation = script.point()?;
    script.op(op::OP_ELSE)?;
    let delay_blocks = u16::try_from(script.number()?).ok()?;
    script.ops(&[op::OP_CSV, op::OP_DROP])?;
    let owner_delayed = script.point()?;
    script.ops(&[op::OP_ENDIF, op::OP_CHECKSIG])?;
    Some(ScriptTemplate::Delayed { revocation, delay_blocks, owner_delayed })
}

fn read_to_remote(script: &mut Reader<'_>) -> Option<ScriptTemplate> {
    let key = script.point()?;
    script.op(op::OP_CHECKSIGVERIFY)?;
    script.exactly(1)?;
    script.op(op::OP_CSV)?;
    Some(ScriptTemplate::ToRemote { key })
}

fn read_anchor(script: &mut Reader<'_>) -> Option<ScriptTemplate> {
    let key = script.point()?;
    script.ops(&[op::OP_CHECKSIG, op::OP_IFDUP, op::OP_NOTIF])?;
    script.exactly(16)?;
    script.ops(&[op::OP_CSV, op::OP_ENDIF])?;
    Some(ScriptTemplate::Anchor { key })
}

/// Both HTLC scripts: they differ from the opcode after `SIZE 32 EQUAL` on. Their lengths do not tell them apart.
fn read_htlc(script: &mut Reader<'_>) -> Option<ScriptTemplate> {
    script.ops(&[op::OP_DUP, op::OP_HASH160])?;
    let revocation_hash = script.push()?;
    script.ops(&[op::OP_EQUAL, op::OP_IF, op::OP_CHECKSIG, op::OP_ELSE])?;
    let other_htlc = script.point()?;
    script.ops(&[op::OP_SWAP, op::OP_SIZE])?;
    script.exactly(32)?;
    script.op(op::OP_EQUAL)?;
    let branch = script.next()?;
    if branch == Instruction::Op(op::OP_NOTIF) {
        script.op(op::OP_DROP)?;
        let owner_htlc = read_two_of_two(script)?;
        script.ops(&[op::OP_ELSE, op::OP_HASH160])?;
        let payment_hash160 = script.push()?;
        script.ops(&[op::OP_EQUALVERIFY, op::OP_CHECKSIG])?;
        let channel_type = read_htlc_tail(script)?;
        Some(ScriptTemplate::Offered { channel_type, revocation_hash, other_htlc, owner_htlc, payment_hash160 })
    } else if branch == Instruction::Op(op::OP_IF) {
        script.op(op::OP_HASH160)?;
        let payment_hash160 = script.push()?;
        script.op(op::OP_EQUALVERIFY)?;
        let owner_htlc = read_two_of_two(script)?;
        script.ops(&[op::OP_ELSE, op::OP_DROP])?;
        let cltv_expiry = u32::try_from(script.number()?).ok()?;
        script.ops(&[op::OP_CLTV, op::OP_DROP, op::OP_CHECKSIG])?;
        let channel_type = read_htlc_tail(script)?;
        Some(ScriptTemplate::Received {
            channel_type,
            revocation_hash,
            other_htlc,
            owner_htlc,
            payment_hash160,
            cltv_expiry,
        })
    } else {
        None
    }
}

fn read_two_of_two(script: &mut Reader<'_>) -> Option<Point> {
    script.exactly(2)?;
    script.op(op::OP_SWAP)?;
    let owner_htlc = script.point()?;
    script.exactly(2)?;
    script.op(op::OP_CHECKMULTISIG)?;
    Some(owner_htlc)
}

/// The end of an HTLC script, which tells the channel type.
fn read_htlc_tail(script: &mut Reader<'_>) -> Option<ChannelType> {
    script.op(op::OP_ENDIF)?;
    let next = script.next()?;
    if next == Instruction::Op(op::OP_ENDIF) {
        return Some(ChannelType::StaticRemotekey);
    }
    if next != Instruction::Op(op::OP_PUSHNUM_1) {
        return None;
    }
    script.ops(&[op::OP_CSV, op::OP_DROP, op::OP_ENDIF])?;
    Some(ChannelType::AnchorsZeroFeeHtlcTx)
}
