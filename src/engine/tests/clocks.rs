//! Clocks that are set, there and back or for good, and machines that sleep.
//!
//! A step moves the wall clock alone: what the boot clock shows from then on is the true time, by which the tests judge.

use super::world::{World, at, daily, extending, meeting};
use crate::config::Meeting;
use crate::lifecycle::State;
use chrono::{DateTime, TimeDelta, Utc};

/// Lets true time pass by the minute up to `until`, with a wall clock that is off by `off`; until the meeting's time is
/// over by the true clock its room, once there, is never seen closed.
async fn until_true(world: &mut World, until: &str, off: TimeDelta, closes_at: Option<&str>) {
    let true_now = |world: &World| world.shared.lock().now() - off;
    while true_now(world) < at(until) {
        let next = world.shared.lock().now() + TimeDelta::minutes(1);
        world.run_until(next).await;
        let now = true_now(world);
        let truth = world.shared.lock();
        assert!(truth.rooms.len() <= 1, "{now}: {:?}", truth.rooms);
        if closes_at.is_some_and(|closes_at| now < at(closes_at)) {
            assert!(
                truth.rooms.values().all(|room| room.is_open),
                "closed early, at {now}: {:?}",
                truth.rooms
            );
        }
    }
}

const STEPS: [TimeDelta; 4] =
    [TimeDelta::hours(2), TimeDelta::hours(-2), TimeDelta::days(2), TimeDelta::days(-2)];

#[tokio::test]
async fn a_clock_set_wrong_for_twenty_minutes_costs_no_meeting_its_room_and_throws_nobody_out() {
    // Before the room is due, while it waits, while the meeting is on, and between its end and its close.
    for set_at in ["08:30:00", "08:50:00", "09:10:00", "09:31:00"] {
        for by in STEPS {
            let mut world = World::with([meeting("m")]);
            world.pass(TimeDelta::minutes(29), TimeDelta::minutes(29));
            until_true(&mut world, set_at, TimeDelta::zero(), Some("09:35:00")).await;
            world.pass(by, TimeDelta::zero());
            let time = |minutes| (at(set_at) + TimeDelta::minutes(minutes)).format("%H:%M:%S").to_string();
            until_true(&mut world, &time(20), by, Some("09:35:00")).await;
            world.pass(-by, TimeDelta::zero());
            until_true(&mut world, &time(21).max("09:01:00".to_owned()), TimeDelta::zero(), Some("09:35:00"))
                .await;
            if time(21).as_str() < "09:30:00" {
                assert_eq!(world.state("m"), State::Live, "set at {set_at} by {by}");
            }
            until_true(&mut world, &time(22).max("09:40:00".to_owned()), TimeDelta::zero(), Some("09:35:00"))
                .await;
            assert_eq!(world.state("m"), State::Closed, "set at {set_at} by {by}");
            let truth = world.shared.lock();
            assert_eq!((truth.rooms.len(), truth.calls_of("create")), (1, 1), "set at {set_at} by {by}");
        }
    }
}

#[tokio::test]
async fn a_clock_set_ahead_for_good_opens_at_once_and_closes_by_the_boot_clock() {
    for ahead in [TimeDelta::hours(2), TimeDelta::days(2)] {
        let mut world = World::with([meeting("m")]);
        until_true(&mut world, "08:30:00", TimeDelta::zero(), Some("09:35:00")).await;
        world.pass(ahead, TimeDelta::zero());
        until_true(&mut world, "08:31:00", ahead, Some("09:35:00")).await;
        assert_eq!(world.state("m"), State::Live, "by the wall clock it is on");
        until_true(&mut world, "09:34:00", ahead, Some("09:35:00")).await;
        assert_eq!(world.shared.lock().open_rooms().len(), 1);
        until_true(&mut world, "09:40:00", ahead, None).await;
        assert_eq!(world.state("m"), State::Closed);
    }
}

#[tokio::test]
async fn a_clock_set_back_for_good_keeps_the_room_until_the_wall_clock_is_there_again() {
    for back in [TimeDelta::hours(-2), TimeDelta::days(-2)] {
        let mut world = World::with([meeting("m")]);
        world.run_until(at("09:10:00")).await;
        world.pass(back, TimeDelta::zero());
        world.run_until(at("09:34:59")).await;
        assert_eq!(world.shared.lock().open_rooms().len(), 1, "{back}");
        world.run_until(at("09:36:00")).await;
        assert_eq!(world.state("m"), State::Closed, "{back}");
        assert_eq!(world.shared.lock().rooms.len(), 1, "{back}");
    }
}

