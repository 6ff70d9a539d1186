//! What is not the rule's: exceptions, further starts, overrides, identity, the limit, cron.

use super::{cron, days, in_zone, local, once, originals, series, utc, window};
use crate::schedule::{Except, Override, Shift, TooMany};
use chrono::TimeDelta;

fn daily() -> crate::schedule::Series {
    series("2026-11-01T09:00", "FREQ=DAILY")
}

#[test]
fn a_single_meeting_has_one_instance_and_a_plain_identity() {
    let single = once("2026-11-01T09:00");
    assert_eq!(originals(&single, "2026-10-01T00:00", "2026-12-01T00:00"), ["2026-11-01T09:00"]);
    assert!(!single.is_series());
    assert_eq!(single.occurrence_id("retro", local("2026-11-01T09:00")), "retro");
}

#[test]
fn the_identity_in_a_series_names_the_original_local_start() {
    let series = daily();
    assert_eq!(series.occurrence_id("standup", local("2026-11-23T09:30")), "standup@2026-11-23T09:30");
    assert_eq!(series.occurrence_id("standup", local("2026-11-23T09:30:05")), "standup@2026-11-23T09:30:05");
    let mut twice = once("2026-11-01T09:00");
    twice.also.push(local("2026-11-08T09:00"));
    assert_eq!(twice.occurrence_id("retro", local("2026-11-01T09:00")), "retro@2026-11-01T09:00");
}

#[test]
fn the_window_includes_its_beginning_and_not_its_end() {
    let found = originals(&daily(), "2026-11-02T09:00", "2026-11-04T09:00");
    assert_eq!(found, ["2026-11-02T09:00", "2026-11-03T09:00"]);
    assert_eq!(
        originals(&daily(), "2026-11-04T09:00", "2026-11-02T09:00"),
        [""; 0],
        "a window the wrong way round"
    );
}

#[test]
fn exceptions_take_out_a_day_or_a_start() {
    let mut series = series("2026-11-01T09:00", "FREQ=DAILY;BYHOUR=9,15");
    series.except =
        vec![Except::Day("2026-11-02".parse().expect("a day")), Except::At(local("2026-11-03T09:00"))];
    let found = originals(&series, "2026-11-02T00:00", "2026-11-04T00:00");
    assert_eq!(found, ["2026-11-03T15:00"]);
}

#[test]
fn further_starts_are_added_once() {
    let mut series = series("2026-11-02T09:00", "FREQ=WEEKLY");
    series.also = vec![local("2026-11-09T09:00"), local("2026-11-04T11:00"), local("2026-11-04T11:00")];
    let found = originals(&series, "2026-11-01T00:00", "2026-11-10T00:00");
    assert_eq!(found, ["2026-11-02T09:00", "2026-11-04T11:00", "2026-11-09T09:00"]);
}

#[test]
fn an_override_moves_an_occurrence_out_of_the_window_and_into_it() {
    let mut series = daily();
    let moved = Override { start: Some(local("2026-12-24T10:00")), ..Override::default() };
    series.overrides.insert(local("2026-11-02T09:00"), moved);
    assert_eq!(days(&series, "2026-11-01", "2026-11-04"), ["2026-11-01", "2026-11-03"]);
    let instances = series.expand(window("2026-12-24T09:30", "2026-12-24T12:00"), 10).expect("one");
    assert_eq!(instances.len(), 1);
    assert_eq!(
        (instances[0].original, instances[0].starts_at),
        (local("2026-11-02T09:00"), utc("2026-12-24T10:00"))
    );
}

#[test]
fn an_override_changes_length_and_title_or_cancels() {
    let mut series = daily();
    let longer =
        Override { duration: Some(TimeDelta::hours(2)), title: Some("Review".into()), ..Override::default() };
    series.overrides.insert(local("2026-11-01T09:00"), longer);
    series.overrides.insert(local("2026-11-02T09:00"), Override { cancel: true, ..Override::default() });
    let instances = series.expand(window("2026-11-01T00:00", "2026-11-04T00:00"), 10).expect("two");
    assert_eq!(instances.len(), 2);
    assert_eq!(
        (instances[0].ends_at, instances[0].title.as_deref()),
        (utc("2026-11-01T11:00"), Some("Review"))
    );
    assert_eq!((instances[1].ends_at, instances[1].title.as_deref()), (utc("2026-11-03T09:30"), None));
}

