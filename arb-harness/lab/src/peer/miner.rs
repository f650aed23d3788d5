//! Blocks of a miner who sides with the counterparty: its transactions first, and ours left out.
//!
//! Fees decide who wins a race in the mempool; here the scenario does. What is left out stays in the mempool, as it does
//! with everybody else, until the miner has put something against it into a block.

use std::collections::BTreeSet;

use bitcoin::{OutPoint, Transaction, Txid};

use super::Peer;
use crate::chain::{BlockTemplate, Chain};
use crate::fixture::{ChannelFixture, FixtureError};

/// Which of our transactions the miner leaves out, beyond those that the counterparty's own stand against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// None.
    Nothing,
    /// What claims one of these outputs of a commitment, or what a second-level transaction made of it.
    Of(BTreeSet<OutPoint>),
    /// What claims any output of a commitment, or what a second-level transaction made of it.
    Everything,
}

impl Peer {
    /// The next block of a miner who sides with this counterparty. Like [`act`](Self::act) it follows from the plan and the
    /// chain, so it may be asked again.
    pub fn template(
        &mut self,
        fixtures: &[&ChannelFixture],
        chain: &Chain,
        withheld: &Withheld,
    ) -> Result<BlockTemplate, FixtureError> {
        let first = self.wishes(fixtures, chain)?;
        let own: BTreeSet<Txid> = first.iter().map(Transaction::compute_txid).collect();
        let fundings: BTreeSet<OutPoint> = fixtures.iter().map(|fixture| fixture.setup().funding).collect();
        let is_withheld = |tx: &&Transaction| {
            let mut claimed = tx.input.iter().filter_map(|input| claimed(chain, &fundings, input.previous_output));
            match withheld {
                Withheld::Nothing => false,
                Withheld::Of(outputs) => claimed.any(|output| outputs.contains(&output)),
                Withheld::Everything => claimed.next().is_some(),
            }
        };
        let leaves_out = chain.mempool().filter(is_withheld).map(Transaction::compute_txid);
        let leaves_out = leaves_out.filter(|txid| !own.contains(txid)).collect();
        Ok(BlockTemplate { first, leaves_out, ..BlockTemplate::default() })
    }
}

/// The output of a confirmed commitment that an outpoint is, or was before a second-level transaction.
fn claimed(chain: &Chain, fundings: &BTreeSet<OutPoint>, outpoint: OutPoint) -> Option<OutPoint> {
    let is_commitment = |tx: &Transaction| tx.input.iter().any(|input| fundings.contains(&input.previous_output));
    let (_, parent) = chain.confirmed(&outpoint.txid)?;
    if is_commitment(parent) {
        return Some(outpoint);
    }
    let paired = parent.input.get(usize::try_from(outpoint.vout).ok()?)?.previous_output;
    let (_, grandparent) = chain.confirmed(&paired.txid)?;
    is_commitment(grandparent).then_some(paired)
}
