//! Turns abstract actions into concrete ones: updates, dances, preimages, blocks. Closes and reorgs are in
//! [`closes`](super::closes).

use arb_core::bolt3::{Preimage, is_trimmed};
use arb_core::{Acknowledged, CloseKind, Event, Height, Htlc, HtlcKey, Link, Side};
use bitcoin::Transaction;

use super::Violation;
use super::lane::{Change, Message};
use super::plan::Act;
use super::weather::act_name;
use super::world::{Destiny, Payment, World};
use crate::chain::BlockTemplate;
use crate::peer::PeerPlan;

impl World {
    /// The tip.
    pub(super) fn height(&self) -> u32 {
        self.chain.tip().0
    }

    /// Carries an action out, as far as it is possible.
    pub(super) fn act(&mut self, act: Act) -> Result<(), Violation> {
        self.note(|| format!("{act:?}"));
        match act {
            Act::Mine(blocks) => self.mine(blocks)?,
            Act::Receive => self.receive(),
            Act::Pay => self.pay(),
            Act::Forward => self.forward(),
            Act::Dance(messages) => {
                for _ in 0..messages {
                    self.dance()?;
                }
            }
            Act::PeerFulfils => self.peer_ends(true),
            Act::PeerFails => self.peer_ends(false),
            Act::NodeSpeaks => self.node_speaks(),
            Act::Fees => {
                self.plan.feerate_sat_per_kw = self.rng.blocks(253, 1500);
                self.fees();
            }
            Act::Close => self.close_next()?,
            Act::Reorg(turn, depth) => self.reorg(turn, depth)?,
        }
        self.settle()?;
        self.node_reacts()
    }

    fn open_lane(&mut self) -> Option<usize> {
        let open: Vec<usize> = (0..self.lanes.len()).filter(|lane| self.lanes[*lane].is_open()).collect();
        self.rng.pick(&open)
    }

    fn amount_msat(&mut self, lane: usize, spendable_sat: u64) -> Option<u64> {
        let plan = &self.lanes[lane].plan;
        let (dust_sat, feerate) = (plan.dust_limit_sat, u64::from(plan.feerate_sat_per_kw));
        let amount_sat = match self.rng.weighted(&[2, 2, 4, 3, 1]) {
            0 => self.rng.between(1, 353),
            1 => self.rng.between(354, 4_000),
            2 => self.rng.between(4_001, 60_000),
            3 => self.rng.between(60_001, 400_000),
            // Between what BOLT 3 trims for a timeout and for a success transaction: an output on one side only.
            _ => dust_sat + self.rng.between(663 * feerate / 1000, 703 * feerate / 1000),
        };
        (amount_sat <= spendable_sat).then(|| amount_sat * 1000 + self.rng.between(0, 999))
    }

    /// A hash and an amount: new, or those of an HTLC that there is already.
    fn terms(&mut self, lane: usize, by: Side) -> Option<(Preimage, u64)> {
        let spendable_sat = self.lanes[lane].spendable_sat(by);
        let mut amount_msat = self.amount_msat(lane, spendable_sat)?;
        let known = self.preimages.clone();
        if !self.rng.percent(20) || known.is_empty() {
            return Some((self.new_preimage(), amount_msat));
        }
        let preimage = self.rng.pick(&known)?;
        let same: Vec<u64> = self.lanes[lane]
            .htlcs()
            .filter(|htlc| htlc.payment_hash == preimage.hash())
            .map(|htlc| htlc.amount_msat)
            .filter(|amount| amount / 1000 <= spendable_sat)
            .collect();
        if let Some(same) = self.rng.pick(&same).filter(|_| self.rng.percent(60)) {
            amount_msat = same;
            self.counts.one("htlc/duplicate_hash_and_amount");
        }
        self.counts.one("htlc/duplicate_hash");
        Some((preimage, amount_msat))
    }

