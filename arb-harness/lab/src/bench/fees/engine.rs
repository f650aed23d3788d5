//! Plays one close under one policy, and keeps the account.
//!
//! In each block: the block is mined, with every transaction that pays its price. Deadlines pass: the counterparty takes
//! what is left, and transactions that spend it are void. New claims become claimable. Then the policy is asked. The engine
//! checks the answers: the weight is enough, outputs are not dust, BIP 125 holds. Closes have no effect on each other, and
//! no fee changes the market.

use super::claims::{Close, weight};
use super::mempool::{Accepted, Entry, Mempool};
use super::policy::{FeePolicy, Now, Offered, OpenClaim};
use super::verdict::{DUST_SAT, Verdict};
use crate::market::Tape;

/// The result of the claims that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Claims with a deadline.
    pub claims_due: u64,
    /// Claims whose deadline no budget could have met; no other number counts them.
    pub hopeless: u64,
    /// Claims that did not confirm by their deadline.
    pub deadlines_missed: u64,
    /// The value of all counted claims (sat).
    pub value_sat: u64,
    /// Fees paid from that value (sat).
    pub fees_from_value_sat: u64,
    /// Fees paid by the wallet's coins (sat).
    pub fees_from_wallet_sat: u64,
    /// What reached the wallet (sat).
    pub recovered_sat: i64,
    /// What did not: taken by the counterparty, or never claimed (sat).
    pub lost_sat: u64,
    /// How often a transaction replaced others.
    pub replacements: u64,
}

impl Account {
    /// Adds another account.
    pub fn add(&mut self, other: &Self) {
        self.claims_due += other.claims_due;
        self.hopeless += other.hopeless;
        self.deadlines_missed += other.deadlines_missed;
        self.value_sat += other.value_sat;
        self.fees_from_value_sat += other.fees_from_value_sat;
        self.fees_from_wallet_sat += other.fees_from_wallet_sat;
        self.recovered_sat += other.recovered_sat;
        self.lost_sat += other.lost_sat;
        self.replacements += other.replacements;
    }
}

/// Plays a close to its end.
#[must_use]
pub fn play(close: &Close, verdicts: &[Verdict], tape: &Tape, policy: &mut dyn FeePolicy) -> Account {
    let mut play = Play::new(close, verdicts);
    let mut block = close.at;
    while play.counted_left > 0
        && let (Some(clearing), Some(fees)) = (tape.clearing(block), tape.estimates(block))
    {
        for entry in play.mempool.mine(clearing) {
            play.confirm(&entry, block);
        }
        play.pass_deadlines(block);
        play.mature(block);
        if play.open.is_empty() {
            let Some(next) = play.waiting.iter().map(|(at, _)| *at).min() else { break };
            block = next.max(block + 1);
            continue;
        }
        let now = Now { tip: block, fees };
        let offers = policy.block(&now, &play.open_claims());
        for offered in offers {
            play.offer(offered, fees.least_sat_per_kw());
        }
        block += 1;
    }
    play.end()
}

struct Play<'a> {
    close: &'a Close,
    verdicts: &'a [Verdict],
    /// Claims that are open, in no order.
    open: Vec<usize>,
    /// Claims that are open after a block, with that block.
    waiting: Vec<(u32, usize)>,
    mempool: Mempool,
    /// Counted claims that have not ended; with none left the play ends.
    counted_left: usize,
    account: Account,
}

impl<'a> Play<'a> {
    fn new(close: &'a Close, verdicts: &'a [Verdict]) -> Self {
        let mut account = Account::default();
        let (mut waiting, mut counted_left) = (Vec::new(), 0);
        for claim in close.claims.iter().filter(|claim| claim.after.is_none()) {
            waiting.push((claim.claimable, claim.id));
            let due = u64::from(claim.deadline.is_some());
            match verdicts[claim.id] {
                Verdict::Counted => {
                    counted_left += 1;
                    account.claims_due += due;
                    account.value_sat += claim.amount_sat;
                }
                Verdict::Hopeless => account.hopeless += due,
                Verdict::Uneconomic => {}
            }
        }
        Self { close, verdicts, open: Vec::new(), waiting, mempool: Mempool::default(), counted_left, account }
    }

