//! How a counterparty cheats: which history it makes, what its miner leaves out, and when it reveals a secret.

use super::rng::Rng;
use crate::peer::Order;

/// How a counterparty cheats.
#[derive(Clone, Debug)]
pub(crate) struct CheaterPlan {
    /// Rounds of updates that come before the close: HTLCs are added, and most of them removed again.
    pub(crate) rounds: u32,
    /// Blocks that it waits then: what it took out of its newest commitment may expire.
    pub(crate) waits: u32,
    /// Which of its HTLCs it takes first.
    pub(crate) order: Order,
    /// Whether its HTLCs share transactions where they can.
    pub(crate) together: bool,
    /// For how many blocks after the close it mines, and what of ours it leaves out of these.
    pub(crate) mines: u32,
    pub(crate) withholds: Withholds,
    /// It plays a commitment that is not revoked, and reveals its secret this many blocks after it confirmed.
    pub(crate) revokes_late: Option<u32>,
}

/// What a cheat's miner leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withholds {
    Nothing,
    Htlcs,
    Everything,
}

impl CheaterPlan {
    /// The plan of somebody whose own outputs have this delay.
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

    /// Plays what is old already, at the same time as another one, and puts as much as it can into one transaction.
    pub(crate) fn join(&mut self) {
        self.together = true;
        self.revokes_late = None;
        self.waits = 0;
        self.mines = self.mines.max(3);
    }
}
