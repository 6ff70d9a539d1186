//! The engine with its real store, against a provider that keeps its own truth.

mod clocks;
mod limits;
mod quota;
mod rules;
mod schedule_changes;
mod world;
mod zone_data;
mod zoom;

use crate::lifecycle::State;
use crate::providers::ProviderError;
use chrono::TimeDelta;
use std::time::Duration;
use world::{Mood, World, at, daily, extending, meeting};

#[tokio::test]
async fn a_meeting_from_planned_to_closed() {
    let mut world = World::with([meeting("m")]);
    world.run_until(at("08:44:59")).await;
    assert!(world.shared.lock().rooms.is_empty());
    world.run_until(at("08:45:00")).await;
    assert_eq!(world.state("m"), State::Ready);
    world.run_until(at("09:34:59")).await;
    assert_eq!((world.state("m"), world.shared.lock().open_rooms().len()), (State::Ended, 1));
    world.run_until(at("09:36:00")).await;
    assert_eq!(world.state("m"), State::Closed);
    assert_eq!(world.shared.lock().only_room().closed_at, Some(at("09:35:00")));
    let expected =
        ["schedule.applied", "room.created", "meeting.live", "meeting.ended", "room.closing", "room.closed"];
    let mut events = world.events();
    events.retain(|name| !["room.creating", "call.sent", "room.occupancy"].contains(&name.as_str()));
    assert_eq!(events, expected);
}

#[tokio::test]
async fn a_lost_answer_to_a_create_never_makes_a_second_room() {
    let mut world = World::with([meeting("m")]);
    world.next("create", Mood::LosesAnswer);
    world.run_until(at("09:00:00")).await;
    assert_eq!(world.state("m"), State::Live);
    let truth = world.shared.lock();
    assert_eq!((truth.rooms.len(), truth.calls_of("create"), truth.calls_of("find")), (1, 1, 1));
}

#[tokio::test]
async fn a_crash_at_any_call_neither_doubles_nor_forgets_a_room() {
    // Crash while the n-th call is under way, with the call done and with it not done.
    for is_done in [true, false] {
        for n in 0..6 {
            let mut world = World::with([meeting("m")]);
            world.run_until(at("08:40:00")).await;
            let mut crashed = false;
            while world.shared.lock().now() < at("09:40:00") {
                let until = world.shared.lock().now() + TimeDelta::seconds(30);
                let calls = world.shared.lock().calls.len();
                if calls == n && !crashed {
                    for call in ["create", "find", "look", "update", "close"] {
                        world.next(call, if is_done { Mood::HangsAfter } else { Mood::Hangs });
                    }
                }
                world.run_until(until).await;
                if world.shared.lock().calls.len() > n && !crashed {
                    crashed = true;
                    world.crash();
                    world.apply([meeting("m")]).unwrap();
                }
            }
            assert!(crashed || n > 3, "call {n} was never made");
            assert_eq!(world.state("m"), State::Closed, "call {n}, done: {is_done}");
            let mut truth = world.shared.lock();
            assert_eq!(truth.only_room().closed_at.map(|closed| closed >= at("09:35:00")), Some(true));
        }
    }
}

#[tokio::test]
async fn people_in_the_room_extend_it_and_nobody_is_thrown_out() {
    let mut world = World::with([extending(meeting("m"))]);
    world.run_until(at("09:10:00")).await;
    world.shared.lock().only_room().people = 3;
    world.run_until(at("09:44:00")).await;
    assert_eq!(world.record("m").occurrence.extended_by, TimeDelta::minutes(10));
    assert_eq!(world.shared.lock().only_room().ends_at, at("09:40:00"), "the provider knows the new end");
    // They leave: the next check closes.
    world.shared.lock().only_room().people = 0;
    world.run_until(at("09:50:00")).await;
    let closed_at = world.shared.lock().only_room().closed_at.unwrap();
    assert!(closed_at >= at("09:45:00"), "{closed_at}");
    assert!(world.events().contains(&"meeting.extended".to_owned()));
}

