//! I19: a channel that joins at any moment of its life, told in any order that respects each side's own, has from then on the
//! same outcomes, claims and sheet as the same channel that was there from the start.
//!
//! The lives draw these incidents, and count them: joining while the close is on chain (A6), in the middle of a removal (A7), with
//! several candidates (A8), a preimage that only mempool or chain shows (A15), crossing removals (A17), our newest commitment
//! signed again (A18), and a funding whose confirmation only a search tells (A21).
//!
//! Excepted are revoked commitments older than the adoption, and notices that were raised before. `I19_LIVES` sets how many
//! lives are drawn, and `I19_FIRST` the first seed. Each life is played twice, in two courts that see the same chain.

use std::collections::BTreeMap;

use arb_core::{
    Acknowledged, CloseReason, ContractReport, Event, FoundSpend, Freshness, Htlc, HtlcRef, Link, Scanned, Sheet, Side,
};
use arb_lab::fixture::hostile::unsigned;
use arb_lab::fixture::{ChannelFixture, Close, CommitmentState};
use arb_lab::process::all_told;
use bitcoin::{OutPoint, Transaction};

use crate::incidents_outcomes::peer_takes;
use crate::test_court::{
    CAPACITY_SAT, START, TYPES, TestCourt, channel, height, key, learned, offered, preimage, received, started,
};

/// Lives that are drawn unless `I19_LIVES` says otherwise.
const LIVES: u64 = 500;
/// How many of them end with the shared check of a whole log, which takes longer than a life.
const CHECKED: u64 = 25;
/// The last stage of an update: irrevocably committed.
const DONE: u8 = 3;

/// A small generator: one life for each seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap() % bound
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// An update in its stages, as `arb_lab::sim` has them. Ours: proposed, signed for them, irrevocable for them, signed for us.
/// Theirs: proposed, signed for us, signed for them, irrevocable for them.
#[derive(Clone)]
struct Update {
    by: Side,
    add: Option<Htlc>,
    removes: Option<HtlcRef>,
    stage: u8,
}

/// The channel as both sides know it, off chain.
struct Life {
    fixture: ChannelFixture,
    updates: Vec<Update>,
    local: u64,
    /// The oldest remote commitment that is not revoked.
    remote: u64,
    /// Every version that was signed of the remote commitments that are not revoked, whole, oldest first.
    remotes: Vec<(u64, Event)>,
    ids: (u64, u64),
    known: Vec<HtlcRef>,
    /// Nothing has happened since our newest commitment was signed: our revocation of the one before has not left.
    unrevoked: bool,
    /// How often our newest commitment was signed again (A18).
    again: u64,
}

fn secret(htlc: HtlcRef) -> u8 {
    let id = u8::try_from(htlc.id).unwrap();
    if htlc.is_offered() { 1 + id } else { 100 + id }
}

impl Life {
    fn new(fixture: ChannelFixture) -> Self {
        let (updates, remotes, known) = (Vec::new(), Vec::new(), Vec::new());
        Self { fixture, updates, local: 0, remote: 0, remotes, ids: (0, 0), known, unrevoked: false, again: 0 }
    }

    fn content(&self, has: impl Fn(&Update) -> bool) -> CommitmentState {
        let half = CAPACITY_SAT / 2 * 1000;
        let (mut local_msat, mut remote_msat, mut htlcs) = (half, half, Vec::<Htlc>::new());
        for update in self.updates.iter().filter(|update| has(update)) {
            if let Some(htlc) = &update.add {
                *(if htlc.key.is_offered() { &mut local_msat } else { &mut remote_msat }) -= htlc.amount_msat;
                htlcs.push(htlc.clone());
            }
            if let Some(place) = htlcs.iter().position(|htlc| Some(htlc.key) == update.removes) {
                let htlc = htlcs.remove(place);
                *(if htlc.key.is_offered() { &mut local_msat } else { &mut remote_msat }) += htlc.amount_msat;
            }
        }
        CommitmentState { local_msat, remote_msat, feerate_sat_per_kw: 1000, htlcs }
    }