    fn counts(&self, claim: usize) -> bool {
        self.verdicts[claim] == Verdict::Counted
    }

    fn mature(&mut self, block: u32) {
        let open = &mut self.open;
        self.waiting.retain(|(claimable, id)| {
            let early = *claimable > block;
            if !early {
                open.push(*id);
            }
            early
        });
    }

    fn open_claims(&self) -> Vec<OpenClaim<'a>> {
        let open = self.open.iter();
        open.map(|id| OpenClaim { claim: &self.close.claims[*id], standing: self.mempool.standing(*id) }).collect()
    }

    /// Ignores a malformed offer; the mempool checks the others.
    fn offer(&mut self, mut offered: Offered, floor: u32) {
        offered.claims.sort_unstable();
        let twice = offered.claims.windows(2).any(|two| two[0] == two[1]);
        let closed = offered.claims.iter().any(|claim| !self.open.contains(claim));
        if offered.claims.is_empty() || twice || closed {
            return;
        }
        let claims = || offered.claims.iter().map(|id| &self.close.claims[*id]);
        let by_wallet = claims().any(|claim| !claim.pays_from_value());
        let value: u64 = claims().map(|claim| if claim.pays_from_value() { claim.amount_sat } else { 0 }).sum();
        let dust = !by_wallet && value < offered.fee_sat + DUST_SAT;
        if dust || offered.weight < weight(claims()) {
            return;
        }
        if let Ok(Accepted::Replaced(_)) = self.mempool.offer(&offered, floor)
            && offered.claims.iter().any(|claim| self.counts(*claim))
        {
            self.account.replacements += 1;
        }
    }

    /// Books a confirmed transaction. Its fee is split by weight, so a claim that does not count bears its share.
    fn confirm(&mut self, entry: &Entry, block: u32) {
        let all: u64 = entry.claims.iter().map(|id| self.close.claims[*id].weight()).sum();
        let mut before = 0;
        for id in &entry.claims {
            let claim = &self.close.claims[*id];
            let after = before + claim.weight();
            let share = |weight: u64| entry.standing.fee_sat * weight / all;
            let fee_sat = share(after) - share(before);
            before = after;
            self.open.retain(|open| open != id);
            let second = self.close.claims.get(id + 1).filter(|next| next.after.is_some_and(|(first, _)| first == *id));
            if let Some((second, (_, delay))) = second.and_then(|second| Some((second, second.after?))) {
                self.waiting.push((block + delay - 1, second.id));
                self.account.fees_from_wallet_sat += if self.counts(*id) { fee_sat } else { 0 };
            } else if self.counts(*id) {
                self.account.fees_from_value_sat += fee_sat;
                self.account.recovered_sat += signed(claim.amount_sat) - signed(fee_sat);
                self.counted_left -= 1;
            }
        }
    }

    fn pass_deadlines(&mut self, block: u32) {
        let passed = |id: &usize| self.close.claims[*id].deadline.is_some_and(|deadline| deadline <= block);
        let missed: Vec<usize> = self.open.extract_if(.., |id| passed(id)).collect();
        for id in missed {
            self.mempool.void(id);
            if self.counts(id) {
                self.account.deadlines_missed += 1;
                self.account.lost_sat += self.close.claims[id].amount_sat;
                self.counted_left -= 1;
            }
        }
    }

    /// Books what was never claimed when the market ends.
    fn end(mut self) -> Account {
        let left: Vec<usize> = self.open.iter().copied().chain(self.waiting.iter().map(|(_, id)| *id)).collect();
        for id in left {
            self.account.lost_sat += if self.counts(id) { self.close.claims[id].amount_sat } else { 0 };
        }
        self.account
    }
}

fn signed(sat: u64) -> i64 {
    i64::try_from(sat).unwrap_or(i64::MAX)
}
