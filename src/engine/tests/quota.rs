//! Daily quotas: counted before a call leaves, for each host and UTC day, over crashes.

use super::world::{Mood, World, at, extending, meeting};
use crate::config::Meeting;
use crate::lifecycle::State;
use crate::providers::{DailyQuota, ProviderError};
use crate::store::QuotaUse;
use chrono::TimeDelta;

fn quota(limit: u32, kept_for_today: u32) -> Option<DailyQuota> {
    Some(DailyQuota { limit, kept_for_today, close_costs: 0 })
}

/// Meetings at 09:00 and the minutes after, of one host.
fn several(count: i64) -> Vec<Meeting> {
    (0..count)
        .map(|n| {
            let mut meeting = meeting(&format!("m{n}"));
            meeting.series.start = Some((at("09:00:00") + TimeDelta::minutes(n)).naive_utc());
            meeting.policy.create_ahead = TimeDelta::minutes(30);
            meeting
        })
        .collect()
}

fn world(quota: Option<DailyQuota>, meetings: Vec<Meeting>) -> World {
    let mut world = World::new();
    world.quota = quota;
    world.apply(meetings).unwrap();
    world
}

fn used(world: &mut World) -> Vec<(String, String, u32)> {
    let of = |of: QuotaUse| (of.quota, of.day.to_string(), of.used);
    world.engine.store.quotas().unwrap().into_iter().map(of).collect()
}

fn of_me(day: &str, used: u32) -> Vec<(String, String, u32)> {
    vec![("me".to_owned(), day.to_owned(), used)]
}

#[tokio::test]
async fn a_host_gets_no_more_than_its_quota_and_the_earliest_starts_come_first() {
    let mut world = world(quota(3, 0), several(5).into_iter().rev().collect());
    // All become due in one turn.
    world.run_until(at("08:20:00")).await;
    world.pass(TimeDelta::minutes(20), TimeDelta::minutes(20));
    world.run_until(at("08:50:00")).await;
    let states: Vec<State> = (0..5).map(|n| world.state(&format!("m{n}"))).collect();
    assert_eq!(states, [State::Ready, State::Ready, State::Ready, State::Creating, State::Creating]);
    assert_eq!(world.shared.lock().calls_of("create"), 3);
    assert_eq!(used(&mut world), of_me("2026-11-23", 3));
    let waiting = world.record("m3").occurrence;
    let why = waiting.last_error.unwrap();
    assert!(why.contains("quota of me is spent: 3 of 3 used; it frees at 2026-11-24T00:01:00Z"), "{why}");
    assert_eq!(waiting.asked_at, None, "nothing was asked");
    let told = world.shared.lock().events.clone();
    assert_eq!(told.iter().filter(|line| line.starts_with("call.failed")).count(), 2, "once each: {told:?}");
}

#[tokio::test]
async fn another_host_goes_on_when_one_is_spent() {
    let mut meetings = several(3);
    meetings[2].hosts = vec!["other@example.com".to_owned()];
    let mut world = world(quota(1, 0), meetings);
    world.run_until(at("08:50:00")).await;
    assert_eq!(["m0", "m1", "m2"].map(|id| world.state(id)), [State::Ready, State::Creating, State::Ready]);
}

#[tokio::test]
async fn the_count_outlives_a_crash_and_a_new_day_begins_anew() {
    let mut world = world(quota(2, 0), several(2));
    world.run_until(at("08:50:00")).await;
    world.crash();
    let mut more = several(2);
    let mut today = meeting("today");
    today.series.start = Some(at("12:00:00").naive_utc());
    let mut tomorrow = meeting("tomorrow");
    tomorrow.series.start = Some((at("09:00:00") + TimeDelta::days(1)).naive_utc());
    tomorrow.policy.create_ahead = TimeDelta::hours(12);
    more.extend([today, tomorrow]);
    world.apply(more).unwrap();
    world.run_until(at("23:59:00")).await;
    assert_eq!(world.state("today"), State::Failed, "its time is over");
    assert_eq!(world.state("tomorrow"), State::Creating);
    assert_eq!(world.shared.lock().calls_of("create"), 2);
    world.run_until(at("23:59:59") + TimeDelta::seconds(65)).await;
    assert_eq!(world.state("tomorrow"), State::Ready, "as soon as the quota frees");
    assert_eq!(used(&mut world), of_me("2026-11-24", 1));
}