    fn is_pending(&self) -> bool {
        self.remotes.last().is_some_and(|(number, _)| *number > self.remote)
    }

    fn advance(&mut self, ours: u8, theirs: u8) {
        for update in &mut self.updates {
            if update.stage == if update.by == Side::Local { ours } else { theirs } {
                update.stage += 1;
            }
        }
    }

    fn signs_local(&mut self) -> Event {
        let state = self.content(|update| update.by == Side::Remote || update.stage >= 2);
        self.local += 1;
        let event = self.fixture.local_signed(self.local, state).unwrap();
        self.advance(2, 0);
        self.unrevoked = true;
        event
    }

    /// The node died before it wrote our newest commitment: the counterparty signs that number again, with what it proposed
    /// meanwhile, and perhaps other HTLCs under the ids that only the first version had.
    fn signs_local_again(&mut self, draw: &mut Draw) -> Option<Event> {
        let before = self.on(Side::Local, self.local - 1);
        for update in self.updates.iter_mut().filter(|update| update.by == Side::Remote && update.stage == 1) {
            let new = update.add.as_mut().filter(|htlc| !before.contains(&htlc.key));
            if let (Some(htlc), true) = (new, draw.percent(50)) {
                htlc.amount_msat = [300_000, 30_000_000][draw.below(2)];
            }
        }
        let state = self.content(|update| update.by == Side::Remote || update.stage >= 2);
        let sorted = |state: &CommitmentState| {
            let mut htlcs = state.htlcs.clone();
            htlcs.sort_by_key(|htlc| htlc.key);
            htlcs
        };
        if sorted(&state) == sorted(&self.fixture.states(Side::Local)[&self.local]) {
            return None;
        }
        self.fixture.sign_unheard(Side::Local, self.local, state);
        self.advance(DONE, 0);
        self.again += 1;
        // One that joined has never heard of the commitment before, so it is told whole.
        let Event::LocalCommitmentSigned(whole) = self.fixture.whole(Side::Local, self.local).unwrap() else {
            panic!()
        };
        Some(Event::LocalCommitmentSignedAgain(whole))
    }

    /// The next remote commitment, or another version of the pending one, as after a reconnection.
    fn signs_remote(&mut self) -> Event {
        let state = self.content(|update| update.by == Side::Local || update.stage >= 1);
        let event = self.fixture.remote_signed(self.remote + 1, state).unwrap();
        self.remotes.push((self.remote + 1, self.fixture.whole(Side::Remote, self.remote + 1).unwrap()));
        self.advance(0, 1);
        event
    }

    fn revokes(&mut self) -> Event {
        let event = self.fixture.remote_revoked(self.remote).unwrap();
        self.remote += 1;
        self.remotes.retain(|(number, _)| *number >= self.remote);
        self.advance(1, 2);
        event
    }

    /// Whether no live commitment has an HTLC.
    fn is_empty(&self) -> bool {
        let remotes = self.remotes.iter().map(|(number, _)| (Side::Remote, *number));
        [(Side::Local, self.local)].into_iter().chain(remotes).all(|(side, number)| self.on(side, number).is_empty())
    }

    fn on(&self, side: Side, number: u64) -> Vec<HtlcRef> {
        self.fixture.states(side)[&number].htlcs.iter().map(|htlc| htlc.key).collect()
    }

    /// HTLCs of the live commitments that are or were irrevocably committed.
    fn committed(&self) -> Vec<HtlcRef> {
        let live = |htlc: &HtlcRef| {
            self.on(Side::Local, self.local).contains(htlc)
                || (self.remotes.iter()).any(|(number, _)| self.on(Side::Remote, *number).contains(htlc))
        };
        let done = self.updates.iter().filter(|update| update.stage == DONE).filter_map(|update| update.add.as_ref());
        done.map(|htlc| htlc.key).filter(live).collect()
    }

    /// Draws one thing that happens off chain; `None` if it is not possible now.
    fn step(&mut self, draw: &mut Draw) -> Option<Event> {
        if self.unrevoked && draw.percent(20) {
            return self.signs_local_again(draw);
        }
        let event = self.next(draw);
        if event.is_some() && !matches!(event, Some(Event::LocalCommitmentSigned(_))) {
            self.unrevoked = false;
        }
        event
    }

