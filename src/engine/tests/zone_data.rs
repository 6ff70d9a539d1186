//! Zone data that differ from those by which the store was reckoned: an upgrade of the program, simulated by a store
//! that holds other instants and another version than this program has.

use super::super::apply::{ZONE_DATA, ZONE_DATA_HERE};
use super::super::*;
use super::world::{World, at, daily, meeting};
use crate::config::Meeting;
use crate::lifecycle::State;
use crate::store::{Batch, Record, Update};

/// Every day at 10:00 in Berlin: 09:00 UTC in November.
fn in_berlin(id: &str) -> Meeting {
    let mut meeting = daily(id);
    meeting.series.zone = chrono_tz::Europe::Berlin;
    meeting.series.start = Some(at("10:00:00").naive_utc());
    meeting
}

/// As if older zone data had told the store that everything of `meeting` begins `by` later than this program's say.
fn reckon_otherwise(world: &mut World, meeting: &str, by: TimeDelta) {
    let altered = |before: Record| {
        let mut after = before.clone();
        after.occurrence.times.starts_at += by;
        after.occurrence.times.ends_at += by;
        after.wake_at = after.wake_at.map(|wake_at| wake_at + by);
        Update { before: Arc::new(before), after: Arc::new(after), history: Vec::new() }
    };
    let records = world.engine.store.of_meeting(meeting, at("00:00:00")).unwrap();
    let updates = records.into_iter().map(altered).collect();
    let meta = vec![(ZONE_DATA, Some("1999a".to_owned()))];
    world.engine.store.commit(&Batch { updates, meta, ..Batch::default() }).unwrap();
}

fn all(world: &mut World, meeting: &str) -> Vec<Record> {
    world.engine.store.of_meeting(meeting, at("00:00:00")).unwrap()
}

#[tokio::test]
async fn new_zone_data_move_what_is_planned_and_double_nothing() {
    for by in [TimeDelta::hours(1), TimeDelta::hours(-1), TimeDelta::minutes(30), TimeDelta::hours(24)] {
        let mut world = World::with([in_berlin("m"), meeting("single")]);
        let before = all(&mut world, "m");
        reckon_otherwise(&mut world, "m", by);
        world.crash();
        world.events();
        let applied = world.apply([in_berlin("m"), meeting("single")]).unwrap();
        assert_eq!((applied.changed, applied.added, applied.cancelled), (0, 0, 0), "{by}");
        assert_eq!(applied.moved, before.len(), "{by}");
        let after = all(&mut world, "m");
        let places = |records: &[Record]| -> Vec<_> {
            records.iter().map(|record| (record.id.clone(), record.occurrence.times)).collect()
        };
        assert_eq!(places(&after), places(&before), "{by}");
        assert!(after.iter().all(|record| record.occurrence.state == State::Planned), "{by}");
        let told = world.shared.lock().events.join("\n");
        let expected = format!("schedule.zone_data before=1999a now={ZONE_DATA_HERE} moved={}", before.len());
        assert!(told.contains(&expected), "{told}");

        world.run_until(at("09:00:00")).await;
        assert_eq!(world.state("m@2026-11-23T10:00"), State::Live, "{by}");
        let titles =
            |world: &World| world.shared.lock().rooms.values().filter(|r| r.title.ends_with(" m")).count();
        assert_eq!(titles(&world), 1, "{by}");
    }
}

#[tokio::test]
async fn a_room_that_waits_for_its_start_is_kept_and_told_of_the_new_one() {
    let mut world = World::with([in_berlin("m")]);
    world.run_until(at("08:50:00")).await;
    assert_eq!(world.state("m@2026-11-23T10:00"), State::Ready);
    reckon_otherwise(&mut world, "m", TimeDelta::hours(1));
    world.crash();
    world.apply([in_berlin("m")]).unwrap();
    world.run_until(at("09:00:00")).await;
    assert_eq!(world.state("m@2026-11-23T10:00"), State::Live);
    assert_eq!(world.shared.lock().only_room().ends_at, at("09:30:00"));
    assert!(world.events().contains(&"meeting.rescheduled".to_owned()));
}

#[tokio::test]
async fn a_meeting_that_is_on_is_neither_cut_short_nor_held_twice() {
    // By the zone data of then it began at 08:20, while by those of now it begins at 09:00.
    let earlier = TimeDelta::minutes(-40);
    let mut world = World::with([in_berlin("m")]);
    reckon_otherwise(&mut world, "m", earlier);
    world.run_until(at("08:30:00")).await;
    assert_eq!(world.state("m@2026-11-23T10:00"), State::Live);
    world.crash();
    world.apply([in_berlin("m")]).unwrap();
    assert_eq!(world.record("m@2026-11-23T10:00").occurrence.times.starts_at, at("08:20:00"));
    assert_eq!(
        world.record("m@2026-11-24T10:00").occurrence.times.starts_at,
        at("09:00:00") + TimeDelta::days(1)
    );
    world.run_until(at("10:00:00")).await;
    assert_eq!(world.state("m@2026-11-23T10:00"), State::Closed);
    assert_eq!(world.shared.lock().only_room().closed_at, Some(at("08:55:00")));

    // By the zone data of then it began at 08:20 and is over; by those of now it would begin once more.
    let mut world = World::with([in_berlin("m")]);
    reckon_otherwise(&mut world, "m", earlier);
    world.run_until(at("08:57:00")).await;
    assert_eq!(world.state("m@2026-11-23T10:00"), State::Closed);
    world.crash();
    world.apply([in_berlin("m")]).unwrap();
    world.run_until(at("10:00:00")).await;
    assert_eq!((world.state("m@2026-11-23T10:00"), world.shared.lock().rooms.len()), (State::Closed, 1));
}

#[tokio::test]
async fn the_same_zone_data_are_no_reason_to_look_at_anything() {
    let mut world = World::with([in_berlin("m")]);
    world.crash();
    world.events();
    let applied = world.apply([in_berlin("m")]).unwrap();
    assert!(applied.is_nothing(), "{applied}");
    assert!(!world.events().contains(&"schedule.zone_data".to_owned()));
    // A store from before the note was kept is looked at once.
    let meta = vec![(ZONE_DATA, None)];
    world.engine.store.commit(&Batch { meta, ..Batch::default() }).unwrap();
    world.crash();
    let applied = world.apply([in_berlin("m")]).unwrap();
    assert!(applied.is_nothing(), "{applied}");
    let told = world.shared.lock().events.join("\n");
    assert!(told.contains("schedule.zone_data before=unknown"), "{told}");
}

#[tokio::test]
async fn new_zone_data_and_an_edited_meeting_come_together() {
    let mut world = World::with([in_berlin("m"), in_berlin("other")]);
    reckon_otherwise(&mut world, "m", TimeDelta::hours(1));
    world.crash();
    let mut edited = in_berlin("m");
    edited.title = "Another title".to_owned();
    let applied = world.apply([edited, in_berlin("other")]).unwrap();
    assert_eq!((applied.changed, applied.cancelled, applied.occurrences_added), (1, 0, 0), "{applied}");
    world.run_until(at("09:00:00")).await;
    assert_eq!(world.state("m@2026-11-23T10:00"), State::Live);
    assert_eq!(world.shared.lock().rooms.len(), 2);
}
