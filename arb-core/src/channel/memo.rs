//! What a frozen channel's commitments were built to, kept beside its state.
//!
//! Deriving a commitment's keys costs more than everything else that a view does, and a view is derived whenever a channel is
//! touched. Frozen, the set takes no new commitments, so what was built once stays right. Not part of the state: it is in no
//! log and no checkpoint, two courts are equal whatever they remember, and a view without it is the same, only slower.

use super::{ChannelArbitrator, Commitment, Rebuilt};
use crate::facts::Side;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bitcoin::OutPoint;
use bitcoin::secp256k1::Secp256k1;

/// The commitments of a frozen channel as they were built.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memo(Vec<Arc<Known>>);

#[derive(Debug)]
struct Known {
    owner: Side,
    commitment: Commitment,
    funding: OutPoint,
    rebuilt: Rebuilt,
}

impl PartialEq for Memo {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Memo {}

impl Memo {
    /// What this very commitment was built to, if that is known.
    pub(crate) fn get(&self, owner: Side, commitment: &Commitment, funding: &OutPoint) -> Option<Rebuilt> {
        let same =
            |known: &&Arc<Known>| known.owner == owner && known.funding == *funding && known.commitment == *commitment;
        self.0.iter().find(same).map(|known| known.rebuilt.clone())
    }
}

impl ChannelArbitrator {
    /// Builds the set of a frozen channel, once.
    pub(crate) fn remember(&mut self) {
        if self.ratchet.frozen.is_none() || !self.memo.0.is_empty() {
            return;
        }
        let secp = Secp256k1::new();
        let mut known = Vec::new();
        for (owner, commitment) in self.set.all() {
            for funding in &self.facts.fundings {
                let Some(rebuilt) = self.rebuild(&secp, owner, commitment, funding) else { continue };
                let (commitment, funding) = (commitment.clone(), funding.outpoint);
                known.push(Arc::new(Known { owner, commitment, funding, rebuilt }));
            }
        }
        self.memo = Memo(known);
    }
}
