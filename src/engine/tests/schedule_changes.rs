//! What a new schedule does to what is there.

use super::super::ApplyError;
use super::world::{Mood, World, at, daily, extending, meeting};
use crate::lifecycle::{OnRemoved, State};
use crate::providers::ProviderError;
use crate::schedule::{Except, Override, Repeat, Rule};
use chrono::TimeDelta;
use std::time::Duration;

#[tokio::test]
async fn the_same_schedule_again_touches_nothing() {
    let mut world = World::with([daily("a"), meeting("b")]);
    world.run_until(at("09:10:00")).await;
    let before = world.shared.lock().calls.len();
    let applied = world.apply([daily("a"), meeting("b")]).unwrap();
    assert_eq!((applied.changed, applied.added, applied.moved, applied.cancelled), (0, 0, 0, 0));
    world.settle().await;
    assert_eq!(world.shared.lock().calls.len(), before);
}

#[tokio::test]
async fn a_new_title_reaches_the_room_that_exists() {
    let mut world = World::with([meeting("m")]);
    world.run_until(at("09:00:00")).await;
    let mut renamed = meeting("m");
    renamed.title = "Another title".to_owned();
    world.apply([renamed]).unwrap();
    world.settle().await;
    assert_eq!(world.shared.lock().only_room().title, "Another title");
    assert_eq!(world.state("m"), State::Live);
}

#[tokio::test]
async fn a_title_of_a_planned_occurrence_is_kept_for_its_room() {
    let mut world = World::with([daily("m")]);
    let mut retitled = daily("m");
    let title = Some("Only today".to_owned());
    retitled.series.overrides.insert(at("09:00:00").naive_utc(), Override { title, ..Override::default() });
    world.apply([retitled]).unwrap();
    world.run_until(at("09:00:00")).await;
    assert_eq!(world.shared.lock().only_room().title, "Only today");
}

#[tokio::test]
async fn a_meeting_moved_while_its_room_is_there_keeps_its_room() {
    let mut world = World::with([meeting("m")]);
    world.run_until(at("08:50:00")).await;
    let mut moved = meeting("m");
    moved.series.start = Some(at("10:00:00").naive_utc());
    let applied = world.apply([moved]).unwrap();
    assert_eq!((applied.moved, applied.cancelled), (1, 0));
    world.run_until(at("09:05:00")).await;
    assert_eq!(world.state("m"), State::Ready);
    assert_eq!(world.shared.lock().only_room().ends_at, at("10:30:00"));
    world.run_until(at("10:01:00")).await;
    assert_eq!((world.state("m"), world.shared.lock().rooms.len()), (State::Live, 1));
}

#[tokio::test]
async fn a_series_moved_by_an_hour_keeps_todays_room() {
    let mut world = World::with([daily("m")]);
    world.run_until(at("08:50:00")).await;
    let mut moved = daily("m");
    moved.series.start = Some(at("10:00:00").naive_utc());
    let applied = world.apply([moved]).unwrap();
    assert_eq!((applied.cancelled, applied.occurrences_added), (0, 0), "{applied}");
    world.settle().await;
    assert_eq!(world.state("m@2026-11-23T10:00"), State::Ready);
    assert_eq!(world.shared.lock().only_room().ends_at, at("10:30:00"));
}

#[tokio::test]
async fn a_removed_meeting_closes_its_room_unless_somebody_is_in_it() {
    let mut world = World::with((0..8).map(|n| meeting(&format!("m{n}"))));
    world.run_until(at("09:01:00")).await;
    // One of the rooms has people in it.
    world.shared.lock().rooms.get_mut("room-1").unwrap().people = 2;
    world.apply((2..8).map(|n| meeting(&format!("m{n}")))).unwrap();
    world.run_until(at("09:02:00")).await;
    let is_open = |id: &str| world.shared.lock().rooms[id].is_open;
    assert_eq!((is_open("room-1"), is_open("room-2")), (true, false));
    world.run_until(at("09:36:00")).await;
    assert!(world.shared.lock().open_rooms().is_empty(), "it ended by its rules");
}

