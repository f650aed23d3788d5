//! HTLCs off chain: added by either side, forwarded, and fulfilled or failed by the counterparty.

use arb_core::bolt3::{Preimage, is_trimmed};
use arb_core::{CloseKind, Event, Height, Htlc, HtlcKey, Link, Side};

use crate::sim::world::World;
use crate::sim::world::channel::Change;
use crate::sim::world::payment::{Intent, Payment};

/// Blocks after an expiry by which our claim of the HTLC has confirmed and is buried, if nothing goes wrong.
const BURIED: u32 = 12;

impl World {
    fn any_open_channel(&mut self) -> Option<usize> {
        let open: Vec<usize> = (0..self.channels.len()).filter(|channel| self.channels[*channel].is_open()).collect();
        self.rng.pick(&open)
    }

    fn amount_msat(&mut self, channel: usize, spendable_sat: u64) -> Option<u64> {
        if let Some(amount_sat) = self.economy.amount_sat(&mut self.rng) {
            return (amount_sat <= spendable_sat).then_some(amount_sat * 1000);
        }
        let plan = &self.channels[channel].plan;
        let (dust_sat, feerate) = (plan.dust_limit_sat, u64::from(plan.feerate_sat_per_kw));
        let amount_sat = match self.rng.weighted(&[2, 2, 4, 3, 1]) {
            0 => self.rng.between(1, 353),
            1 => self.rng.between(354, 4_000),
            2 => self.rng.between(4_001, 60_000),
            3 => self.rng.between(60_001, 400_000),
            // Not trimmed as an HTLC-timeout and trimmed as an HTLC-success transaction (BOLT 3): an output on one side
            // only.
            _ => dust_sat + self.rng.between(663 * feerate / 1000, 703 * feerate / 1000),
        };
        (amount_sat <= spendable_sat).then(|| amount_sat * 1000 + self.rng.between(0, 999))
    }