    fn add(&mut self, lane: usize, by: Side, terms: (Preimage, u64), expiry: u32, link: Link) -> HtlcKey {
        let (preimage, amount_msat) = terms;
        let at = &mut self.lanes[lane];
        let key = at.next_id(by);
        let plan = &at.plan;
        let trimmed = |offered_by_owner| {
            is_trimmed(plan.channel_type, plan.feerate_sat_per_kw, plan.dust_limit_sat, offered_by_owner, amount_msat)
        };
        match (trimmed(true), trimmed(false)) {
            (true, true) => self.counts.one("htlc/dust"),
            (true, false) | (false, true) => self.counts.one("htlc/trimmed_on_one_side"),
            (false, false) => {}
        }
        let tag = vec![u8::try_from(key.id).unwrap_or(u8::MAX)];
        let cltv_expiry = Height::new(expiry);
        at.propose(by, Change::Add(Htlc { key, amount_msat, payment_hash: preimage.hash(), cltv_expiry, link, tag }));
        let key = at.key(key);
        self.note(|| {
            format!("lane {lane}: {by:?} proposes {} of {amount_msat} msat until {expiry}, {link:?}", key.htlc)
        });
        key
    }

    /// The counterparty proposes an HTLC.
    fn receive(&mut self) {
        if let Some(lane) = self.open_lane() {
            self.receive_on(lane);
        }
    }

    /// The same on one channel.
    pub(super) fn receive_on(&mut self, lane: usize) {
        let Some(terms) = self.terms(lane, Side::Remote) else { return };
        let height = self.height();
        let linked = self.lanes.len() > 1 && self.rng.percent(70);
        let (destiny, expiry) = if linked {
            (Destiny::Forward, height + self.rng.blocks(75, 150))
        } else {
            let expiry = height + self.rng.blocks(40, 110);
            let known = self.rng.blocks(height, expiry + 4);
            let destiny = [Destiny::Known(known), Destiny::GivenUp(known), Destiny::Never];
            (destiny[self.rng.weighted(&[6, 1, 2])], expiry)
        };
        let received = self.add(lane, Side::Remote, terms, expiry, Link::Received);
        self.payments.push(Payment { lane, received, preimage: terms.0, destiny, forwarded: None, told: false });
    }

    /// We propose an HTLC of our own, or for somebody outside.
    fn pay(&mut self) {
        if let Some(lane) = self.open_lane() {
            self.pay_on(lane);
        }
    }

    /// The same on one channel.
    pub(super) fn pay_on(&mut self, lane: usize) {
        let Some(terms) = self.terms(lane, Side::Local) else { return };
        let expiry = self.height() + self.rng.blocks(34, 100);
        let link = if self.rng.percent(35) {
            self.counts.one("htlc/relayed");
            Link::Relay { deadline: Height::new(expiry + self.rng.blocks(34, 60)) }
        } else {
            self.counts.one("htlc/own_payment");
            Link::Own
        };
        self.add(lane, Side::Local, terms, expiry, link);
        self.peer_learns(lane, terms.0, expiry);
    }

    /// Whether and when the counterparty of a channel knows a preimage.
    fn peer_learns(&mut self, lane: usize, preimage: Preimage, expiry: u32) {
        let cheats = self.lanes[lane].plan.close == CloseKind::Revoked;
        if self.rng.percent(if self.plan.one_peer { 90 } else { 60 }) {
            // In time or just too late; or, where it can still claim then, after the origin was given up.
            let late = self.lanes[lane].plan.close == CloseKind::Unknown && self.rng.percent(50);
            let (first, last) = if late { (expiry + 30, expiry + 80) } else { (self.height(), expiry + 6) };
            let fights = self.foe.as_ref().is_some_and(|(fighting, _)| *fighting == lane);
            let from = self.rng.blocks(first, last);
            // An opponent has them from the start, and shows them when it pleases; most cheats do the same.
            let at_once = fights || self.plan.one_peer || (cheats && self.rng.percent(60));
            let from = if at_once { self.height() } else { from };
            self.lanes[lane].peer.plan_mut().preimages.entry(preimage).or_insert(from);
        }
    }

