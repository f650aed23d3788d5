//! What there is to claim: force closes of channels with anchors, drawn from a seed before any policy plays.
//!
//! The draw depends neither on the market nor on the policies: all of them get the same closes for a seed, and close `i`
//! does not depend on how many there are. On our commitment a second-level transaction claims an HTLC and a wallet coin
//! pays for it; its output is claimed after a delay. On theirs an HTLC is claimed directly, and its value pays the fee.
//! Blocks are counted from the market's first.

use arb_core::bolt3::{ChannelType, ClaimPath, INPUT_BASE_WEIGHT, claim_witness_weight};

use crate::market::noise::Noise;

/// Weight of version, lock time, one-byte counts, and marker and flag.
const FRAME_WEIGHT: u64 = 42;
/// A P2WPKH input with its witness, a 73-byte signature counted.
const WALLET_INPUT_WEIGHT: u64 = 273;
/// A P2WPKH output, to the wallet.
const WALLET_OUTPUT_WEIGHT: u64 = 124;
/// A P2WSH output, of a second-level transaction.
const SECOND_LEVEL_OUTPUT_WEIGHT: u64 = 172;

/// The first and last block of a close: twenty days, with blocks before them for HTLCs that had expired.
const CLOSES: (u32, u32) = (100, 2_979);
/// The least and the highest value of a claim.
const AMOUNT_SAT: (u64, u64) = (1_000, 5_000_000);
/// How many blocks before the upstream expiry an outgoing HTLC is due.
const UPSTREAM_MARGIN: u32 = 6;

/// A claim, with all that matters for its fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The index among the claims of its close.
    pub id: usize,
    /// The way in which the output is spent.
    pub kind: ClaimPath,
    /// The value in satoshi.
    pub amount_sat: u64,
    /// The block after which it can be offered; the next one can confirm it. For a second-level output it is the latest
    /// possible block: the real one follows from its HTLC's transaction.
    pub claimable: u32,
    /// The lock time that its transaction needs.
    pub lock_time: u32,
    /// The HTLC's own expiry.
    pub expiry: Option<u32>,
    /// The last block in which it is safe; `None` if only we can claim the output.
    pub deadline: Option<u32>,
    /// For a second-level output: the claim whose transaction makes it, and the delay after that transaction's block.
    pub after: Option<(usize, u32)>,
}

impl Claim {
    /// Whether the value can pay the fee. The counterparty's signature fixes the value of a second-level output, so a
    /// wallet coin pays there.
    #[must_use]
    pub const fn pays_from_value(&self) -> bool {
        !matches!(self.kind, ClaimPath::HtlcTimeout | ClaimPath::HtlcSuccess)
    }

    /// The weight that it adds to a transaction: its input, and the output paired with it.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let witness = claim_witness_weight(self.kind, ChannelType::AnchorsZeroFeeHtlcTx, None);
        let output = if self.pays_from_value() { 0 } else { SECOND_LEVEL_OUTPUT_WEIGHT };
        INPUT_BASE_WEIGHT + witness + output
    }

    /// The most that may go to fees: half of the value (sat).
    #[must_use]
    pub const fn budget_sat(&self) -> u64 {
        self.amount_sat / 2
    }
}

/// The weight of a transaction with these claims. It has one output to the wallet, which is the change if a coin pays.
#[must_use]
pub fn weight<'a>(claims: impl Iterator<Item = &'a Claim>) -> u64 {
    let (mut sum, mut coin) = (FRAME_WEIGHT + WALLET_OUTPUT_WEIGHT, 0);
    for claim in claims {
        sum += claim.weight();
        coin = if claim.pays_from_value() { coin } else { WALLET_INPUT_WEIGHT };
    }
    sum + coin
}

/// A force close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The block with the commitment.
    pub at: u32,
    /// The claims, in the order of their ids.
    pub claims: Vec<Claim>,
}

/// The closes of a seed.
#[must_use]
pub fn draw(seed: u64, closes: u32) -> Vec<Close> {
    (0..closes).map(|index| close(Draw::new(seed, index))).collect()
}

