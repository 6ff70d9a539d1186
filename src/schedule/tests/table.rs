//! The expand/limit table of RFC 5545 section 3.3.10, by rows, with examples of section 3.8.5.3 where there are any.

use super::{days, originals, series};

#[track_caller]
fn gives(start: &str, rule: &str, until: &str, expected: &[&str]) {
    assert_eq!(days(&series(start, rule), &start[..10], until), expected, "{rule}");
}

#[track_caller]
fn gives_times(start: &str, rule: &str, until: &str, expected: &[&str]) {
    assert_eq!(originals(&series(start, rule), start, until), expected, "{rule}");
}

#[test]
fn bymonth_expands_a_year_and_limits_the_shorter_periods() {
    let start = "2026-01-15T09:00";
    gives(
        start,
        "FREQ=YEARLY;BYMONTH=3,1",
        "2027-12-31",
        &["2026-01-15", "2026-03-15", "2027-01-15", "2027-03-15"],
    );
    gives(start, "FREQ=MONTHLY;BYMONTH=2,4", "2027-01-01", &["2026-02-15", "2026-04-15"]);
    gives(
        start,
        "FREQ=WEEKLY;BYMONTH=2",
        "2027-01-01",
        &["2026-02-05", "2026-02-12", "2026-02-19", "2026-02-26"],
    );
    let february = days(&series(start, "FREQ=DAILY;BYMONTH=2"), "2026-01-01", "2027-01-01");
    assert_eq!((february.len(), february[0].as_str()), (28, "2026-02-01"));
}

#[test]
fn byweekno_expands_a_year_to_weeks_that_begin_on_wkst() {
    gives(
        "1997-05-12T09:00",
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
        "1999-12-31",
        &["1997-05-12", "1998-05-11", "1999-05-17"],
    );
    // Week 53 of 2026 reaches into 2027; 2026 is a year of 53 weeks.
    gives(
        "2026-12-01T09:00",
        "FREQ=YEARLY;BYWEEKNO=53",
        "2028-12-31",
        &["2026-12-28", "2026-12-29", "2026-12-30", "2026-12-31", "2027-01-01", "2027-01-02", "2027-01-03"],
    );
    // With weeks from Sunday the first one of 2026 begins on 4 January.
    gives("2026-01-01T09:00", "FREQ=YEARLY;BYWEEKNO=1;WKST=SU;BYDAY=SU", "2026-12-31", &["2026-01-04"]);
}

#[test]
fn byyearday_expands_a_year_and_limits_hours() {
    let start = "2023-01-01T09:00";
    gives(
        start,
        "FREQ=YEARLY;BYYEARDAY=-1,60",
        "2025-01-01",
        &["2023-03-01", "2023-12-31", "2024-02-29", "2024-12-31"],
    );
    gives_times(
        start,
        "FREQ=HOURLY;INTERVAL=6;BYYEARDAY=2",
        "2023-01-05T00:00",
        &["2023-01-02T03:00", "2023-01-02T09:00", "2023-01-02T15:00", "2023-01-02T21:00"],
    );
}

#[test]
fn bymonthday_expands_months_and_years_and_limits_days() {
    let start = "2026-01-10T09:00";
    gives(
        start,
        "FREQ=MONTHLY;BYMONTHDAY=1,-1",
        "2026-03-02",
        &["2026-01-31", "2026-02-01", "2026-02-28", "2026-03-01"],
    );
    gives(start, "FREQ=YEARLY;BYMONTHDAY=31;BYMONTH=1,2,3", "2027-01-01", &["2026-01-31", "2026-03-31"]);
    gives(start, "FREQ=DAILY;INTERVAL=2;BYMONTHDAY=11,12", "2026-02-28", &["2026-01-12", "2026-02-11"]);
}

