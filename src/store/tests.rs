//! The store on real files and in memory.

use super::*;
use crate::lifecycle::{Occurrence, OnRemoved, Policy, Reason, Room, State, Times, Verdict, Warn};
use crate::providers::{RoomSpec, Settings};
use chrono::TimeDelta;
use rusqlite::Connection;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn start() -> DateTime<Utc> {
    at("2026-11-23T09:00:00Z")
}

fn meeting(id: &str) -> StoredMeeting {
    let policy = Policy {
        create_ahead: TimeDelta::minutes(15),
        close_delay: TimeDelta::minutes(5),
        extend: None,
        on_removed: OnRemoved::Finish,
        look_every: TimeDelta::minutes(5),
        no_show: Some(TimeDelta::minutes(20)),
        warn: Warn { before: vec![TimeDelta::minutes(5), TimeDelta::minutes(1)], ..Warn::default() },
    };
    let spec = MeetingSpec {
        title: "Stand-up".to_owned(),
        policy,
        room: Arc::new(RoomSpec {
            hosts: vec!["alice@example.com".to_owned()],
            settings: Settings { mute_on_entry: Some(true), ..Settings::default() },
            ..RoomSpec::default()
        }),
    };
    StoredMeeting { id: id.to_owned(), fingerprint: [7; 32], is_removed: false, spec }
}

fn record(id: &str, starts_at: DateTime<Utc>) -> Record {
    let times = Times { starts_at, ends_at: starts_at + TimeDelta::minutes(30) };
    Record {
        seq: 0,
        id: id.to_owned(),
        meeting: "standup".to_owned(),
        provider: "house".to_owned(),
        title: None,
        marker: None,
        occurrence: Occurrence::planned(times),
        wake_at: Some(starts_at - TimeDelta::minutes(15)),
        call: None,
        changed_at: start(),
    }
}

/// A store with `count` planned occurrences, a minute apart.
fn filled(count: i64) -> SqliteStore {
    let mut store = SqliteStore::in_memory().unwrap();
    let inserts =
        (0..count).map(|n| record(&format!("standup@{n}"), start() + TimeDelta::minutes(n))).collect();
    store.commit(&Batch { meetings: vec![meeting("standup")], inserts, ..Batch::default() }).unwrap();
    store
}

fn everything(store: &mut SqliteStore) -> Vec<Record> {
    store.of_meeting("standup", DateTime::UNIX_EPOCH).unwrap()
}

fn difference(before: &Record, after: &Record) -> Update {
    Update { before: Arc::new(before.clone()), after: Arc::new(after.clone()), history: Vec::new() }
}

fn update(store: &mut SqliteStore, changes: &[(&Record, &Record)]) -> Result<(), StoreError> {
    let updates = changes.iter().map(|(before, after)| difference(before, after)).collect();
    store.commit(&Batch { updates, ..Batch::default() })
}

#[test]
fn what_is_ahead_of_a_provider_is_counted_and_the_first_of_it_named() {
    let mut store = filled(5);
    let other = Record { provider: "elsewhere".to_owned(), ..record("standup@far", start()) };
    store.commit(&Batch { inserts: vec![other], ..Batch::default() }).unwrap();
    let ahead = |now: TimeDelta, minutes| {
        store.ahead_of("house", start() + now, start() + TimeDelta::minutes(minutes), 2).unwrap()
    };
    assert_eq!(ahead(TimeDelta::zero(), 0), Ahead::default());
    let Ahead { count, first } = ahead(TimeDelta::zero(), 3);
    assert_eq!((count, &first[0]), (3, &("standup@0".to_owned(), start())));
    assert_eq!(first.len(), 2);
    // Half an hour later the first are over.
    assert_eq!(ahead(TimeDelta::minutes(32), 60).count, 2);
    assert_eq!(store.ahead_of("nowhere", start(), start(), 2).unwrap().count, 0);
    let due = store.next_due_by_provider(start() - TimeDelta::minutes(15)).unwrap();
    assert_eq!(due.len(), 2);
    assert_eq!(due["house"], start() - TimeDelta::minutes(15));
    assert!(store.next_due_by_provider(start() - TimeDelta::minutes(16)).unwrap().is_empty());
}