    /// Forwards a received HTLC that is irrevocably committed, or fails it where that is not possible. Never one that a
    /// mutual close has failed before: nothing would pay for it upstream any more.
    fn forward(&mut self) {
        let ready: Vec<usize> = (0..self.payments.len())
            .filter(|index| {
                let payment = &self.payments[*index];
                let waits = payment.destiny == Destiny::Forward && payment.forwarded.is_none() && !payment.told;
                waits && self.lanes[payment.lane].stands(payment.received.htlc)
            })
            .collect();
        let Some(index) = self.rng.pick(&ready) else { return };
        let payment = self.payments[index].clone();
        let to = 1 - payment.lane;
        let terms = self.lanes[payment.lane].htlcs().find(|htlc| htlc.key == payment.received.htlc).cloned();
        let Some(htlc) = terms else { return };
        let amount_msat = htlc.amount_msat - htlc.amount_msat / 100;
        let expiry = htlc.cltv_expiry.get().saturating_sub(self.rng.blocks(34, 60));
        let can = self.lanes[to].is_open()
            && amount_msat / 1000 <= self.lanes[to].spendable_sat(Side::Local)
            && expiry > self.height() + 6;
        if !can {
            return self.fail_back(index);
        }
        let link = Link::Forward(payment.received);
        let sent = self.add(to, Side::Local, (payment.preimage, amount_msat), expiry, link);
        self.payments[index].forwarded = Some((to, sent));
        self.peer_learns(to, payment.preimage, expiry);
    }

    /// The node fails a received HTLC.
    pub(super) fn fail_back(&mut self, index: usize) {
        let (lane, htlc) = (self.payments[index].lane, self.payments[index].received);
        self.payments[index].told = true;
        self.counts.one("htlc/given_up_by_node");
        self.lanes[lane].propose_end(htlc.htlc, false);
        self.tell(Event::HtlcGivenUp { htlc });
    }

    /// The node settles a received HTLC: by an update if that is possible, and on chain if it must be.
    pub(super) fn settle_back(&mut self, index: usize) {
        let (lane, htlc, preimage) =
            (self.payments[index].lane, self.payments[index].received, self.payments[index].preimage);
        self.payments[index].told = true;
        if self.lanes[lane].frozen {
            self.counts.one("htlc/preimage_learnt_late");
        }
        self.lanes[lane].propose_end(htlc.htlc, true);
        self.node.preimages.insert(htlc, preimage);
        self.tell(Event::PreimageLearned { preimage, usable_for: vec![htlc] });
    }

    /// One message of the commitment dance, where one is possible.
    pub(super) fn dance(&mut self) -> Result<(), Violation> {
        let messages = [Message::LocalSigned, Message::RemoteSigned, Message::RemoteRevoked];
        let mut possible = Vec::new();
        for lane in (0..self.lanes.len()).filter(|lane| self.lanes[*lane].is_open()) {
            possible.extend(messages.into_iter().filter(|m| self.lanes[lane].may(*m)).map(|m| (lane, m)));
        }
        match self.rng.pick(&possible) {
            Some((lane, message)) => self.exchange(lane, message).map(|_| ()),
            None => Ok(()),
        }
    }

    /// One message of one channel; whether the court let it pass.
    pub(super) fn exchange(&mut self, lane: usize, message: Message) -> Result<bool, Violation> {
        let event = self.lanes[lane].message(message).map_err(Violation::world)?;
        self.note(|| format!("lane {lane}: {message:?}"));
        self.lanes[lane].arriving = message == Message::LocalSigned;
        let heard = self.ask(event)?;
        self.lanes[lane].arriving = false;
        if heard {
            self.lanes[lane].heard(message);
            if self.lanes[lane].frozen {
                // It was accepted in the step that froze the channel, or before.
                let owed = self.lanes[lane].on_unrevoked();
                self.lanes[lane].owed.extend(owed.iter().map(|htlc| htlc.key).filter(|htlc| htlc.is_offered()));
            }
            self.node_reacts()?;
        }
        Ok(heard)
    }