#[tokio::test]
async fn a_removed_meeting_is_closed_at_once_where_the_rules_say_so() {
    let strict = |id: &str| {
        let mut meeting = meeting(id);
        meeting.policy.on_removed = OnRemoved::Close;
        meeting
    };
    let mut world = World::with([strict("a"), strict("b"), strict("c")]);
    world.run_until(at("09:01:00")).await;
    world.shared.lock().rooms.values_mut().for_each(|room| room.people = 1);
    world.apply([strict("a"), strict("b")]).unwrap();
    world.run_until(at("09:01:10")).await;
    assert_eq!(world.shared.lock().open_rooms().len(), 2);
    assert_eq!(world.state("c"), State::Cancelled);
}

#[tokio::test]
async fn an_empty_schedule_is_held_until_it_is_accepted() {
    let mut world = World::with([meeting("a"), meeting("b")]);
    world.run_until(at("08:50:00")).await;
    assert!(matches!(world.apply([]), Err(ApplyError::Held(held)) if held.removed == 2));
    world.run_until(at("09:01:00")).await;
    assert_eq!((world.state("a"), world.state("b")), (State::Live, State::Live));
    // Also after a restart, with nothing in force but what the store holds.
    world.crash();
    assert!(matches!(world.apply([]), Err(ApplyError::Held(_))));
    world.run_until(at("09:20:00")).await;
    assert_eq!(world.shared.lock().open_rooms().len(), 2);
    let schedule = world.schedule([]);
    world.engine.apply(schedule, true).unwrap();
    world.run_until(at("09:21:00")).await;
    assert!(world.shared.lock().open_rooms().is_empty());
}

#[tokio::test]
async fn more_rooms_than_the_guard_allows_are_not_cancelled_by_a_slip() {
    let mut world = World::with((0..20).map(|n| meeting(&format!("m{n}"))));
    world.run_until(at("08:50:00")).await;
    let five_less = world.apply((5..20).map(|n| meeting(&format!("m{n}")))).unwrap();
    assert_eq!(five_less.cancelled_with_room, 5);
    let held = world.apply((11..20).map(|n| meeting(&format!("m{n}"))));
    assert!(matches!(held, Err(ApplyError::Held(diff)) if diff.cancelled_with_room == 6));
}

#[tokio::test]
async fn exceptions_and_overrides_change_single_occurrences() {
    let mut world = World::with([daily("m")]);
    let mut changed = daily("m");
    let day = |n| at("09:00:00").naive_utc() + TimeDelta::days(n);
    changed.series.except = vec![Except::Day(day(0).date())];
    let moved = Override { start: Some(day(1) + TimeDelta::hours(3)), ..Override::default() };
    changed.series.overrides.insert(day(1), moved);
    changed.series.overrides.insert(day(2), Override { cancel: true, ..Override::default() });
    let applied = world.apply([changed]).unwrap();
    assert_eq!((applied.moved, applied.cancelled), (1, 2));
    assert_eq!(world.state("m@2026-11-23T09:00"), State::Cancelled);
    let moved = world.record("m@2026-11-24T09:00").occurrence.times.starts_at;
    assert_eq!(moved, at("12:00:00") + TimeDelta::days(1));
    // Back again.
    let applied = world.apply([daily("m")]).unwrap();
    assert_eq!((applied.moved, applied.cancelled), (1, 0));
    world.run_until(at("09:01:00")).await;
    assert_eq!((world.state("m@2026-11-23T09:00"), world.shared.lock().rooms.len()), (State::Live, 1));
}

#[tokio::test]
async fn another_provider_takes_over_what_has_no_room_yet() {
    let mut world = World::with([daily("m"), meeting("n")]);
    world.run_until(at("08:50:00")).await;
    let mut moved = daily("m");
    moved.provider = "other".to_owned();
    world.apply([moved, meeting("n")]).unwrap();
    assert_eq!(world.record("m@2026-11-23T09:00").provider, "house");
    assert_eq!(world.record("m@2026-11-24T09:00").provider, "other");
    assert_eq!(world.record("n").provider, "house");
}

#[tokio::test]
async fn new_rules_for_the_close_hold_for_rooms_that_are_open() {
    let mut world = World::with([meeting("m")]);
    world.run_until(at("09:20:00")).await;
    world.shared.lock().only_room().people = 2;
    world.apply([extending(meeting("m"))]).unwrap();
    world.run_until(at("09:40:00")).await;
    assert_eq!((world.state("m"), world.shared.lock().open_rooms().len()), (State::Ended, 1));
}