#[test]
fn every_field_comes_back_as_it_was_written() {
    let mut store = filled(1);
    let mut full = everything(&mut store).remove(0);
    full.title = Some("Retrospective\u{1F680}".to_owned());
    full.marker = Some("0123".to_owned());
    full.call = Some(Call::Close);
    full.occurrence = Occurrence {
        state: State::Closing,
        reason: Reason::Empty,
        generation: 3,
        extended_by: TimeDelta::minutes(20),
        asked_at: Some(start()),
        doubted_at: Some(start()),
        room: Some(Room {
            id: "r1".to_owned(),
            join_url: "https://example.com/j".to_owned(),
            host_url: Some("https://example.com/h".to_owned()),
        }),
        is_outdated: true,
        is_removed: true,
        verdict: Some(Verdict::PlannedAgain),
        is_close_sent: true,
        occupancy: Some(4),
        looked_at: Some(start() + TimeDelta::seconds(1)),
        empty_since: Some(start() + TimeDelta::seconds(2)),
        gone_since: Some(start() + TimeDelta::seconds(3)),
        look_at: Some(start() + TimeDelta::seconds(4)),
        retry_at: Some(start() + TimeDelta::milliseconds(4321)),
        attempts: 9,
        last_error: Some("no answer".to_owned()),
        ..full.occurrence
    };
    let before = everything(&mut store).remove(0);
    update(&mut store, &[(&before, &full)]).unwrap();
    assert_eq!(store.load(&[full.seq]).unwrap(), [full.clone()]);
    assert_eq!(store.by_id(&["standup@0".to_owned(), "other".to_owned()]).unwrap(), [full]);
    assert_eq!(store.meetings().unwrap(), [meeting("standup")]);
}

#[test]
fn what_is_due_comes_in_order_and_once() {
    let mut store = filled(10);
    let until = start() - TimeDelta::minutes(11);
    let first = store.due(DueKey::START, until, 3).unwrap();
    let rest = store.due(first[2].key, until, 100).unwrap();
    let wakes: Vec<_> = first.iter().chain(&rest).map(|due| due.key.wake_at).collect();
    let expected: Vec<_> = (0..5).map(|n| start() - TimeDelta::minutes(15 - n)).collect();
    assert_eq!(wakes, expected);
    assert_eq!((first[0].state, first[0].starts_at), (State::Planned, start()));
    assert_eq!(store.next_due(rest[1].key).unwrap(), Some(start() - TimeDelta::minutes(10)));
}

#[test]
fn a_batch_that_fails_has_changed_nothing() {
    let mut store = filled(2);
    let before = everything(&mut store);
    let mut good = before[0].clone();
    good.wake_at = Some(start());
    let mut bad = before[1].clone();
    // Live without a room: the schema refuses it.
    bad.occurrence.state = State::Live;
    let error = update(&mut store, &[(&before[0], &good), (&before[1], &bad)]).unwrap_err();
    assert!(matches!(error, StoreError::Database { .. }), "{error}");
    assert_eq!(everything(&mut store), before);
}

#[test]
fn a_room_belongs_to_one_occurrence() {
    let mut store = filled(2);
    let before = everything(&mut store);
    let mut ready = before.clone();
    for record in &mut ready {
        record.occurrence.state = State::Ready;
        record.occurrence.room =
            Some(Room { id: "same".to_owned(), join_url: "https://example.com".to_owned(), host_url: None });
    }
    assert!(update(&mut store, &[(&before[0], &ready[0]), (&before[1], &ready[1])]).is_err());
}

#[test]
fn what_is_over_is_pruned_with_its_history_and_its_meeting() {
    let mut store = filled(2);
    let before = everything(&mut store);
    let mut records = before.clone();
    for record in &mut records {
        record.occurrence.state = State::Closed;
        record.wake_at = None;
    }
    records[1].changed_at = start() + TimeDelta::days(1);
    let line = HistoryEntry {
        at: start(),
        generation: 0,
        change: Change { from: State::Closing, to: State::Closed, reason: Reason::SeenClosed },
        detail: None,
    };
    let updates = before
        .iter()
        .zip(&records)
        .map(|(before, after)| Update { history: vec![line.clone(); 2], ..difference(before, after) });
    let removed = StoredMeeting { is_removed: true, ..meeting("standup") };
    store.commit(&Batch { meetings: vec![removed], updates: updates.collect(), ..Batch::default() }).unwrap();
    // The second batch of lines continues the chain of the first.
    let more = Update { history: vec![line], ..difference(&records[0], &records[0]) };
    store.commit(&Batch { updates: vec![more], ..Batch::default() }).unwrap();
    assert_eq!(store.number("SELECT count(*) FROM history"), 5);

    assert_eq!(store.prune(start() + TimeDelta::hours(1), 100).unwrap(), 1);
    assert_eq!(store.number("SELECT count(*) FROM history"), 2);
    assert_eq!(everything(&mut store).len(), 1);
    assert_eq!(store.meetings().unwrap().len(), 1, "it still has an occurrence");
    assert_eq!(store.prune(start() + TimeDelta::days(2), 100).unwrap(), 1);
    assert!(store.meetings().unwrap().is_empty());
}