#[tokio::test]
async fn a_status_that_cannot_be_read_throws_nobody_out() {
    let mut world = World::with([extending(meeting("m"))]);
    world.run_until(at("09:30:00")).await;
    for _ in 0..40 {
        world.next("look", Mood::Says(ProviderError::Unavailable("502".to_owned())));
    }
    world.run_until(at("09:40:00")).await;
    assert_eq!(world.shared.lock().open_rooms().len(), 1);
    // The greatest extension is used up at 10:00, and the delay at 10:05.
    world.run_until(at("10:04:59")).await;
    assert_eq!(world.shared.lock().open_rooms().len(), 1);
    world.run_until(at("10:06:00")).await;
    assert!(world.shared.lock().open_rooms().is_empty());
}

#[tokio::test]
async fn a_call_that_panics_is_looked_up() {
    let mut world = World::with([meeting("m")]);
    world.next("create", Mood::Panics);
    world.run_until(at("08:46:00")).await;
    assert_eq!(world.state("m"), State::Ready);
    assert_eq!(world.shared.lock().rooms.len(), 1);
}

#[tokio::test]
async fn a_limited_provider_is_left_alone_until_then_and_asked_in_order_of_starts() {
    let mut meetings: Vec<_> = (0..6).map(|n| meeting(&format!("m{n}"))).collect();
    for (n, meeting) in meetings.iter_mut().enumerate() {
        // Later ids start earlier; all rooms are due at 08:45.
        let later = TimeDelta::minutes(i64::try_from(5 - n).unwrap());
        meeting.series.start = Some((at("09:00:00") + later).naive_utc());
        meeting.policy.create_ahead = TimeDelta::minutes(15) + later;
    }
    let mut world = World::new();
    world.limits.max_in_flight = 1;
    world.apply(meetings).unwrap();
    world.next("create", Mood::Says(ProviderError::RateLimited { retry_at: Some(at("08:50:00")) }));
    world.run_until(at("08:49:59")).await;
    assert_eq!(world.shared.lock().calls_of("create"), 1);
    world.run_until(at("08:51:00")).await;
    let truth = world.shared.lock();
    let titles: Vec<&str> = truth.rooms.values().map(|room| room.title.as_str()).collect();
    assert_eq!(
        titles,
        ["Title of m5", "Title of m4", "Title of m3", "Title of m2", "Title of m1", "Title of m0"]
    );
}

#[tokio::test]
async fn a_rate_limit_is_kept_and_used() {
    let mut world = World::new();
    world.limits.interval = Duration::from_millis(100);
    world.apply((0..300).map(|n| meeting(&format!("m{n}")))).unwrap();
    world.run_until(at("08:45:20")).await;
    let truth = world.shared.lock();
    let times: Vec<_> = truth.calls.iter().map(|(_, at)| *at).collect();
    assert!((195..=200).contains(&times.len()), "{}", times.len());
    assert!(times.windows(11).all(|w| w[10] - w[0] >= TimeDelta::seconds(1)), "{times:?}");
}

#[tokio::test]
async fn a_clock_set_ahead_opens_rooms_and_closes_none() {
    let mut world = World::with([extending(meeting("m")), {
        let mut later = meeting("later");
        later.series.start = Some(at("11:00:00").naive_utc());
        later
    }]);
    world.run_until(at("09:05:00")).await;
    world.pass(TimeDelta::hours(2), TimeDelta::zero());
    world.run_until(at("11:10:00")).await;
    assert_eq!(world.shared.lock().open_rooms().len(), 2, "the first stays open, the second opens");
    assert!(world.events().contains(&"clock.stepped".to_owned()));
    // It was a mistake, and is mended: as if nothing had been.
    world.pass(TimeDelta::hours(-2), TimeDelta::zero());
    world.run_until(at("09:30:00")).await;
    assert_eq!(world.state("m"), State::Ended);
    world.run_until(at("09:36:00")).await;
    assert_eq!(world.state("m"), State::Closed);
}

