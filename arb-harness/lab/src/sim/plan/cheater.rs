//! How a cheating peer acts: its history before the close, its own miner, and a late revocation.

use super::rng::Rng;
use crate::peer::Order;

/// What a peer does around the publication of a commitment that is revoked, or will be.
#[derive(Clone, Debug)]
pub(crate) struct CheaterPlan {
    /// Rounds of updates before the close; each adds HTLCs and removes most of them.
    pub(crate) rounds: u32,
    /// Blocks between these rounds and the close: HTLCs that its newest commitment no longer has may expire.
    pub(crate) waits: u32,
    /// Which HTLCs it claims first.
    pub(crate) order: Order,
    /// Whether its HTLC claims share transactions if their type and lock time allow it.
    pub(crate) together: bool,
    /// For how many blocks after the close its own miner finds every block.
    pub(crate) mines: u32,
    /// What its miner leaves out of these blocks.
    pub(crate) withholds: Withholds,
    /// It publishes a commitment that is not revoked, and revokes it this many blocks after it confirmed.
    pub(crate) revokes_late: Option<u32>,
}

/// Which of our claims the cheating peer's miner leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withholds {
    Nothing,
    Htlcs,
    Everything,
}

impl CheaterPlan {
    /// Draws the plan of a peer whose own outputs have this CSV delay.
    pub(crate) fn draw(rng: &mut Rng, delay_blocks: u16) -> Self {
        let delay = u32::from(delay_blocks);
        let orders = [Order::AsTheyCome, Order::SuccessFirst, Order::TimeoutFirst];
        let withholds = [Withholds::Nothing, Withholds::Htlcs, Withholds::Everything];
        let mines = match rng.weighted(&[3, 6, 1]) {
            0 => 0,
            1 => rng.blocks(1, delay.saturating_sub(2)),
            _ => rng.blocks(delay, delay + 12),
        };
        Self {
            rounds: rng.blocks(1, 3),
            waits: if rng.percent(35) { rng.blocks(20, 80) } else { 0 },
            order: orders[rng.weighted(&[2, 1, 1])],
            together: rng.percent(60),
            mines,
            withholds: withholds[rng.weighted(&[1, 1, 2])],
            revokes_late: rng.percent(12).then(|| rng.blocks(0, 3)),
        }
    }

    /// Publishes a revoked commitment at the same time as on another channel, with as many HTLCs as possible in one
    /// transaction.
    pub(crate) fn cheat_together(&mut self) {
        self.together = true;
        self.revokes_late = None;
        self.waits = 0;
        self.mines = self.mines.max(3);
    }
}