/// A line of history for what `before` and `after` differ in.
fn with_line(before: &Record, after: &Record) -> Update {
    let change = Change { from: State::Planned, to: State::Planned, reason: Reason::Rescheduled };
    let line = HistoryEntry { at: start(), generation: 0, change, detail: None };
    Update { history: vec![line], ..difference(before, after) }
}

/// How many lines the chain of an occurrence has.
fn chain(store: &SqliteStore, seq: i64) -> i64 {
    store.number(&format!(
        "WITH RECURSIVE chain (number, previous) AS (
            SELECT number, previous FROM history WHERE number = (SELECT last_entry FROM occurrences WHERE seq = {seq})
            UNION SELECT history.number, history.previous FROM history JOIN chain ON history.number = chain.previous)
         SELECT count(*) FROM chain"
    ))
}

#[test]
fn a_line_that_was_written_in_vain_is_no_part_of_a_chain() {
    let mut store = filled(2);
    let records = everything(&mut store);
    let [first, second] = records.as_slice() else { panic!("{records:?}") };
    let lines =
        |store: &mut SqliteStore, updates: Vec<Update>| store.commit(&Batch { updates, ..Batch::default() });
    lines(&mut store, vec![with_line(first, first)]).unwrap();
    // The second one breaks a rule of the schema: the first one's line goes with it.
    let mut over = second.clone();
    over.occurrence.state = State::Closed;
    let refused = lines(&mut store, vec![with_line(first, first), with_line(second, &over)]);
    assert!(refused.unwrap_err().is_refusal());
    // The number that was given in vain is that of another occurrence's line now.
    lines(&mut store, vec![with_line(second, second)]).unwrap();
    lines(&mut store, vec![with_line(first, first)]).unwrap();
    assert_eq!((chain(&store, first.seq), chain(&store, second.seq)), (2, 1));
}

#[test]
fn an_occurrence_that_takes_the_number_of_a_forgotten_one_has_a_history_of_its_own() {
    let mut store = filled(1);
    let before = everything(&mut store).remove(0);
    let mut over = before.clone();
    over.occurrence.state = State::Missed;
    over.wake_at = None;
    let updates = vec![with_line(&before, &over)];
    store.commit(&Batch { updates, ..Batch::default() }).unwrap();
    assert_eq!(store.prune(start() + TimeDelta::days(1), 100).unwrap(), 1);
    let inserts = vec![record("standup@new", start())];
    store.commit(&Batch { inserts, ..Batch::default() }).unwrap();
    let after = everything(&mut store).remove(0);
    assert_eq!(after.seq, before.seq, "the case that is meant");
    store.commit(&Batch { updates: vec![with_line(&after, &after)], ..Batch::default() }).unwrap();
    assert_eq!(store.number("SELECT count(*) FROM history WHERE previous IS NULL"), 1);
}