    /// The counterparty ends an HTLC that we sent, off chain.
    fn peer_ends(&mut self, fulfil: bool) {
        if let Some(lane) = self.open_lane() {
            self.peer_ends_on(lane, fulfil);
        }
    }

    /// The same on one channel.
    pub(super) fn peer_ends_on(&mut self, lane: usize, fulfil: bool) {
        let height = self.height();
        let known = self.lanes[lane].peer.plan().preimages.clone();
        let preimage_of = |htlc: &Htlc| {
            let mut known = known.iter().filter(|(_, from)| **from <= height).map(|(preimage, _)| *preimage);
            known.find(|preimage| preimage.hash() == htlc.payment_hash)
        };
        let adds = self.lanes[lane].settled_adds();
        let offered: Vec<Htlc> =
            adds.into_iter().filter(|htlc| htlc.key.is_offered() && (!fulfil || preimage_of(htlc).is_some())).collect();
        let Some(htlc) = self.rng.pick(&offered) else { return };
        self.lanes[lane].propose_end(htlc.key, fulfil);
        let preimage = preimage_of(&htlc).filter(|_| fulfil);
        let Some(preimage) = preimage else { return };
        self.counts.one("htlc/settled_off_chain");
        let sent = self.lanes[lane].key(htlc.key);
        self.fulfilled.insert(sent);
        self.tell(Event::PreimageLearned { preimage, usable_for: vec![sent] });
        let origin = self.payments.iter().position(|payment| payment.forwarded == Some((lane, sent)));
        if let Some(origin) = origin {
            self.settle_back(origin);
        }
    }

    /// What the node knows by now about HTLCs that are for us.
    pub(super) fn node_speaks(&mut self) {
        let height = self.height();
        for index in 0..self.payments.len() {
            let payment = &self.payments[index];
            if payment.told || !self.lanes[payment.lane].is_committed(payment.received.htlc) {
                continue;
            }
            match payment.destiny {
                Destiny::Known(at) if at <= height => self.settle_back(index),
                Destiny::GivenUp(at) if at <= height => self.fail_back(index),
                Destiny::Known(_) | Destiny::GivenUp(_) | Destiny::Never | Destiny::Forward => {}
            }
        }
    }

    /// The node passes on what became of forwarded HTLCs: what the court released, what failed for good off chain, and what
    /// was never sent.
    pub(super) fn node_reacts(&mut self) -> Result<(), Violation> {
        let mut spoke = false;
        for index in 0..self.payments.len() {
            let payment = &self.payments[index];
            let Some((lane, sent)) = payment.forwarded.filter(|_| !payment.told) else { continue };
            let to = &self.lanes[lane];
            let failed_off_chain = to.failed_for_good().contains(&sent.htlc);
            let unsent = to.frozen && !to.was_sent(sent.htlc);
            match self.node.origins.get(&sent).map(|(done, _)| *done) {
                Some(Acknowledged::Settled) => self.settle_back(index),
                Some(Acknowledged::Failed) => self.fail_back(index),
                None if failed_off_chain => {
                    self.counts.one("htlc/failed_off_chain");
                    self.fail_back(index);
                }
                None if unsent => self.fail_back(index),
                None => continue,
            }
            spoke = true;
        }
        if spoke { self.settle() } else { Ok(()) }
    }

    /// Lets this many blocks pass; as many at a time as nobody would notice.
    pub(super) fn mine(&mut self, blocks: u32) -> Result<(), Violation> {
        let target = self.height() + blocks;
        while self.height() < target {
            self.settle()?;
            self.confess()?;
            self.peers_act()?;
            let idle = self.idle_blocks().min(target - self.height());
            let is_fair = self.thief().is_none();
            for _ in 0..idle {
                self.block()?;
            }
            if is_fair {
                // What the process would send after the first of several blocks, it has not sent.
                self.fair.insert(self.height() + 1 - idle);
            }
            self.fees();
            self.settle()?;
            self.node_reacts()?;
        }
        Ok(())
    }