#[tokio::test]
async fn a_reload_during_a_create_neither_doubles_nor_loses_the_room() {
    let mut world = World::with([meeting("m"), meeting("n"), meeting("o")]);
    world.run_until(at("08:44:59")).await;
    world.pass(TimeDelta::seconds(1), TimeDelta::seconds(1));
    // The calls are sent; before they come back the meeting is moved, and another one removed.
    world.engine.turn();
    let mut moved = meeting("m");
    moved.series.start = Some(at("09:10:00").naive_utc());
    world.apply([moved, meeting("n")]).unwrap();
    world.run_until(at("08:46:00")).await;
    let truth = world.shared.lock();
    assert_eq!((truth.rooms.len(), truth.open_rooms().len()), (3, 2));
    assert!(truth.rooms.values().any(|room| room.is_open && room.ends_at == at("09:40:00")));
    drop(truth);
    assert_eq!((world.state("m"), world.state("o")), (State::Ready, State::Cancelled));
}

#[tokio::test]
async fn a_schedule_too_large_for_one_transaction_is_whole_after_a_crash() {
    let mut minutely = meeting("m");
    minutely.series.repeat = Repeat::Rule(Rule::parse("FREQ=MINUTELY").unwrap());
    minutely.series.duration = TimeDelta::seconds(20);
    let mut world = World::with([minutely.clone()]);
    let all = world.engine.store.counts().unwrap().pending;
    assert!(all > 43_000, "{all}");
    // As if the crash had come before the last transaction.
    let mut broken = world.engine.store.meetings().unwrap().remove(0);
    broken.fingerprint = [0; 32];
    world.engine.store.commit(&crate::store::Batch { meetings: vec![broken], ..Default::default() }).unwrap();
    world.crash();
    let applied = world.apply([minutely]).unwrap();
    assert_eq!((applied.occurrences_added, applied.cancelled), (0, 0));
    assert_eq!(world.engine.store.counts().unwrap().pending, all);
}

#[tokio::test]
async fn a_meeting_that_waits_for_a_provider_that_does_not_answer_can_be_given_to_another() {
    let mut world = World::with([meeting("m"), meeting("n")]);
    for _ in 0..50 {
        world.next("create", Mood::Says(ProviderError::Unavailable("down".to_owned())));
    }
    world.run_until(at("08:50:00")).await;
    assert_eq!(world.state("m"), State::Creating);
    let mut moved = meeting("m");
    moved.provider = "other".to_owned();
    world.apply([moved, meeting("n")]).unwrap();
    assert_eq!(world.record("m").provider, "other");
    assert_eq!(world.record("n").provider, "house");
}

#[tokio::test]
async fn a_meeting_put_off_while_its_room_is_asked_for_in_vain_waits_for_its_new_time() {
    let mut world = World::with([meeting("m")]);
    world.next("create", Mood::Says(ProviderError::Unavailable("down".to_owned())));
    world.run_until(at("08:45:00")).await;
    let mut put_off = meeting("m");
    put_off.series.start = Some(at("12:00:00").naive_utc());
    world.apply([put_off]).unwrap();
    world.run_until(at("11:44:59")).await;
    assert!(world.shared.lock().rooms.is_empty());
    world.run_until(at("11:46:00")).await;
    assert_eq!(world.state("m"), State::Ready);
}

/// Lets days pass, with the housekeeping of each hour.
async fn days(world: &mut World, days: i64) {
    for _ in 0..days * 4 {
        world.pass(TimeDelta::hours(6), TimeDelta::hours(6));
        world.settle().await;
        world.engine.housekeep();
    }
}