#[test]
fn a_state_that_does_not_go_with_the_rest_of_its_row_is_refused() {
    let refuses = |state, is_due: bool, has_room: bool, verdict| {
        let mut store = filled(1);
        let before = everything(&mut store).remove(0);
        let mut after = before.clone();
        after.occurrence.state = state;
        after.wake_at = before.wake_at.filter(|_| is_due);
        after.occurrence.verdict = verdict;
        let room =
            Room { id: "1".to_owned(), join_url: "https://house.example/1".to_owned(), host_url: None };
        after.occurrence.room = has_room.then_some(room);
        update(&mut store, &[(&before, &after)]).is_err_and(|error| error.is_refusal())
    };
    for state in State::ALL {
        assert_eq!(refuses(state, false, false, None), !state.is_final(), "{state:?} without a deadline");
        if state.is_final() {
            assert!(refuses(state, true, true, None), "{state:?} with a deadline");
        }
    }
    for state in [State::Ready, State::Live, State::Ended] {
        assert!(refuses(state, true, false, None), "{state:?} without a room");
        assert!(refuses(state, true, true, Some(Verdict::Closed)), "{state:?} with a verdict");
    }
    assert!(refuses(State::Closing, true, true, None));
    assert!(!refuses(State::Closing, true, false, Some(Verdict::Failed)));
}

#[test]
fn notes_are_kept_and_dropped() {
    let mut store = filled(0);
    store.commit(&Batch { meta: vec![("note", Some("one".to_owned()))], ..Batch::default() }).unwrap();
    assert_eq!(store.meta("note").unwrap().as_deref(), Some("one"));
    store.commit(&Batch { meta: vec![("note", None)], ..Batch::default() }).unwrap();
    assert_eq!(store.meta("note").unwrap(), None);
}

#[test]
fn a_store_is_durable_and_can_be_read_beside_a_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(folder.path()).unwrap();
    let batch = Batch {
        meetings: vec![meeting("standup")],
        inserts: vec![record("standup@0", start())],
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    let reader = SqliteStore::open_read_only(folder.path()).unwrap();
    assert_eq!(reader.report(None, 10, 10).unwrap().len(), 1);
    drop((store, reader));
    assert_eq!(SqliteStore::open(folder.path()).unwrap().by_id(&["standup@0".to_owned()]).unwrap().len(), 1);
}

#[test]
fn a_store_in_a_file_is_never_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(folder.path()).unwrap();
    assert!(matches!(store.clear(), Err(StoreError::NotAStore { .. })));
    let mut store = SqliteStore::in_memory().unwrap();
    let note = |store: &mut SqliteStore| store.meta("problem").unwrap();
    store.commit(&Batch { meta: vec![("problem", Some("x".to_owned()))], ..Batch::default() }).unwrap();
    assert!(note(&mut store).is_some());
    store.clear().unwrap();
    assert_eq!(note(&mut store), None);
}

#[test]
fn a_commit_waits_for_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let pragma = |name: &str| store.pragma(name);
    assert_eq!((pragma("synchronous"), pragma("journal_mode")), ("2".to_owned(), "wal".to_owned()));
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path()).unwrap());
    let path = folder.path().join(SqliteStore::FILE_NAME);
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 4711").unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = SqliteStore::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("newer convened (schema 4711"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_of_somebody_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SqliteStore::FILE_NAME);
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let error = SqliteStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");

    std::fs::write(&path, "this is no database, but it is long enough to be looked at as one ".repeat(20))
        .unwrap();
    let error = SqliteStore::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains(SqliteStore::FILE_NAME), "{error}");
}

#[test]
fn the_second_daemon_is_told_who_the_first_is() {
    let folder = tempfile::tempdir().unwrap();
    let first = StoreLock::take(folder.path()).unwrap();
    let error = StoreLock::take(folder.path()).unwrap_err().to_string();
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    drop(first);
    StoreLock::take(folder.path()).unwrap();
}

#[test]
fn what_was_in_a_call_is_known_after_a_restart() {
    let mut store = filled(3);
    let before = everything(&mut store).remove(1);
    let mut record = before.clone();
    record.occurrence.state = State::Creating;
    record.call = Some(Call::Create);
    update(&mut store, &[(&before, &record)]).unwrap();
    assert_eq!(store.interrupted().unwrap(), [record.seq]);
}

#[test]
fn the_queues_are_read_by_the_index_and_from_where_they_ended() {
    let store = filled(3);
    for [same, later] in [sqlite::DUE, sqlite::NEXT_DUE] {
        let (same, later) = (store.explain(same), store.explain(later));
        assert!(same.contains("INDEX occurrences_by_wake (wake_at_ms=? AND rowid>?)"), "{same}");
        assert!(later.contains("INDEX occurrences_by_wake (wake_at_ms>?"), "{later}");
        assert!(!same.contains("TEMP B-TREE") && !later.contains("TEMP B-TREE"), "{same} {later}");
    }
}