    fn next(&mut self, draw: &mut Draw) -> Option<Event> {
        let some = |life: &Self, by, stage| life.updates.iter().any(|update| update.by == by && update.stage == stage);
        match draw.below(12) {
            0 | 1 if self.updates.len() < 14 => {
                let by = if draw.percent(50) { Side::Local } else { Side::Remote };
                let expiry = START + 60 + u32::try_from(draw.below(30)).unwrap();
                let sat = [300, 900, 20_000, 400_000][draw.below(4)];
                let htlc = if by == Side::Local {
                    self.ids.0 += 1;
                    let key = HtlcRef::offered(self.ids.0 - 1);
                    offered(key.id, sat, secret(key), expiry, Link::Own)
                } else {
                    self.ids.1 += 1;
                    let key = HtlcRef::received(self.ids.1 - 1);
                    received(key.id, sat, secret(key), expiry)
                };
                self.updates.push(Update { by, add: Some(htlc), removes: None, stage: 0 });
                None
            }
            2 => {
                let ending: Vec<HtlcRef> = self.updates.iter().filter_map(|update| update.removes).collect();
                let adds = self.updates.iter().filter(|update| update.stage == DONE).filter_map(|u| u.add.as_ref());
                let ready: Vec<HtlcRef> = adds.map(|htlc| htlc.key).filter(|key| !ending.contains(key)).collect();
                let removes = ready.get(draw.below(ready.len().max(1))).copied()?;
                let by = if removes.is_offered() { Side::Remote } else { Side::Local };
                self.updates.push(Update { by, add: None, removes: Some(removes), stage: 0 });
                None
            }
            3..=5 if some(self, Side::Remote, 0) || some(self, Side::Local, 2) => Some(self.signs_local()),
            6..=8 if !self.is_pending() && (some(self, Side::Local, 0) || some(self, Side::Remote, 1)) => {
                Some(self.signs_remote())
            }
            // A reconnection: the pending commitment is signed again, with what was added meanwhile.
            6 if self.is_pending() && self.remotes.len() < 4 && some(self, Side::Local, 0) => Some(self.signs_remote()),
            9 | 10 if self.is_pending() => Some(self.revokes()),
            11 => {
                let received = self.committed().into_iter().filter(|htlc| !htlc.is_offered());
                let new: Vec<HtlcRef> = received.filter(|htlc| !self.known.contains(htlc)).collect();
                let htlc = new.get(draw.below(new.len().max(1))).copied()?;
                self.known.push(htlc);
                Some(learned(&self.fixture, htlc, secret(htlc)))
            }
            _ => None,
        }
    }
}

/// What must be the same in both courts.
#[derive(Debug, PartialEq)]
struct End {
    origins: BTreeMap<String, Acknowledged>,
    reports: Vec<String>,
    sheets: Vec<Sheet>,
    /// What is not over yet.
    waiting: Vec<String>,
}

/// `late`: one court heard of the close later. Then its claims began later, and paid other fees.
fn end(test: &TestCourt, late: bool) -> End {
    let origins = test.node.origins.iter().map(|(key, (outcome, _))| (key.htlc.to_string(), *outcome)).collect();
    let report = |(_, report): &(_, ContractReport)| {
        // To which script a sweep pays, and so its txid, depends on when the wallet was asked.
        let fee_sat = if late { 0 } else { report.fee_sat };
        format!("{:?}", ContractReport { txids: Vec::new(), fee_sat, ..report.clone() })
    };
    let mut reports: Vec<String> = test.node.reports.iter().map(report).collect();
    reports.sort();
    let sheet = |sheet: &Sheet| {
        assert!(sheet.balances(), "{sheet:?}");
        if late {
            Sheet { wallet_in_sat: 0, wallet_change_sat: 0, swept_sat: 0, fees_sat: 0, ..*sheet }
        } else {
            *sheet
        }
    };
    let contracts = test.court.channels().filter_map(|(index, _)| test.court.docket(index));
    let waiting = contracts.flat_map(|docket| docket.contracts).map(|contract| {
        format!("{:?} {:?} {} {:?}", contract.kind, contract.htlc, contract.amount_sat, contract.stage)
    });
    End { origins, reports, sheets: test.node.sheets.values().map(sheet).collect(), waiting: waiting.collect() }
}