#[tokio::test]
async fn a_series_under_a_clock_that_jumps_about_has_each_meeting_once() {
    let mut world = World::with([daily("d")]);
    let mut off = TimeDelta::zero();
    for (day, by) in [TimeDelta::hours(2), TimeDelta::days(-2), TimeDelta::days(2), TimeDelta::hours(-2)]
        .into_iter()
        .enumerate()
    {
        let day = TimeDelta::days(i64::try_from(day).unwrap());
        world.run_until(at("08:30:00") + day).await;
        world.engine.housekeep();
        for step in [by, -by] {
            world.pass(step, TimeDelta::zero());
            off += step;
            let next = world.shared.lock().now() + TimeDelta::minutes(10);
            world.run_until(next).await;
            world.engine.housekeep();
        }
        assert_eq!(off, TimeDelta::zero());
        world.run_until(at("09:01:00") + day).await;
        assert_eq!(world.state(&id_of(at("09:00:00") + day)), State::Live, "day {day}");
        // The hours in which nothing happens are slept through.
        world.pass(TimeDelta::minutes(28), TimeDelta::minutes(28));
        world.run_until(at("09:40:00") + day).await;
        world.pass(TimeDelta::hours(22), TimeDelta::hours(22));
    }
    for day in 0..4 {
        assert_eq!(world.state(&id_of(at("09:00:00") + TimeDelta::days(day))), State::Closed, "day {day}");
    }
    // A step ahead by two days opens the rooms of those days early, and they stay: none is made twice.
    let truth = world.shared.lock();
    let made: Vec<_> = truth.rooms.values().map(|room| room.marker.clone()).collect();
    assert_eq!(made.len(), truth.calls_of("create"), "{made:?}");
    assert!(made.len() <= 6, "{:?}", truth.rooms);
}

#[tokio::test]
async fn a_daemon_that_starts_while_the_clock_is_set_wrong_throws_nobody_out() {
    for by in STEPS {
        let mut world = World::with([meeting("m")]);
        until_true(&mut world, "09:10:00", TimeDelta::zero(), Some("09:35:00")).await;
        world.pass(by, TimeDelta::zero());
        // It dies before it notices; the next one sees nothing but the wrong time.
        world.crash();
        world.apply([meeting("m")]).unwrap();
        until_true(&mut world, "09:34:00", by, Some("09:35:00")).await;
        world.pass(-by, TimeDelta::zero());
        until_true(&mut world, "09:40:00", TimeDelta::zero(), Some("09:35:00")).await;
        assert_eq!(world.state("m"), State::Closed, "set by {by}");
    }
}

#[tokio::test]
async fn housekeeping_that_a_full_disk_stops_is_tried_again_soon() {
    let mut world = World::with([daily("d")]);
    world.pass(TimeDelta::days(1), TimeDelta::days(1));
    world.settle().await;
    world.fill_store(true);
    world.engine.housekeep();
    world.fill_store(false);
    let now = world.shared.lock().now();
    world.run_until(now + TimeDelta::minutes(2)).await;
    assert_eq!(world.state(&id_of(at("09:00:00") + TimeDelta::days(30))), State::Planned);
}

fn id_of(start: DateTime<Utc>) -> String {
    format!("d@{}", start.format("%Y-%m-%dT%H:%M"))
}

/// A meeting that starts at that time of the day.
fn starting(id: &str, start: &str, minutes: i64) -> Meeting {
    let mut meeting = meeting(id);
    meeting.series.start = Some(at(start).naive_utc());
    meeting.series.duration = TimeDelta::minutes(minutes);
    meeting
}

#[tokio::test]
async fn a_suspend_of_fourteen_hours_over_three_starts() {
    let meetings = || {
        [
            extending(starting("on", "08:10:00", 30)),
            starting("morning", "09:00:00", 30),
            starting("noon", "12:00:00", 60),
            starting("evening", "22:00:00", 60),
            starting("night", "22:50:00", 30),
        ]
    };
    for is_restarted in [false, true] {
        let mut world = World::with(meetings());
        world.run_until(at("08:20:00")).await;
        world.shared.lock().only_room().people = 2;
        world.run_until(at("08:26:00")).await;
        world.events();
        // The boot clock counts a suspend: no step is seen.
        world.pass(TimeDelta::hours(14), TimeDelta::hours(14));
        if is_restarted {
            // It slept so long that it was started anew.
            world.crash();
            world.apply(meetings()).unwrap();
        }
        world.shared.lock().only_room().people = 0;
        let woken_at = at("22:26:00");
        world.run_until(woken_at).await;
        let states = ["morning", "noon", "evening", "night"].map(|id| world.state(id));
        let expected = [State::Missed, State::Missed, State::Live, State::Planned];
        assert_eq!(states, expected, "restarted: {is_restarted}");
        let count = |events: &[String], name: &str| events.iter().filter(|event| *event == name).count();
        let events = world.events();
        assert_eq!(count(&events, "meeting.missed"), 2, "{events:?}");
        assert_eq!(count(&events, "room.late"), 1, "{events:?}");
        assert_eq!(count(&events, "clock.stepped"), 0, "{events:?}");
        assert_eq!(world.shared.lock().calls_of("create"), 2, "no burst for what is over");
        // What was on when it fell asleep is closed after two looks, and the next one is on time.
        world.run_until(at("22:36:00")).await;
        assert_eq!((world.state("on"), world.state("night")), (State::Closed, State::Ready));
        assert_eq!(count(&world.events(), "room.late"), 0);
        world.pass(TimeDelta::minutes(24), TimeDelta::minutes(24));
        world.run_until(at("23:08:00")).await;
        world.pass(TimeDelta::minutes(16), TimeDelta::minutes(16));
        world.run_until(at("23:26:00")).await;
        assert_eq!((world.state("evening"), world.state("night")), (State::Closed, State::Closed));
        assert!(world.shared.lock().open_rooms().is_empty());
    }
}
