//! Acts, drawn one by one. The world turns each act into events; an act that is not possible at that moment is left out.

use super::rng::Rng;

/// One act of the world outside the court.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// This many blocks are mined.
    Mine(u32),
    /// The counterparty proposes an HTLC.
    Receive,
    /// We propose an HTLC: for our own payment, or for an upstream HTLC outside this node.
    Pay,
    /// A received HTLC is forwarded.
    Forward,
    /// This many messages of the commitment dance.
    Dance(u64),
    /// The counterparty fulfils an HTLC off chain.
    PeerFulfils,
    /// The counterparty fails an HTLC off chain.
    PeerFails,
    /// The node tells the court the preimages that it knows by now and the HTLCs that it gives up.
    NodeSpeaks,
    /// The fee estimate changes.
    Fees,
    /// A channel's close begins.
    Close,
    /// A reorg of this kind and depth.
    Reorg(ReorgKind, u32),
}

/// What follows the blocks that a reorg disconnects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReorgKind {
    /// The same blocks again.
    Same,
    /// Empty blocks; the mempool is empty, too.
    Empty,
    /// Another close in the place of the one that confirmed.
    Swap,
}

/// How often each act is drawn, in the order of [`Act`], and the most blocks that are mined at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ActWeights {
    pub(crate) of: [u64; 11],
    pub(crate) most_blocks: u32,
}

impl Act {
    /// Draws the next act.
    pub(crate) fn draw(rng: &mut Rng, weights: ActWeights) -> Self {
        match rng.weighted(&weights.of) {
            0 => Self::Mine(rng.blocks(1, weights.most_blocks)),
            1 => Self::Receive,
            2 => Self::Pay,
            3 => Self::Forward,
            4 => Self::Dance(rng.between(1, 4)),
            5 => Self::PeerFulfils,
            6 => Self::PeerFails,
            7 => Self::NodeSpeaks,
            8 => Self::Fees,
            9 => Self::Close,
            _ => {
                let turn = [ReorgKind::Same, ReorgKind::Empty, ReorgKind::Swap][rng.weighted(&[1, 1, 3])];
                Self::Reorg(turn, rng.blocks(1, 6))
            }
        }
    }
}