    /// The next block: what pays enough, unless it is an opponent's own.
    fn block(&mut self) -> Result<(), Violation> {
        let min_feerate_sat_per_kw = self.weather.clearing(self.height() + 1).unwrap_or(0);
        let own = match &mut self.foe {
            Some((lane, foe)) => foe.mines(&self.lanes[*lane].fixture, &self.chain).map_err(Violation::world)?,
            None => self.thiefs_block()?,
        };
        let template = BlockTemplate { min_feerate_sat_per_kw, ..own.unwrap_or_default() };
        // What it wants first may be gone since it looked.
        if self.chain.mine_template(template).is_err() {
            self.chain.mine_at(min_feerate_sat_per_kw, u64::MAX);
        }
        self.weather.fill(&mut self.chain);
        Ok(())
    }

    /// The opponent acts on what waits; whoever watches the mempool sees half of it.
    fn foe_acts(&mut self, seen: &mut Vec<Transaction>) -> Result<(), Violation> {
        let Some((lane, foe)) = &mut self.foe else { return Ok(()) };
        let at = &self.lanes[*lane];
        let claims = false;
        *foe.plan_mut() = PeerPlan { claims, ..at.peer.plan().clone() };
        let acts = foe.act(&at.fixture, &mut self.chain).map_err(Violation::world)?;
        for act in acts {
            self.note(|| format!("the opponent: {:?} of {:?} for {} sat", act.kind, act.htlcs, act.cost_sat));
            seen.extend(act.tx);
        }
        Ok(())
    }

    /// The opponent gives up: its channel's counterparty is one like others again.
    pub(super) fn foe_leaves(&mut self) {
        let Some((_, mut foe)) = self.foe.take() else { return };
        foe.settle(&self.chain);
        for (kind, count) in foe.counts() {
            self.counts.many(act_name(*kind), u64::from(*count));
        }
        self.counts.many("adversary/spend_sat", foe.spend_sat());
        self.chain.set_mempool_min_feerate(0);
    }

    /// The counterparties submit what they can; sometimes the court sees it before it is confirmed.
    pub(super) fn peers_act(&mut self) -> Result<(), Violation> {
        let mut seen = Vec::new();
        let fighting = self.foe.as_ref().map(|(lane, _)| *lane);
        let price = self.weather.clearing(self.height() + 1);
        for lane in 0..self.lanes.len() {
            if let Some(price) = price {
                self.lanes[lane].peer.plan_mut().feerate_sat_per_kw = price;
            }
            if fighting == Some(lane) {
                continue;
            }
            for tx in self.peer_acts(lane)? {
                // What is not possible yet, or lost a race, is tried again in the next block.
                if self.chain.submit(tx.clone()).is_ok() {
                    seen.push(tx);
                }
            }
        }
        self.foe_acts(&mut seen)?;
        for tx in seen {
            self.note(|| format!("a counterparty sends {}", tx.compute_txid()));
            if self.rng.percent(if fighting.is_some() { 50 } else { 30 }) {
                self.counts.one("mempool/seen");
                self.tell(Event::MempoolSeen { tx });
                self.settle()?;
                self.node_reacts()?;
            }
        }
        Ok(())
    }

    /// How many blocks may pass at once: one while anything is under way, else up to the next alarm.
    fn idle_blocks(&self) -> u32 {
        if self.chain.mempool().next().is_some() || self.thief().is_some() {
            return 1;
        }
        let most = u32::try_from(super::world::BLOCKS_A_STEP).unwrap_or(1);
        self.alarm.map_or(most, |alarm| alarm.saturating_sub(self.height()).clamp(1, most))
    }

    /// Whether the court still has a channel, by lane.
    pub(super) fn is_watched(&self, lane: usize) -> bool {
        let id = self.lanes[lane].fixture.id();
        self.court().is_some_and(|court| court.index_of(&id).is_some())
    }
}
