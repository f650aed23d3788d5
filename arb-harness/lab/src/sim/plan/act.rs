//! Abstract actions, drawn one by one; the world turns each into concrete events. An action that is not possible where it
//! comes is left out.

use super::rng::Rng;

/// An abstract action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Blocks are mined.
    Mine(u32),
    /// The counterparty proposes an HTLC.
    Receive,
    /// We propose an HTLC: our own payment, or for an origin outside.
    Pay,
    /// A received HTLC is forwarded.
    Forward,
    /// The next messages of the commitment dance.
    Dance(u64),
    /// The counterparty fulfils an HTLC off chain.
    PeerFulfils,
    /// The counterparty fails an HTLC off chain.
    PeerFails,
    /// Preimages that the node knows by now are told, and HTLCs that it gives up.
    NodeSpeaks,
    /// The estimate moves.
    Fees,
    /// A channel's close begins.
    Close,
    /// The chain turns.
    Reorg(ReorgKind, u32),
}

/// What a reorg brings back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReorgKind {
    /// The same blocks.
    Same,
    /// Empty blocks.
    Empty,
    /// Another commitment in the place of the one that confirmed.
    Swap,
}

impl Act {
    /// The next action; `closing` once the first close has begun.
    pub(crate) fn draw(rng: &mut Rng, closing: bool) -> Self {
        let weights = if closing { [9, 2, 2, 3, 5, 2, 1, 3, 1, 3, 3] } else { [3, 5, 3, 5, 9, 2, 1, 2, 1, 0, 0] };
        match rng.weighted(&weights) {
            0 => Self::Mine(rng.blocks(1, if closing { 12 } else { 3 })),
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