fn close(mut draw: Draw) -> Close {
    let at = draw.blocks(CLOSES.0, CLOSES.1);
    let ours = draw.percent(50);
    let delay = draw.blocks(1, 5) * 144;
    let mut close = Close { at, claims: Vec::new() };
    if draw.percent(90) {
        let (kind, claimable) = if ours { (ClaimPath::ToLocal, at + delay - 1) } else { (ClaimPath::ToRemote, at) };
        let amount_sat = draw.amount_sat();
        close.add(Claim { kind, amount_sat, claimable, ..NOTHING });
    }
    let mut before: Option<Htlc> = None;
    for _ in 0..htlc_count(&mut draw) {
        // Half of the HTLCs share direction and expiry with the one before.
        let again = before.filter(|_| draw.percent(50));
        let htlc = again.unwrap_or_else(|| Htlc::draw(&mut draw, at));
        before = Some(htlc);
        let kind = match (ours, htlc.incoming) {
            (true, true) => ClaimPath::HtlcSuccess,
            (true, false) => ClaimPath::HtlcTimeout,
            (false, true) => ClaimPath::DirectPreimage,
            (false, false) => ClaimPath::DirectTimeout,
        };
        let amount_sat = draw.amount_sat();
        let first = close.add(Claim {
            kind,
            amount_sat,
            claimable: if htlc.incoming { at } else { htlc.expiry.max(at) },
            lock_time: if htlc.incoming { 0 } else { htlc.expiry },
            expiry: Some(htlc.expiry),
            deadline: Some(htlc.deadline),
            ..NOTHING
        });
        if ours {
            let claimable = htlc.deadline + delay - 1;
            let (kind, after) = (ClaimPath::SecondLevelOutput, Some((first, delay)));
            close.add(Claim { kind, amount_sat, claimable, after, ..NOTHING });
        }
    }
    close
}

/// A claim of zero value, for struct updates.
const NOTHING: Claim = Claim {
    id: 0,
    kind: ClaimPath::ToRemote,
    amount_sat: 0,
    claimable: 0,
    lock_time: 0,
    expiry: None,
    deadline: None,
    after: None,
};

impl Close {
    fn add(&mut self, claim: Claim) -> usize {
        let id = self.claims.len();
        self.claims.push(Claim { id, ..claim });
        id
    }
}

/// An HTLC's direction and blocks.
#[derive(Clone, Copy)]
struct Htlc {
    incoming: bool,
    expiry: u32,
    deadline: u32,
}

impl Htlc {
    fn draw(draw: &mut Draw, at: u32) -> Self {
        if draw.percent(50) {
            // Either we closed for this HTLC, 18 blocks before its expiry, or for another reason.
            let far = if draw.percent(50) { 60 } else { 500 };
            let expiry = at + draw.blocks(18, far);
            return Self { incoming: true, expiry, deadline: expiry };
        }
        let delta = match draw.blocks(0, 3) {
            0 => 40,
            1 => 80,
            2 => 144,
            _ => draw.blocks(40, 144),
        };
        // Either we closed for this HTLC, up to 20 blocks after its expiry, or for another reason long before.
        let expiry = if draw.percent(40) { at - draw.blocks(0, 20) } else { at + draw.blocks(0, 300) };
        Self { incoming: false, expiry, deadline: expiry + delta - UPSTREAM_MARGIN }
    }
}

/// Most channels have few HTLCs, some have sixty.
fn htlc_count(draw: &mut Draw) -> u32 {
    let octave = (0..5).find(|_| draw.percent(50)).unwrap_or(5);
    let low = 1 << octave;
    (draw.blocks(low, 2 * low - 1)).min(60) - u32::from(draw.percent(20))
}

/// The random numbers of one close.
struct Draw {
    noise: Noise,
    next: u64,
}

impl Draw {
    fn new(seed: u64, index: u32) -> Self {
        Self { noise: Noise::new(seed, 0x0063_6c6f_0000_0000 | u64::from(index)), next: 0 }
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        self.next += 1;
        self.noise.between(self.next, low, high)
    }

    fn blocks(&mut self, low: u32, high: u32) -> u32 {
        u32::try_from(self.between(low.into(), high.into())).unwrap_or(high)
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.between(0, 99) < chance
    }

    /// Log-uniform: as often from 1,000 to 2,000 as from 1,000,000 to 2,000,000. A sixteenth of an octave is drawn first,
    /// and then a value in it.
    fn amount_sat(&mut self) -> u64 {
        /// 1,000 · 2^(n/16), rounded.
        const STEPS: [u64; 17] = [
            1_000, 1_044, 1_091, 1_139, 1_189, 1_242, 1_297, 1_354, 1_414, 1_477, 1_542, 1_610, 1_682, 1_756, 1_834,
            1_915, 2_000,
        ];
        let (least, most) = AMOUNT_SAT;
        let step = self.between(0, 12 * 16 + 4); // 2^12.3 is 5,000
        let (octave, place) = (step / 16, usize::try_from(step % 16).unwrap_or(0));
        let bounds = STEPS.get(place).zip(STEPS.get(place + 1)).unwrap_or((&least, &most));
        (self.between(*bounds.0 << octave, *bounds.1 << octave)).min(most)
    }
}