#[tokio::test]
async fn after_a_suspend_what_is_open_gets_its_room_and_what_is_over_is_missed() {
    let mut over = meeting("over");
    over.series.start = Some(at("08:10:00").naive_utc());
    over.policy.create_ahead = TimeDelta::minutes(1);
    let mut world = World::with([over, meeting("open")]);
    world.run_until(at("08:05:00")).await;
    world.pass(TimeDelta::minutes(70), TimeDelta::minutes(70));
    world.run_until(at("09:16:00")).await;
    assert_eq!((world.state("over"), world.state("open")), (State::Missed, State::Live));
    let events = world.events();
    assert!(
        events.contains(&"meeting.missed".to_owned()) && events.contains(&"room.late".to_owned()),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_room_that_vanished_is_made_again_after_two_looks() {
    let mut world = World::with([meeting("m")]);
    world.run_until(at("09:02:00")).await;
    world.shared.lock().rooms.clear();
    world.run_until(at("09:10:00")).await;
    assert_eq!((world.state("m"), world.shared.lock().open_rooms().len()), (State::Live, 1));
    assert!(world.events().contains(&"room.gone".to_owned()));
}

#[tokio::test]
async fn a_stop_records_what_comes_back_and_gives_up_what_hangs() {
    let mut world = World::with([meeting("m")]);
    world.run_until(at("08:44:59")).await;
    world.next("create", Mood::HangsAfter);
    world.run_until(at("08:45:01")).await;
    assert_eq!(world.record("m").call, Some(crate::lifecycle::Call::Create));
    world.crash();
    assert_eq!(world.record("m").call, None);
    world.apply([meeting("m")]).unwrap();
    world.run_until(at("08:46:00")).await;
    assert_eq!((world.state("m"), world.shared.lock().rooms.len()), (State::Ready, 1));
}

#[tokio::test]
async fn a_provider_that_is_not_configured_keeps_its_meetings_waiting() {
    let mut elsewhere = meeting("m");
    elsewhere.provider = "gone".to_owned();
    let mut world = World::with([elsewhere]);
    world.run_until(at("08:50:00")).await;
    assert_eq!(world.state("m"), State::Creating);
    assert!(world.record("m").occurrence.last_error.unwrap().contains("not in the configuration"));
}

#[tokio::test]
async fn the_horizon_moves_on_and_adds_what_it_reaches() {
    let mut world = World::with([daily("d")]);
    let pending = |world: &mut World| world.engine.store.counts().unwrap().pending;
    assert_eq!(pending(&mut world), 30);
    world.run_until(at("08:30:00")).await;
    world.pass(TimeDelta::days(1), TimeDelta::days(1));
    world.settle().await;
    world.engine.housekeep();
    // Yesterday's was missed, another one came.
    assert_eq!(pending(&mut world), 30);
    assert_eq!(world.engine.tally.pending, 30);
}

#[tokio::test]
async fn a_store_that_cannot_be_written_stops_calls_not_the_engine() {
    let mut world = World::with([meeting("m")]);
    world.run_until(at("08:44:00")).await;
    world.break_store(true);
    world.pass(TimeDelta::minutes(2), TimeDelta::minutes(2));
    world.engine.turn();
    assert!(world.shared.lock().calls.is_empty(), "nothing is called that is not recorded");
    assert!(world.events().contains(&"store.failed".to_owned()));
    world.break_store(false);
    world.pass(TimeDelta::seconds(2), TimeDelta::seconds(2));
    world.run_until(at("08:47:00")).await;
    assert_eq!((world.state("m"), world.shared.lock().rooms.len()), (State::Ready, 1));
    assert!(world.events().contains(&"store.recovered".to_owned()));
}