/// How often something occurred.
type Counts = BTreeMap<&'static str, u64>;

/// One thing that a court is told while the channel joins it.
enum Told {
    Event(Event),
    Search,
    Start,
    /// Both courts see a transaction that shows a preimage, in the mempool or in a block.
    Shown(Transaction, bool),
}

/// A transaction of anybody that spends this output, with the preimage of an HTLC that we sent as a spare item; `None` if no live
/// commitment has one. One that failed already, because no commitment has an output for it, is not meant.
fn shows(life: &Life, old: OutPoint, there: &TestCourt, draw: &mut Draw) -> Option<Transaction> {
    let remotes = life.remotes.iter().flat_map(|(number, _)| life.on(Side::Remote, *number));
    let all = life.on(Side::Local, life.local).into_iter().chain(remotes);
    let sent = all.filter(|htlc| htlc.is_offered() && there.outcome(&life.fixture, *htlc).is_none());
    let sent: Vec<HtlcRef> = sent.collect();
    let htlc = sent.get(draw.below(sent.len().max(1)))?;
    let witness = vec![preimage(secret(*htlc)).0.to_vec(), vec![0x51]];
    Some(unsigned([(old, witness)], 1, 300, &bitcoin::ScriptBuf::new()))
}

/// The facts of a channel in any order that respects each side's own.
fn facts(life: &Life, old: Option<OutPoint>, there: &TestCourt, draw: &mut Draw) -> Vec<Told> {
    let local = vec![life.fixture.whole(Side::Local, life.local).unwrap()];
    let remote: Vec<Event> = life.remotes.iter().map(|(_, event)| event.clone()).collect();
    let mut queues = [local, remote].map(|events| events.into_iter().map(Told::Event).collect::<Vec<_>>());
    let mut out = Vec::new();
    while queues.iter().any(|queue| !queue.is_empty()) {
        let queue = &mut queues[draw.below(2)];
        if !queue.is_empty() {
            out.push(queue.remove(0));
        }
    }
    for told in [Told::Search, Told::Start] {
        if draw.percent(60) {
            out.insert(draw.below(out.len() + 1), told);
        }
    }
    if let Some(tx) = old.and_then(|old| shows(life, old, there, draw)) {
        let in_block = draw.percent(30);
        out.insert(draw.below(out.len() + 1), Told::Shown(tx, in_block));
    }
    let live = life.committed();
    let known = life.known.iter().filter(|htlc| live.contains(htlc));
    out.extend(known.map(|htlc| Told::Event(learned(&life.fixture, *htlc, secret(*htlc)))));
    out
}