    /// A preimage and an amount: new ones, or those of an existing HTLC.
    fn terms(&mut self, channel: usize, by: Side) -> Option<(Preimage, u64)> {
        let spendable_sat = self.channels[channel].spendable_sat(by);
        let mut amount_msat = self.amount_msat(channel, spendable_sat)?;
        let known = self.preimages.made().to_vec();
        if !self.rng.percent(20) || known.is_empty() {
            return Some((self.new_preimage(), amount_msat));
        }
        let preimage = self.rng.pick(&known)?;
        let same: Vec<u64> = self.channels[channel]
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

    pub(crate) fn add(&mut self, channel: usize, by: Side, terms: (Preimage, u64), expiry: u32, link: Link) -> HtlcKey {
        let (preimage, amount_msat) = terms;
        let at = &mut self.channels[channel];
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
            format!("channel {channel}: {by:?} proposes {} of {amount_msat} msat until {expiry}, {link:?}", key.htlc)
        });
        key
    }

    /// Lets the counterparty add an HTLC on some channel.
    pub(crate) fn receive(&mut self) {
        if let Some(channel) = self.any_open_channel() {
            self.receive_on(channel);
        }
    }

    /// Lets the counterparty add an HTLC on this channel.
    pub(crate) fn receive_on(&mut self, channel: usize) {
        let Some(terms) = self.terms(channel, Side::Remote) else { return };
        let height = self.height();
        let linked = self.channels.len() > 1 && self.rng.percent(70);
        let (intent, expiry) = if linked {
            (Intent::Forward, height + self.rng.blocks(75, 150))
        } else {
            let expiry = self.economy.expiry(height + self.rng.blocks(40, 110));
            let known = self.rng.blocks(height, expiry + 4);
            let intent = [Intent::Known(known), Intent::GivenUp(known), Intent::Never];
            (intent[self.rng.weighted(&[6, 1, 2])], expiry)
        };
        let received = self.add(channel, Side::Remote, terms, expiry, Link::Received);
        self.payments.push(Payment {
            channel,
            received,
            preimage: terms.0,
            intent,
            forwarded: Vec::new(),
            told: false,
        });
    }

    /// Adds an HTLC of ours on some channel: for our own payment, or for an upstream HTLC outside this node.
    pub(crate) fn pay(&mut self) {
        if let Some(channel) = self.any_open_channel() {
            self.pay_on(channel);
        }
    }

    /// Adds an HTLC of ours on this channel.
    pub(crate) fn pay_on(&mut self, channel: usize) {
        let Some(terms) = self.terms(channel, Side::Local) else { return };
        let expiry = self.economy.expiry(self.height() + self.rng.blocks(34, 100));
        let link = if self.rng.percent(35) {
            self.counts.one("htlc/relayed");
            Link::Relay { deadline: Height::new(expiry + self.rng.blocks(34, 60)) }
        } else {
            self.counts.one("htlc/own_payment");
            Link::Own
        };
        self.add(channel, Side::Local, terms, expiry, link);
        self.peer_learns(channel, terms.0, expiry);
    }

    /// Draws whether and from when on the counterparty of a channel knows a preimage.
    fn peer_learns(&mut self, channel: usize, preimage: Preimage, expiry: u32) {
        let cheats = self.channels[channel].plan.close == CloseKind::Revoked;
        if self.rng.percent(if self.plan.one_peer { 90 } else { 60 }) {
            // In time or just too late; in an unknown close sometimes after the upstream HTLC was given up, when it can
            // still claim.
            let late = self.channels[channel].plan.close == CloseKind::Unknown && self.rng.percent(50);
            let (first, last) = if late { (expiry + 30, expiry + 80) } else { (self.height(), expiry + 6) };
            let is_adversary = self.adversary.as_ref().is_some_and(|(of, _)| *of == channel);
            let from = self.rng.blocks(first, last);
            // An adversary knows all preimages from the start and chooses when to show them; so do most cheating peers.
            let at_once = is_adversary || self.plan.one_peer || (cheats && self.rng.percent(60));
            let from = if at_once { self.height() } else { from };
            self.channels[channel].peer.plan_mut().preimages.entry(preimage).or_insert(from);
        }
    }

    /// Forwards a received HTLC that is irrevocably committed, or fails it if that is not possible. Never an HTLC whose
    /// failure a mutual close has proposed: nothing would pay for it upstream.
    pub(crate) fn forward(&mut self) {
        let ready: Vec<usize> = (0..self.payments.len())
            .filter(|index| {
                let payment = &self.payments[*index];
                let waits = payment.intent == Intent::Forward && payment.forwarded.is_empty() && !payment.told;
                let from = &self.channels[payment.channel];
                // The court takes no link to an HTLC that it does not know.
                waits && from.joined.is_some() && from.stands(payment.received.htlc)
            })
            .collect();
        let Some(index) = self.rng.pick(&ready) else { return };
        let payment = self.payments[index].clone();
        let to = 1 - payment.channel;
        let terms = self.channels[payment.channel].htlcs().find(|htlc| htlc.key == payment.received.htlc).cloned();
        let Some(htlc) = terms else { return };
        let amount_msat = htlc.amount_msat - htlc.amount_msat / 100;
        let expiry = htlc.cltv_expiry.get().saturating_sub(self.rng.blocks(34, 60));
        let can = self.channels[to].is_open()
            && amount_msat / 1000 <= self.channels[to].spendable_sat(Side::Local)
            && expiry > self.height() + 6;
        if !can {
            return self.fail_back(index);
        }
        let link = Link::Forward(payment.received);
        let percent = self.belief.as_ref().map_or(0, |belief| belief.splits_percent);
        let mut expiries = vec![expiry];
        if percent > 0 && self.rng.percent(percent) {
            self.counts.one("belief/split");
            let earlier = expiry.saturating_sub(self.rng.blocks(0, 40)).max(self.height() + 7);
            expiries.push(earlier.min(expiry));
        }
        let parts = u64::try_from(expiries.len()).unwrap_or(1);
        for expiry in &expiries {
            let sent = self.add(to, Side::Local, (payment.preimage, amount_msat / parts), *expiry, link);
            self.payments[index].forwarded.push((to, sent));
        }
        let earliest = expiries.iter().copied().min().unwrap_or(expiry);
        if earliest + BURIED <= expiry && self.rng.percent(60) {
            self.counts.one("belief/split_paid_late");
            let from = self.rng.blocks(earliest + BURIED, expiry);
            self.channels[to].peer.plan_mut().preimages.entry(payment.preimage).or_insert(from);
        } else {
            self.peer_learns(to, payment.preimage, expiry);
        }
    }

    /// Lets the counterparty fulfil or fail an HTLC of ours on some channel.
    pub(crate) fn peer_ends(&mut self, fulfil: bool) {
        if let Some(channel) = self.any_open_channel() {
            self.peer_ends_on(channel, fulfil);
        }
    }

    /// Lets the counterparty fulfil or fail an HTLC of ours on this channel.
    pub(crate) fn peer_ends_on(&mut self, channel: usize, fulfil: bool) {
        let height = self.height();
        let known = self.channels[channel].peer.plan().preimages.clone();
        let preimage_of = |htlc: &Htlc| {
            let mut known = known.iter().filter(|(_, from)| **from <= height).map(|(preimage, _)| *preimage);
            known.find(|preimage| preimage.hash() == htlc.payment_hash)
        };
        let adds = self.channels[channel].settled_adds();
        let offered: Vec<Htlc> =
            adds.into_iter().filter(|htlc| htlc.key.is_offered() && (!fulfil || preimage_of(htlc).is_some())).collect();
        let Some(htlc) = self.rng.pick(&offered) else { return };
        self.channels[channel].propose_end(htlc.key, fulfil);
        let preimage = preimage_of(&htlc).filter(|_| fulfil);
        let Some(preimage) = preimage else { return };
        self.counts.one("htlc/settled_off_chain");
        let sent = self.channels[channel].key(htlc.key);
        self.seen.fulfilled.insert(sent);
        self.tell(Event::PreimageLearned { preimage, usable_for: vec![sent] });
        let upstream = self.payments.iter().position(|payment| payment.forwarded.contains(&(channel, sent)));
        if let Some(upstream) = upstream {
            self.settle_back(upstream);
        }
    }
}