#[test]
fn byday_expands_weeks_months_and_years_and_limits_the_rest() {
    let start = "2026-11-02T09:00";
    gives(
        start,
        "FREQ=WEEKLY;BYDAY=MO,WE",
        "2026-11-12",
        &["2026-11-02", "2026-11-04", "2026-11-09", "2026-11-11"],
    );
    gives(start, "FREQ=MONTHLY;BYDAY=-1FR", "2027-01-01", &["2026-11-27", "2026-12-25"]);
    gives(start, "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "2027-12-31", &["2026-11-13", "2027-08-13"]);
    gives(start, "FREQ=DAILY;BYDAY=SA", "2026-11-15", &["2026-11-07", "2026-11-14"]);
    gives(
        "1997-05-19T09:00",
        "FREQ=YEARLY;BYDAY=20MO",
        "1999-12-31",
        &["1997-05-19", "1998-05-18", "1999-05-17"],
    );
}

#[test]
fn ordinals_of_byday_count_within_the_month_when_a_yearly_rule_names_months() {
    gives(
        "2026-01-01T09:00",
        "FREQ=YEARLY;BYMONTH=3,11;BYDAY=2SU",
        "2027-01-01",
        &["2026-03-08", "2026-11-08"],
    );
}

#[test]
fn byday_with_and_without_numbers_is_a_union() {
    let expected = &["2026-11-02", "2026-11-03", "2026-11-09", "2026-11-16", "2026-11-23", "2026-11-30"];
    gives("2026-11-01T09:00", "FREQ=MONTHLY;BYDAY=MO,1TU", "2026-12-01", expected);
}

#[test]
fn wkst_decides_which_weeks_an_interval_takes() {
    let monday = &["1997-08-05", "1997-08-10", "1997-08-19", "1997-08-24"];
    gives("1997-08-05T09:00", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "1998-01-01", monday);
    let sunday = &["1997-08-05", "1997-08-17", "1997-08-19", "1997-08-31"];
    gives("1997-08-05T09:00", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1998-01-01", sunday);
}

#[test]
fn times_expand_days_and_limit_hours_and_minutes() {
    let start = "2026-11-02T09:05";
    gives_times(
        start,
        "FREQ=DAILY;BYHOUR=9,14;BYMINUTE=0,30",
        "2026-11-03T09:10",
        &["2026-11-02T09:30", "2026-11-02T14:00", "2026-11-02T14:30", "2026-11-03T09:00"],
    );
    gives_times(
        start,
        "FREQ=HOURLY;BYHOUR=9,10;BYMINUTE=10",
        "2026-11-03T00:00",
        &["2026-11-02T09:10", "2026-11-02T10:10"],
    );
    gives_times(
        start,
        "FREQ=MINUTELY;INTERVAL=25;BYHOUR=10",
        "2026-11-03T00:00",
        &["2026-11-02T10:20", "2026-11-02T10:45"],
    );
    // 1500 minutes are 25 hours: the same minute, an hour later each day.
    gives_times(
        start,
        "FREQ=MINUTELY;INTERVAL=1500",
        "2026-11-04T12:00",
        &["2026-11-02T09:05", "2026-11-03T10:05", "2026-11-04T11:05"],
    );
}

#[test]
fn an_interval_of_minutes_is_counted_from_the_start_however_long_ago() {
    let start = super::local("2026-11-02T09:05");
    for interval in [7, 11, 45, 97, 1439, 1440, 1441, 4321] {
        let series = series("2026-11-02T09:05", &format!("FREQ=MINUTELY;INTERVAL={interval}"));
        let window = super::window("2032-02-28T00:00", "2032-03-08T00:00");
        let found = series.expand(window.clone(), 10_000).expect("not too many");
        let minutes: Vec<_> = found.iter().map(|one| (one.original - start).num_minutes()).collect();
        let first = (window.start.naive_utc() - start).num_minutes();
        let expected: Vec<_> = (first..first + 9 * 1440).filter(|minute| minute % interval == 0).collect();
        assert_eq!(minutes, expected, "every {interval} minutes");
    }
}

#[test]
fn bysecond_gives_several_starts_a_minute() {
    let all = series("2026-11-02T09:00", "FREQ=MINUTELY;BYSECOND=0,20,40")
        .expand(super::window("2026-11-02T09:00", "2026-11-02T09:02"), 10)
        .expect("six");
    assert_eq!(all.len(), 6);
    assert_eq!(all[1].starts_at, super::utc("2026-11-02T09:00:20"));
}

#[test]
fn bysetpos_picks_from_the_set_of_each_period() {
    let start = "2026-11-01T09:00";
    let last_weekday = "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1";
    gives(start, last_weekday, "2027-02-01", &["2026-11-30", "2026-12-31", "2027-01-29"]);
    gives(
        start,
        "FREQ=YEARLY;BYMONTH=12;BYDAY=MO;BYSETPOS=1,-1",
        "2027-01-01",
        &["2026-12-07", "2026-12-28"],
    );
    gives_times(
        start,
        "FREQ=DAILY;BYHOUR=9,12,15;BYMINUTE=0,30;BYSETPOS=2,-1",
        "2026-11-02T00:00",
        &["2026-11-01T09:30", "2026-11-01T15:30"],
    );
    gives_times(
        start,
        "FREQ=HOURLY;BYMINUTE=0,20,40;BYSETPOS=-2",
        "2026-11-01T11:00",
        &["2026-11-01T09:20", "2026-11-01T10:20"],
    );
}

#[test]
fn days_that_do_not_exist_are_passed_over() {
    gives("2026-01-31T09:00", "FREQ=MONTHLY", "2026-06-01", &["2026-01-31", "2026-03-31", "2026-05-31"]);
    gives("2024-02-29T09:00", "FREQ=YEARLY", "2033-01-01", &["2024-02-29", "2028-02-29", "2032-02-29"]);
}

#[test]
fn a_start_out_of_step_with_its_rule_is_no_occurrence() {
    gives("2026-11-03T09:00", "FREQ=WEEKLY;BYDAY=MO;COUNT=2", "2027-01-01", &["2026-11-09", "2026-11-16"]);
}

#[test]
fn count_counts_from_the_start_and_before_exceptions() {
    let mut daily = series("2026-11-01T09:00", "FREQ=DAILY;COUNT=5");
    daily.except.push(crate::schedule::Except::At(super::local("2026-11-04T09:00")));
    assert_eq!(days(&daily, "2026-11-03", "2027-01-01"), ["2026-11-03", "2026-11-05"]);
}

#[test]
fn until_is_inclusive_in_each_of_its_three_forms() {
    let rule = |until: &str| {
        let series =
            super::in_zone("America/New_York", "2026-11-20T20:00", &format!("FREQ=DAILY;UNTIL={until}"));
        originals(&series, "2026-11-01T00:00", "2027-01-01T00:00").len()
    };
    assert_eq!(rule("20261122"), 3, "the whole local day");
    assert_eq!(rule("20261122T200000"), 3);
    assert_eq!(rule("20261122T195959"), 2);
    assert_eq!(rule("20261123T010000Z"), 3, "20:00 in New York is 01:00 UTC the day after");
    assert_eq!(rule("20261123T005959Z"), 2);
}
