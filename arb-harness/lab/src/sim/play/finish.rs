//! The last phase of a run: no more faults, every channel is closed, and blocks follow until the court is done (I12).

use arb_core::{CloseReason, ContractId, Event, StageRecord};
use bitcoin::OutPoint;

use crate::balance_oracle::UnspentKind;
use crate::sim::checks::outcomes;
use crate::sim::plan::START;
use crate::sim::plan::belief::LATEST;
use crate::sim::plan::conditions::BLOCKS_UNTIL_CALM;
use crate::sim::violation::Violation;
use crate::sim::world::World;

/// Blocks after [`START`] in which everything must end: the latest expiry, twice the irrevocable depth, and time to spare.
const LONGEST: u32 = 1_600;

/// Blocks of calm after which the operator gives small outputs up: fees were at their lowest for a while (I12, A14).
const BLOCKS_UNTIL_GIVEN_UP: u32 = 300;

/// What the operator gives a wallet that has next to nothing, in satoshi.
const DEPOSIT_SAT: u64 = 100_000;

/// Blocks between two turns of the node in this phase.
const BLOCKS_A_TURN: u32 = 6;

impl World {
    /// Ends the faults, closes what is open, and mines until the court has no channel left.
    pub(crate) fn finish(&mut self) -> Result<(), Violation> {
        self.process.faults.stop();
        self.plan.reorgs = 0;
        self.join_at(None)?;
        self.deliver();
        for channel in 0..self.channels.len() {
            let funding = self.channels[channel].fixture.setup().funding;
            if self.chain.spender_of(&funding).is_none() && self.is_watched(channel) {
                let why = CloseReason::Operator;
                self.tell(Event::CloseRequested { channel: self.channels[channel].fixture.id(), why });
                self.channels[channel].closing = true;
            }
        }
        let (calm_from, end) = (self.height() + BLOCKS_UNTIL_CALM, START + LONGEST + self.patience_blocks());
        while (0..self.channels.len()).any(|channel| self.is_watched(channel)) && self.height() < end {
            if self.height() >= calm_from {
                let height = self.height();
                self.conditions.calm_down(height);
                self.adversary_leaves();
                self.chain.set_mempool_min_feerate(self.conditions.minimum_sat_per_kvb(height));
            }
            if self.height() >= calm_from + BLOCKS_UNTIL_GIVEN_UP {
                self.gives_small_outputs_up();
                self.fills_the_wallet();
            }
            self.node_speaks();
            self.mine(BLOCKS_A_TURN)?;
        }
        self.start_again()?;
        let left = |channel: &usize| self.is_watched(*channel);
        let unresolved: Vec<(usize, String)> = (0..self.channels.len())
            .filter(left)
            .map(|channel| {
                let court = self.court();
                let id = self.channels[channel].fixture.id();
                let docket = court.and_then(|court| court.docket(court.index_of(&id)?));
                (channel, format!("{docket:?}"))
            })
            .collect();
        outcomes::invariant_i12_everything_ends(&unresolved)
    }

    /// Blocks that a run may take longer than one with flat fees, without an adversary, and with a node that is never late.
    fn patience_blocks(&self) -> u32 {
        let late = if self.belief.is_some() { LATEST } else { 0 };
        self.conditions.patience_blocks() + late
    }

    /// One more start at the end, after which the node tells everything again: what is resolved stays so (A52).
    fn start_again(&mut self) -> Result<(), Violation> {
        if self.belief.is_none() {
            return Ok(());
        }
        self.restart();
        self.settle()?;
        self.mine(1)
    }

    /// The operator gives up what will never leave anything, at prices as they are now.
    fn gives_small_outputs_up(&mut self) {
        let mut events = Vec::new();
        for channel in 0..self.channels.len() {
            let id = self.channels[channel].fixture.id();
            let docket = self.court().and_then(|court| court.docket(court.index_of(&id)?));
            let Some(docket) = docket else { continue };
            let waiting = docket.contracts.into_iter().filter(|contract| contract.stage == StageRecord::ClaimWanted);
            for contract in waiting {
                let ContractId::Output(output) = contract.id else { continue };
                let outpoint = self.to_be_claimed(&output);
                let htlc = contract.htlc.filter(|_| outpoint == output);
                let least_sat = self.least_value_sat(channel, htlc.map_or(UnspentKind::Own, UnspentKind::Htlc));
                let value_sat = self.chain.utxo(&outpoint).map_or(0, |coin| coin.txout.value.to_sat());
                if least_sat.is_some_and(|least_sat| value_sat < least_sat) {
                    events.push(Event::ClaimAbandoned { channel: id, outpoint });
                }
            }
        }
        for event in events {
            self.tell(event);
        }
    }

    /// The operator gives a wallet that has next to nothing one more coin, so that a commitment which waits for a child, or an
    /// HTLC that nobody else takes, does not wait for ever.
    fn fills_the_wallet(&mut self) {
        if self.economy.poor.is_some() && self.usable_sat() < DEPOSIT_SAT / 2 {
            self.chain.mint(self.process.wallet.deposit_script(), DEPOSIT_SAT);
            self.counts.one("wallet/deposit");
        }
    }

    /// The output of a contract that is to be claimed next: of the commitment, or of the HTLC transaction that spent it, which
    /// has it at the input's own index.
    fn to_be_claimed(&self, output: &OutPoint) -> OutPoint {
        let spent = self.chain.spender_of(output);
        let second = spent.and_then(|(_, txid, input)| Some(OutPoint::new(txid, u32::try_from(input).ok()?)));
        second.unwrap_or(*output)
    }
}