#[tokio::test]
async fn a_meeting_moved_beyond_the_horizon_takes_place_when_its_day_comes() {
    let on = |id: &str, day: i64| {
        let mut on = meeting(id);
        on.series.start = Some(at("12:00:00").naive_utc() + TimeDelta::days(day));
        // Six hours: a turn meets it.
        on.series.duration = TimeDelta::hours(6);
        on
    };
    // One that was over, one that was planned, one that has a room.
    let mut with_room = on("room", 2);
    with_room.policy.create_ahead = TimeDelta::days(3);
    let mut world = World::with([on("over", 0), on("planned", 3), with_room]);
    days(&mut world, 1).await;
    assert_eq!(
        [world.state("over"), world.state("planned"), world.state("room")],
        [State::Closed, State::Planned, State::Ready]
    );
    world.apply([on("over", 40), on("planned", 40), on("room", 40)]).unwrap();
    days(&mut world, 38).await;
    for id in ["over", "planned", "room"] {
        assert_eq!(world.state(id), State::Planned, "{id}");
    }
    days(&mut world, 2).await;
    for id in ["over", "planned", "room"] {
        assert_eq!(world.state(id), State::Closed, "{id}");
        assert_eq!(world.record(id).occurrence.times.starts_at, at("12:00:00") + TimeDelta::days(40));
    }
}

#[tokio::test]
async fn as_many_occurrences_as_the_check_allows_are_all_there() {
    let mut minutely = meeting("m");
    minutely.series.start = Some(at("00:00:00").naive_utc() - TimeDelta::days(100));
    minutely.series.repeat = Repeat::Rule(Rule::parse("FREQ=MINUTELY").unwrap());
    minutely.series.duration = TimeDelta::seconds(20);
    let mut world = World::new();
    let mut schedule = world.schedule([minutely.clone()]);
    schedule.horizon = TimeDelta::days(69);
    world.engine.apply(schedule, false).unwrap();
    assert_eq!(world.engine.store.counts().unwrap().pending, 69 * 1440);
}

#[tokio::test]
async fn more_occurrences_than_can_be_held_cancel_nothing() {
    let mut world = World::with([daily("m"), meeting("n")]);
    world.run_until(at("08:50:00")).await;
    let mut secondly = daily("m");
    secondly.series.repeat = Repeat::Rule(Rule::parse("FREQ=MINUTELY;BYSECOND=0,10,20,30,40,50").unwrap());
    let applied = world.apply([secondly, meeting("n")]).unwrap();
    assert_eq!((applied.cancelled, applied.occurrences_added), (0, 0));
    assert_eq!(world.state("m@2026-11-23T09:00"), State::Ready);
    assert!(world.events().contains(&"schedule.warning".to_owned()));
}

#[tokio::test]
async fn a_large_schedule_that_is_half_written_forgets_no_cancellation() {
    let mut minutely = meeting("many");
    minutely.series.repeat = Repeat::Rule(Rule::parse("FREQ=MINUTELY").unwrap());
    minutely.series.start = Some(at("12:00:00").naive_utc() + TimeDelta::days(1));
    minutely.series.duration = TimeDelta::seconds(20);
    let mut world = World::with([meeting("m"), meeting("n")]);
    world.run_until(at("08:44:59")).await;
    world.pass(TimeDelta::seconds(1), TimeDelta::seconds(1));
    // The rooms are being made when one meeting is taken out, and the disk fills up in the middle of it.
    world.engine.turn();
    world.fill_store(true);
    assert!(matches!(world.apply([meeting("n"), minutely.clone()]), Err(ApplyError::Store(_))));
    world.run_until(at("08:46:00")).await;
    assert_eq!((world.state("m"), world.state("n")), (State::Cancelled, State::Ready));
    world.fill_store(false);
    let applied = world.apply([meeting("n"), minutely]).unwrap();
    assert!(applied.occurrences_added > 40_000);
    assert_eq!(world.engine.tally, world.engine.store.counts().unwrap());
}

#[tokio::test]
async fn a_held_schedule_leaves_the_limits_as_they_are() {
    let slow = Duration::from_secs(2);
    let mut world = World::new();
    world.limits.interval = slow;
    world.apply((0..8).map(|n| meeting(&format!("m{n}")))).unwrap();
    world.limits.interval = Duration::ZERO;
    assert!(matches!(world.apply([]), Err(ApplyError::Held(_))));
    assert_eq!(world.engine.lanes["house"].limits.interval, slow);
    world.engine.apply(world.schedule([]), true).unwrap();
    assert_eq!(world.engine.lanes["house"].limits.interval, Duration::ZERO);
}
