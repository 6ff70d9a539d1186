//! What a full queue, a refused commit and the clocks' fine print do to the engine.

use super::world::{Mood, World, at, daily, extending, meeting};
use crate::lifecycle::{State, urgency};
use crate::providers::ProviderError;
use crate::schedule::{Repeat, Rule};
use chrono::TimeDelta;
use std::time::Duration;

/// Turns, each a little later than the one before, until the engine would sleep.
fn turns_until_it_sleeps(world: &mut World, between: TimeDelta) -> usize {
    for turns in 1..100 {
        if world.engine.turn() > Duration::ZERO {
            return turns;
        }
        world.pass(between, between);
    }
    panic!("the engine never sleeps");
}

#[tokio::test]
async fn what_waits_for_a_busy_provider_keeps_nobody_awake() {
    let mut world = World::new();
    world.limits.max_in_flight = 1;
    let mut later = meeting("later");
    later.policy.close_delay = TimeDelta::minutes(6);
    world.apply([meeting("a"), later]).unwrap();
    world.run_until(at("09:34:59")).await;
    // One is being closed and never comes back; the other waits for its turn.
    world.next("close", Mood::Hangs);
    world.run_until(at("09:35:59")).await;
    world.pass(TimeDelta::seconds(2), TimeDelta::seconds(2));
    let turns = turns_until_it_sleeps(&mut world, TimeDelta::milliseconds(2));
    assert_eq!(world.state("later"), State::Closing, "its time is noticed all the same");
    assert!(turns < 5, "{turns}");
}

#[tokio::test]
async fn a_clock_set_back_by_less_than_a_step_loses_no_try() {
    let mut world = World::with([meeting("m")]);
    world.next("create", Mood::Says(ProviderError::Unavailable("not now".to_owned())));
    world.run_until(at("08:44:59")).await;
    world.pass(TimeDelta::seconds(1), TimeDelta::seconds(1));
    world.engine.turn();
    world.pass(TimeDelta::milliseconds(-1_990), TimeDelta::zero());
    world.run_until(at("08:46:00")).await;
    assert_eq!(world.state("m"), State::Ready);
}

#[tokio::test]
async fn a_clock_step_that_a_reload_meets_first_is_acted_upon() {
    let mut world = World::with([extending(meeting("m"))]);
    world.run_until(at("09:05:00")).await;
    world.pass(TimeDelta::hours(2), TimeDelta::zero());
    world.apply([extending(meeting("m"))]).unwrap();
    world.run_until(at("11:10:00")).await;
    assert!(world.events().contains(&"clock.stepped".to_owned()));
    world.pass(TimeDelta::hours(-2), TimeDelta::zero());
    world.engine.housekeep();
    world.run_until(at("09:36:00")).await;
    assert!(world.events().contains(&"clock.settled".to_owned()));
    assert_eq!(world.state("m"), State::Closed);
}

#[tokio::test]
async fn what_was_seen_by_a_clock_that_was_wrong_closes_no_room() {
    let mut world = World::with([extending(meeting("m"))]);
    world.run_until(at("09:05:00")).await;
    // Two hours ahead for a while; nobody is there yet.
    world.pass(TimeDelta::hours(2), TimeDelta::zero());
    world.run_until(at("11:16:00")).await;
    world.pass(TimeDelta::hours(-2), TimeDelta::zero());
    world.shared.lock().only_room().people = 5;
    let looks = world.shared.lock().calls_of("look");
    world.run_until(at("09:34:00")).await;
    assert!(world.shared.lock().calls_of("look") > looks + 2, "it is looked at again");
    world.run_until(at("09:40:00")).await;
    assert_eq!(world.shared.lock().open_rooms().len(), 1);
}

#[tokio::test]
async fn a_back_off_by_a_clock_that_was_wrong_is_not_waited_for() {
    let closing = || {
        let mut closing = meeting("closing");
        closing.series.start = Some(at("08:00:00").naive_utc());
        closing.policy.close_delay = TimeDelta::minutes(14);
        closing
    };
    for is_down in [false, true] {
        let mut world = World::with([meeting("open"), closing()]);
        world.run_until(at("08:43:59")).await;
        for call in ["create", "close"].repeat(20) {
            world.next(call, Mood::Says(ProviderError::Unavailable("no network".to_owned())));
        }
        world.run_until(at("08:45:10")).await;
        // Half a year ahead for a while.
        world.pass(TimeDelta::days(200), TimeDelta::zero());
        world.settle().await;
        world.pass(TimeDelta::minutes(3), TimeDelta::minutes(3));
        world.settle().await;
        world.pass(TimeDelta::days(-200), TimeDelta::zero());
        world.shared.lock().moods.clear();
        if is_down {
            world.crash();
            world.apply([meeting("open"), closing()]).unwrap();
        }
        world.run_until(at("09:01:00")).await;
        assert_eq!((world.state("open"), world.state("closing")), (State::Live, State::Closed), "{is_down}");
    }
}