/// The commitment that confirms: the name of the close, its owner and number.
type Closed = (&'static str, Side, u64);

/// Which of the live commitments, or of those revoked since `since`, confirms.
fn close(life: &Life, since: u64, draw: &mut Draw) -> Closed {
    match draw.below(4) {
        0 => ("ours", Side::Local, life.local),
        1 if life.is_pending() => ("pending", Side::Remote, life.remote + 1),
        2 if life.remote > since => ("revoked", Side::Remote, life.remote - 1),
        _ => ("theirs", Side::Remote, life.remote),
    }
}

/// How the channel joins the second court.
struct Joining {
    /// A close that is on chain already.
    found: Option<Transaction>,
    /// An output of a channel that was closed long ago, in both courts.
    old: Option<OutPoint>,
    /// The node does not know that the funding is confirmed.
    missed: bool,
}

/// The channel joins the second court.
fn join(life: &Life, how: &Joining, draw: &mut Draw, [there, joins]: [&mut TestCourt; 2], counts: &mut Counts) {
    let (id, setup) = (life.fixture.id(), life.fixture.setup());
    let at = height(there.tip());
    let search = |test: &mut TestCourt| {
        let spends = how.found.iter().map(|tx| FoundSpend { height: at, tx: tx.clone() }).collect();
        let (parent, through) = (setup.funding.txid, test.court.tip());
        let confirmed = how.missed.then(|| height(START - 3));
        let scanned = Scanned { channel: id, parent, through, confirmed, spends };
        test.try_hear(&Event::Scanned(Box::new(scanned))).unwrap();
    };
    joins.signer.add_channel(id, setup.funding, setup.local.clone());
    let mut opened = life.fixture.opened(life.fixture.standing(life.local, life.remote).unwrap());
    if let (Event::ChannelOpened(opened), true) = (&mut opened, how.missed) {
        opened.facts.fundings[0].confirmed = None;
        *counts.entry("A21").or_default() += 1;
    }
    joins.hear(opened);
    for told in facts(life, how.old, there, draw) {
        match told {
            Told::Event(event) => {
                let answer = joins.try_hear(&event);
                assert!(answer.is_ok(), "{answer:?} to {event:?}");
            }
            Told::Search => search(joins),
            Told::Shown(tx, in_block) => {
                *counts.entry("A15").or_default() += 1;
                if in_block {
                    there.block(std::slice::from_ref(&tx));
                    joins.quiet_block(&[tx]);
                } else {
                    for test in [&mut *there, &mut *joins] {
                        test.try_hear(&Event::MempoolSeen { tx: tx.clone() }).unwrap();
                    }
                }
            }
            Told::Start => {
                joins.court = joins.recovered();
                joins.hear(started("again", Freshness::Trusted, joins.tip()));
            }
        }
        if draw.percent(20) {
            there.block(&[]);
            joins.quiet_block(&[]);
        }
    }
    search(joins);
    let committed = life.committed().into_iter().map(|htlc| key(&life.fixture, htlc)).collect();
    joins.hear(Event::AdoptionComplete { channel: Some(id), committed });
    joins.try_hear(&all_told()).unwrap();
    there.settle();
    joins.settle();
}

/// What both courts hear from the adoption on, up to the close.
fn go_on(life: &mut Life, since: u64, draw: &mut Draw, both: &mut [&mut TestCourt; 2]) -> Closed {
    let mut tell = |event: &Event| both.iter_mut().for_each(|test| drop(test.hear(event.clone())));
    for _ in 0..draw.below(40) {
        if let Some(event) = life.step(draw) {
            tell(&event);
        }
    }
    let mut at = close(life, since, draw);
    let mut tx = None;
    match draw.below(8) {
        // One that no court ever heard of.
        0 => {
            at = ("unknown", Side::Remote, life.remote + 7);
            let state = life.content(|_| true);
            life.fixture.sign_unheard(Side::Remote, at.2, state);
        }
        1..=6 if life.is_empty() => {
            let script = life.fixture.setup().fallback_script.clone();
            let (local_script, remote_script) = (script.clone(), script);
            let close = Close { local_sat: 4_000_000, local_script, remote_sat: 5_000_000, remote_script };
            let close = life.fixture.mutual_close(close).unwrap();
            tell(&close.event);
            at = ("mutual", Side::Local, life.local);
            tx = Some(close.tx);
        }
        _ if draw.percent(30) => {
            tell(&Event::CloseRequested { channel: life.fixture.id(), why: CloseReason::Operator });
        }
        _ => {}
    }
    let tx = tx.unwrap_or_else(|| life.fixture.commitment_tx(at.1, at.2).unwrap());
    both.iter_mut().for_each(|test| test.block(std::slice::from_ref(&tx)));
    at
}

/// Plays one life in two courts.
fn play(seed: u64, counts: &mut Counts) {
    let mut draw = Draw(seed);
    let channel_type = TYPES[draw.below(2)];
    let (mut there, mut joins) = (TestCourt::new(), TestCourt::new());
    let old = draw.percent(30).then(|| {
        let mut old = channel(2, TYPES[1]);
        for test in [&mut there, &mut joins] {
            test.open(&mut old, &[]);
            test.block(&[old.remote_commitment_tx(0).unwrap()]);
        }
        OutPoint { txid: old.remote_commitment_tx(0).unwrap().compute_txid(), vout: 0 }
    });
    let mut life = Life::new(channel(1, channel_type));
    there.open(&mut life.fixture, &[]);
    life.remotes.push((0, life.fixture.whole(Side::Remote, 0).unwrap()));
    for _ in 0..draw.below(60) {
        if let Some(event) = life.step(&mut draw) {
            there.hear(event);
        }
    }
    // It joins. The close may be on chain already, known to one court and to be found by the other.
    let since = life.remote;
    let before = draw.percent(30).then(|| close(&life, since, &mut draw));
    let found = before.map(|(_, side, number)| life.fixture.commitment_tx(side, number).unwrap());
    if let Some(tx) = &found {
        there.block(std::slice::from_ref(tx));
        joins.block(&[]);
        *counts.entry("A6").or_default() += 1;
    }
    count(&life, counts);
    let how = Joining { found, old, missed: draw.percent(30) };
    join(&life, &how, &mut draw, [&mut there, &mut joins], counts);
    life.unrevoked = false;
    let (name, side, number) = match before {
        Some(at) => at,
        None => go_on(&mut life, since, &mut draw, &mut [&mut there, &mut joins]),
    };
    *counts.entry(name).or_default() += 1;
    *counts.entry("A18").or_default() += life.again;
    // The counterparty takes some of the HTLCs that we sent with their preimages.
    let commitment = life.fixture.commitment(side, number).unwrap();
    let outputs = commitment.htlcs.iter().zip(&commitment.built.htlc_vouts);
    let sent = outputs.filter(|(htlc, vout)| htlc.key.is_offered() && vout.is_some()).map(|(htlc, _)| htlc.key);
    let takes: Vec<Transaction> = (sent.filter(|_| draw.percent(40)))
        .map(|htlc| peer_takes(&life.fixture, side, number, htlc, secret(htlc)))
        .collect();
    for test in [&mut there, &mut joins] {
        test.block(&takes);
        test.mine_to(START + 500);
    }
    let late = before.is_some();
    assert_eq!(end(&joins, late), end(&there, late), "seed {seed}: {name} {channel_type:?}");
    // An output that is hardly worth a claim may wait for lower fees, in both.
    *counts.entry("resolved").or_default() += u64::from(!there.node.sheets.is_empty());
    if !seed.is_multiple_of(LIVES / CHECKED) {
        std::mem::forget((there, joins));
    }
}

/// Counts the incidents that this adoption is.
fn count(life: &Life, counts: &mut Counts) {
    let (ours, theirs) = (life.on(Side::Local, life.local), life.on(Side::Remote, life.remote));
    let mut one = |name, is: bool| *counts.entry(name).or_default() += u64::from(is);
    one("A7", life.committed().iter().any(|htlc| ours.contains(htlc) != theirs.contains(htlc)));
    let numbers: Vec<u64> = life.remotes.iter().map(|(number, _)| *number).collect();
    one("A8", numbers.windows(2).any(|pair| pair[0] == pair[1]));
    let lower = |of: &[HtlcRef], than: &[HtlcRef]| {
        of.iter().any(|a| !than.contains(a) && than.iter().any(|b| a.direction == b.direction && a.id < b.id))
    };
    one("A17", lower(&ours, &theirs) || lower(&theirs, &ours));
}

#[test]
fn i19_a_channel_that_joins_is_as_one_that_was_there() {
    let number = |name, default| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (first, lives) = (number("I19_FIRST", 0), number("I19_LIVES", LIVES));
    let mut counts = Counts::new();
    for seed in first..first + lives {
        play(seed, &mut counts);
    }
    println!("{lives} lives: {counts:?}");
    if lives >= LIVES {
        let closes = ["ours", "theirs", "pending", "revoked", "unknown", "mutual", "resolved"];
        for name in closes.into_iter().chain(["A6", "A7", "A8", "A15", "A17", "A18", "A21"]) {
            assert_ne!(counts.get(name).copied().unwrap_or_default(), 0, "{name} never occurred");
        }
    }
}
