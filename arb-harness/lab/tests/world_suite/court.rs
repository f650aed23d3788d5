//! The court accepts the fixture's events: signatures verify, numbers and points fit, and a running channel is adopted.

use arb_core::{ChainArbitrator, Event, Freshness, Heard, Height, JournalIdentity, Log, Pending, Policy, Started, Tip};
use arb_harness::redb_store::RedbStore;
use arb_lab::fixture::{ChannelFixture, Close};
use arb_log::Journal;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network};

use crate::support::{NUMBER, START, TYPES};

/// A log that keeps nothing.
struct DiscardingLog;

impl Log for DiscardingLog {
    type Error = core::convert::Infallible;

    fn append(&mut self, _: &Pending<'_>) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn hear(court: &mut ChainArbitrator, event: &Event) -> Result<Heard, arb_core::Rejected> {
    let mut step = court.step();
    let heard = step.hear(event)?;
    step.commit(&mut DiscardingLog).unwrap();
    Ok(heard)
}

fn identity() -> JournalIdentity {
    let tip = Tip { height: Height::new(START), hash: BlockHash::all_zeros() };
    JournalIdentity { network: Network::Regtest, journal: [1; 32], tip, policy: Policy::default() }
}

fn court() -> ChainArbitrator {
    let mut court = ChainArbitrator::new();
    let started =
        Started { build: String::from("test"), freshness: Freshness::Trusted, best_height: Height::new(START), run: 0 };
    for event in [Event::JournalOpened(identity()), Event::Started(started)] {
        assert_eq!(hear(&mut court, &event), Ok(Heard::Accepted));
    }
    court
}

#[test]
fn every_event_of_the_fixture_is_accepted() {
    for channel_type in TYPES {
        let (mut fixture, mut court) = (ChannelFixture::bolt3(channel_type), court());
        let state = ChannelFixture::bolt3_state(channel_type);
        let mut fewer = state.clone();
        let gone = fewer.htlcs.pop().unwrap();
        fewer.remote_msat += gone.amount_msat;
        let opened = fixture.opened(fixture.standing(NUMBER, NUMBER).unwrap());
        let script = arb_harness::keys::WalletKeys::from_seed(&[3; 32]).script_for(b"close");
        let close = Close {
            local_sat: 6_990_000,
            local_script: fixture.setup().fallback_script.clone(),
            remote_sat: 3_000_000,
            remote_script: script,
        };
        let events = [
            opened,
            // Before any HTLC is told.
            fixture.mutual_close(close).unwrap().event,
            fixture.remote_signed(NUMBER, state.clone()).unwrap(),
            fixture.local_signed(NUMBER, state).unwrap(),
            fixture.remote_signed(NUMBER + 1, fewer.clone()).unwrap(),
            fixture.remote_revoked(NUMBER).unwrap(),
            fixture.local_signed(NUMBER + 1, fewer).unwrap(),
        ];
        for event in &events {
            assert_eq!(hear(&mut court, event), Ok(Heard::Accepted), "{channel_type:?} {event:?}");
        }
    }
}

#[test]
fn a_channel_from_a_backup_is_accepted() {
    let fixture = ChannelFixture::bolt3(TYPES[1]);
    assert_eq!(hear(&mut court(), &fixture.restored()), Ok(Heard::Accepted));
}

#[test]
fn a_signature_for_another_state_is_refused() {
    for channel_type in TYPES {
        let (mut fixture, mut court) = (ChannelFixture::bolt3(channel_type), court());
        let state = ChannelFixture::bolt3_state(channel_type);
        let opened = fixture.opened(fixture.standing(NUMBER, NUMBER).unwrap());
        assert_eq!(hear(&mut court, &opened), Ok(Heard::Accepted));
        let remote = fixture.remote_signed(NUMBER, state.clone()).unwrap();
        assert_eq!(hear(&mut court, &remote), Ok(Heard::Accepted));
        let Event::LocalCommitmentSigned(mut signed) = fixture.local_signed(NUMBER, state).unwrap() else { panic!() };
        signed.update.feerate_sat_per_kw += 10;
        assert!(hear(&mut court, &Event::LocalCommitmentSigned(signed)).is_err());
    }
}

#[test]
fn a_journal_in_a_redb_file_gives_the_same_court_back() {
    let folder = std::env::temp_dir().join(format!("arb-redb-court-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let open = || {
        let mut journal = Journal::open(RedbStore::open_or_create(folder.join("journal")).unwrap()).unwrap();
        let court = journal.recover(&identity()).unwrap();
        (journal, court)
    };
    let (mut journal, mut court) = open();
    let mut fixture = ChannelFixture::bolt3(TYPES[1]);
    let state = ChannelFixture::bolt3_state(TYPES[1]);
    let events = [
        fixture.opened(fixture.standing(NUMBER, NUMBER).unwrap()),
        fixture.remote_signed(NUMBER, state.clone()).unwrap(),
        fixture.local_signed(NUMBER, state).unwrap(),
    ];
    for event in &events {
        let mut step = court.step();
        assert_eq!(step.hear(event), Ok(Heard::Accepted));
        step.commit(&mut journal).unwrap();
        // A checkpoint in the middle, so that recovery needs rows and frames.
        if *event == events[1] {
            assert_eq!(journal.checkpoint(&court, 10).unwrap().written, 1);
        }
    }
    drop(journal);
    let (_journal, recovered) = open();
    assert_eq!(recovered.snapshot(), court.snapshot());
    assert!(recovered.channels().eq(court.channels()));
    assert_eq!(recovered.channels().count(), 1);
    std::fs::remove_dir_all(&folder).unwrap();
}