#[tokio::test]
async fn a_provider_that_gives_one_room_twice_harms_only_itself() {
    let mut other = meeting("other");
    other.series.start = Some(at("09:02:00").naive_utc());
    let mut world = World::with([meeting("a"), other]);
    world.run_until(at("08:46:59")).await;
    world.shared.lock().gives_always = Some("room-1");
    world.pass(TimeDelta::seconds(1), TimeDelta::seconds(1));
    world.settle().await;
    world.shared.lock().gives_always = None;
    world.run_until(at("09:01:00")).await;
    assert_eq!((world.state("a"), world.state("other")), (State::Live, State::Failed));
    assert!(world.record("other").occurrence.last_error.unwrap().contains("room"));
}

#[tokio::test]
async fn a_clock_that_is_years_ahead_for_a_while_neither_fills_the_store_nor_empties_the_schedule() {
    let mut hourly = meeting("m");
    hourly.series.repeat = Repeat::Rule(Rule::parse("FREQ=HOURLY").unwrap());
    let mut world = World::with([hourly, daily("d")]);
    let before = world.engine.store.counts().unwrap().pending;
    world.run_until(at("08:30:00")).await;
    world.pass(TimeDelta::days(3650), TimeDelta::zero());
    world.engine.housekeep();
    let ahead = world.engine.store.counts().unwrap().pending;
    assert!(ahead < 3 * before, "{ahead}, {before} before");
    world.pass(TimeDelta::days(-3650), TimeDelta::zero());
    world.pass(TimeDelta::days(1), TimeDelta::days(1));
    world.engine.housekeep();
    let tomorrow = format!("d@{}", (at("09:00:00") + TimeDelta::days(30)).format("%Y-%m-%dT%H:%M"));
    assert_eq!(world.state(&tomorrow), State::Planned);
}

#[test]
fn a_room_still_to_be_made_goes_before_a_look_at_one_that_waits_for_its_start() {
    let starts = [at("09:00:00"), at("09:10:00")];
    let make = starts.map(|starts_at| urgency(State::Creating, starts_at, at("08:45:00")));
    let look = urgency(State::Ready, starts[0], at("08:45:30"));
    assert!(make[0] < make[1] && make[1] < look, "{make:?} {look}");
    // Just before its start a room is looked at before those of much later meetings are made.
    assert!(look < urgency(State::Planned, at("09:15:00"), at("08:45:00")));
    // Nothing waits for ever: what is due goes before whatever becomes due a quarter of an hour later.
    assert!(
        urgency(State::Live, starts[0], at("09:05:00"))
            < urgency(State::Planned, at("09:21:00"), at("09:06:00"))
    );
}

#[tokio::test]
async fn a_schedule_without_its_meetings_is_held_before_anything_of_them_is_loaded() {
    let mut world = World::with([daily("a"), daily("b"), daily("c")]);
    world.run_until(at("08:50:00")).await;
    let held = world.apply([daily("a")]).unwrap_err().to_string();
    assert!(
        held.starts_with("it would remove 2 meetings and cancel 60 occurrences, 2 of them with a room"),
        "{held}"
    );
    assert!(held.contains("b, c, b@2026-11-23T09:00, c@2026-11-23T09:00"), "{held}");
    assert_eq!(world.state("b@2026-11-23T09:00"), State::Ready);
}

#[tokio::test]
async fn a_refused_room_is_made_by_the_provider_that_the_meeting_gets_then() {
    let mut world = World::with([meeting("m")]);
    world.next("create", Mood::Says(ProviderError::Rejected("no".to_owned())));
    world.run_until(at("08:46:00")).await;
    assert_eq!(world.state("m"), State::Failed);
    let mut other = meeting("m");
    other.provider = "other".to_owned();
    world.apply([other]).unwrap();
    assert_eq!(world.record("m").provider, "other");
}

#[test]
fn rooms_that_cannot_be_made_keep_no_room_from_being_closed() {
    let retried = urgency(State::Creating, at("09:00:00"), at("08:59:30"));
    assert!(urgency(State::Closing, at("08:00:00"), at("08:49:00")) < retried);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_while_an_answer_waits_is_not_tried_without_pause() {
    let mut world = World::with([meeting("m")]);
    world.run_until(at("08:44:59")).await;
    world.pass(TimeDelta::seconds(1), TimeDelta::seconds(1));
    world.engine.turn();
    world.break_store(true);
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert!(world.engine.turn() >= Duration::from_secs(2), "the answer could not be recorded");
    assert!(!world.engine.gather_answers().await, "nothing new came: the pause is kept");
    world.break_store(false);
    world.run_until(at("08:46:00")).await;
    assert_eq!(world.state("m"), State::Ready);
}