#[test]
fn an_override_of_no_start_makes_none() {
    let mut series = series("2026-11-01T09:00", "FREQ=DAILY;COUNT=3");
    for original in ["2026-11-02T10:00", "2026-11-04T09:00"] {
        let moved = Override { start: Some(local("2026-11-10T09:00")), ..Override::default() };
        series.overrides.insert(local(original), moved);
    }
    assert_eq!(days(&series, "2026-11-01", "2026-12-01"), ["2026-11-01", "2026-11-02", "2026-11-03"]);
}

#[test]
fn more_than_the_limit_is_an_error_and_the_limit_is_not() {
    let three = window("2026-11-01T00:00", "2026-11-04T00:00");
    assert_eq!(daily().expand(three.clone(), 3).map(|found| found.len()), Ok(3));
    assert_eq!(daily().expand(three, 2), Err(TooMany { limit: 2 }));
}

#[test]
fn of_two_starts_on_one_instant_the_unmoved_one_stays() {
    let hourly = in_zone("Europe/Paris", "2026-03-29T00:30", "FREQ=HOURLY");
    let found = originals(&hourly, "2026-03-28T23:00", "2026-03-29T03:00");
    assert_eq!(found, ["2026-03-29T00:30", "2026-03-29T01:30", "2026-03-29T03:30", "2026-03-29T04:30"]);
}

#[test]
fn a_start_moved_by_a_gap_stays_where_no_other_is() {
    let mut daily = in_zone("Europe/Paris", "2026-03-28T02:30", "FREQ=DAILY");
    let instances = daily.expand(window("2026-03-29T00:00", "2026-03-30T00:00"), 10).expect("one");
    assert_eq!(instances[0].original, local("2026-03-29T02:30"));
    assert_eq!(instances[0].starts_at, utc("2026-03-29T01:30"));
    assert_eq!(instances[0].shift, Shift::Gap(TimeDelta::hours(1)));
    // With another start there that an override takes elsewhere, too.
    daily.also.push(local("2026-03-29T03:30"));
    let moved = Override { start: Some(local("2026-03-29T18:00")), ..Override::default() };
    daily.overrides.insert(local("2026-03-29T03:30"), moved);
    assert_eq!(originals(&daily, "2026-03-29T00:00", "2026-03-29T22:00").len(), 2);
}

#[test]
fn cron_runs_on_local_time_with_or_without_a_start() {
    let mut series = cron("30 9 * * 1-5");
    assert_eq!(days(&series, "2026-11-20", "2026-11-25"), ["2026-11-20", "2026-11-23", "2026-11-24"]);
    series.start = Some(local("2026-11-23T09:31"));
    assert_eq!(days(&series, "2026-11-20", "2026-11-25"), ["2026-11-24"]);
    series.zone = "Asia/Tokyo".parse().expect("a zone");
    let instances = series.expand(window("2026-11-25T00:00", "2026-11-26T00:00"), 10).expect("one");
    assert_eq!(instances[0].starts_at, utc("2026-11-25T00:30"));
}

#[test]
fn cron_knows_lists_last_days_nearest_weekdays_and_nth_days() {
    let on = |pattern: &str| days(&cron(pattern), "2026-11-01", "2026-12-01");
    assert_eq!(on("0 9 L * *"), ["2026-11-30"]);
    assert_eq!(on("0 9 15W * *"), ["2026-11-16"]);
    assert_eq!(on("0 9 * * 1#2"), ["2026-11-09"]);
    assert_eq!(on("0 9 * * 5L"), ["2026-11-27"]);
    assert_eq!(on("0 9 1,13 * FRI"), ["2026-11-01", "2026-11-06", "2026-11-13", "2026-11-20", "2026-11-27"]);
    assert_eq!(on("0 9 13 * +5"), ["2026-11-13"], "both");
    assert_eq!(on("@monthly"), ["2026-11-01"]);
}

/// The day stepping here against croner's own search.
#[test]
fn cron_gives_what_croner_finds() {
    for pattern in
        ["*/7 3-5 * * *", "0 0 29 2 *", "15 10 L * 1#1", "59 23 31 * *", "0 12 1W 1,6 *", "30 9 * * 1-5"]
    {
        let croner: croner::Cron = pattern.parse().expect("a pattern");
        let from = utc("2026-01-01T00:00");
        let expected: Vec<_> = croner.iter_from(from, croner::Direction::Forward).take(40).collect();
        let until = *expected.last().expect("forty");
        let found = cron(pattern).expand(from..until, 100).expect("few");
        let found: Vec<_> = found.iter().map(|instance| instance.starts_at).collect();
        assert_eq!(found, expected[..39], "{pattern}");
    }
}
