//! Blocks of a miner that sides with the counterparty: its transactions come first, and ours are left out.
//!
//! Fees decide a race in the mempool; here the scenario does. A transaction that is left out stays in every mempool until
//! the miner has confirmed a conflicting one.

use std::collections::BTreeSet;

use bitcoin::{OutPoint, Transaction, Txid};

use super::Peer;
use crate::chain::{BlockTemplate, Chain};
use crate::fixture::{ChannelFixture, FixtureError};

/// Which of our transactions the miner leaves out, in addition to those that conflict with the counterparty's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// None.
    Nothing,
    /// Claims of these outputs of a commitment, and of the second-level outputs below them.
    Of(BTreeSet<OutPoint>),
    /// Claims of every output of a commitment, and of the second-level outputs below them.
    Everything,
}

impl Peer {
    /// The template of a miner that sides with this counterparty. Like [`act`](Self::act) it follows from the plan and the
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

/// The output of a confirmed commitment that this outpoint is, or that its second-level transaction spent.
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