#[tokio::test]
async fn a_part_is_kept_for_meetings_of_the_same_day() {
    let mut later = several(3);
    for meeting in &mut later {
        meeting.series.start = meeting.series.start.map(|start| start + TimeDelta::days(2));
        meeting.policy.create_ahead = TimeDelta::days(3);
    }
    let mut today = meeting("today");
    today.policy.create_ahead = TimeDelta::minutes(30);
    later.push(today);
    let mut world = world(quota(3, 1), later);
    world.run_until(at("08:10:00")).await;
    assert_eq!(["m0", "m1", "m2"].map(|id| world.state(id)), [State::Ready, State::Ready, State::Creating]);
    let why = world.record("m2").occurrence.last_error.unwrap();
    assert!(why.contains("2 of 3 used, the rest is kept for meetings that start on 2026-11-23"), "{why}");
    world.run_until(at("08:45:00")).await;
    assert_eq!(world.state("today"), State::Ready);
    world.run_until(at("23:59:59") + TimeDelta::seconds(65)).await;
    assert_eq!(world.state("m2"), State::Ready);
}

#[tokio::test]
async fn what_was_not_done_or_changed_nothing_costs_nothing() {
    let mut world = world(quota(2, 0), vec![meeting("m")]);
    for _ in 0..5 {
        world.next("create", Mood::Says(ProviderError::Unavailable("no network".to_owned())));
    }
    world.next("create", Mood::LosesAnswer);
    world.run_until(at("08:50:00")).await;
    assert_eq!(world.state("m"), State::Ready);
    assert_eq!(used(&mut world), of_me("2026-11-23", 1), "five were not done, one was");
    // Found by its marker: it is brought in line, and is so already.
    assert_eq!(world.shared.lock().calls_of("update"), 1);
    let mut renamed = meeting("m");
    renamed.title = "Another".to_owned();
    world.apply([renamed]).unwrap();
    world.run_until(at("08:55:00")).await;
    assert_eq!(world.shared.lock().only_room().title, "Another");
    assert_eq!(used(&mut world), of_me("2026-11-23", 2));
}

#[tokio::test]
async fn what_the_provider_says_about_its_quota_goes_before_our_count() {
    let mut world = world(quota(100, 0), several(3));
    let frees_at = at("23:59:59") + TimeDelta::seconds(61);
    world.next("create", Mood::Says(ProviderError::QuotaSpent { frees_at }));
    world.run_until(at("08:29:00")).await;
    let until = at("08:50:00");
    world.run_until(until).await;
    let calls = world.shared.lock().calls_of("create");
    assert_eq!(calls, 1, "one was told, the others did not ask");
    assert_eq!(used(&mut world), of_me("2026-11-23", 100));
    assert_eq!(world.state("m1"), State::Creating);
    assert!(world.events().contains(&"provider.quota_spent".to_owned()));
    world.run_until(at("22:00:00")).await;
    assert_eq!(world.shared.lock().calls_of("create"), calls, "nor hourly, nor ever on this day");
}

#[tokio::test]
async fn a_spent_quota_keeps_no_room_from_being_looked_at_extended_or_closed() {
    let mut world = world(quota(1, 0), vec![extending(meeting("m"))]);
    world.run_until(at("09:10:00")).await;
    world.shared.lock().only_room().people = 2;
    world.run_until(at("09:44:00")).await;
    assert_eq!(world.state("m"), State::Ended, "extended by ten minutes");
    assert_eq!(world.shared.lock().calls_of("update"), 0);
    assert!(world.shared.lock().calls_of("look") > 5);
    world.shared.lock().only_room().people = 0;
    world.run_until(at("09:56:00")).await;
    assert_eq!(world.state("m"), State::Closed);
    assert_eq!(world.shared.lock().open_rooms().len(), 0);
}

#[tokio::test]
async fn a_close_that_costs_is_counted_and_never_held_back() {
    let mut world = World::new();
    world.quota = Some(DailyQuota { limit: 1, kept_for_today: 0, close_costs: 1 });
    world.apply([meeting("m")]).unwrap();
    world.run_until(at("09:40:00")).await;
    assert_eq!(world.state("m"), State::Closed);
    assert_eq!(used(&mut world), of_me("2026-11-23", 2));
}

#[tokio::test]
async fn a_turn_that_did_not_commit_has_drawn_on_nothing() {
    let mut world = world(quota(1, 0), vec![meeting("m")]);
    world.run_until(at("08:44:00")).await;
    world.break_store(true);
    world.run_until(at("08:46:00")).await;
    assert_eq!(world.shared.lock().calls_of("create"), 0);
    world.break_store(false);
    world.run_until(at("08:50:00")).await;
    assert_eq!((world.state("m"), used(&mut world)), (State::Ready, of_me("2026-11-23", 1)));
}

#[tokio::test]
async fn a_raised_quota_lets_through_what_waits_without_a_restart() {
    let mut world = world(quota(1, 0), several(2));
    world.run_until(at("08:45:00")).await;
    assert_eq!(world.state("m1"), State::Creating);
    world.quota = quota(2, 0);
    let mut meetings = several(2);
    meetings[1].series.start = Some(at("10:00:00").naive_utc());
    world.apply(meetings).unwrap();
    world.run_until(at("09:45:00")).await;
    assert_eq!(world.state("m1"), State::Ready);
}
