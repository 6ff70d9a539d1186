//! No rule makes a walk long: the days and periods looked at are counted, not the time.

use super::{cron, local, series, utc};
use crate::schedule::Series;
use crate::schedule::starts::Starts;

/// One call may look at every day up to the year 9999 once, and at the head of each of its periods.
const WORST: u64 = 2 * 8_000 * 366;

/// The cost of a window of a day, long after the start.
fn cost_of_a_day(series: &Series) -> u64 {
    let starts = Starts::new(series, local("2036-06-17T00:00"));
    starts.each(local("2036-06-15T00:00"), local("2036-06-16T00:00"), &mut |_| {
        std::ops::ControlFlow::Continue(())
    });
    starts.steps()
}

#[test]
fn a_window_far_from_the_start_costs_what_is_in_it() {
    for rule in [
        "MINUTELY",
        "HOURLY",
        "DAILY",
        "WEEKLY",
        "MONTHLY",
        "YEARLY",
        "MINUTELY;INTERVAL=1441",
        "DAILY;INTERVAL=97",
    ] {
        let cost = cost_of_a_day(&series("2006-01-01T00:00", &format!("FREQ={rule}")));
        assert!(cost < 400, "{rule}: {cost} steps");
    }
    assert!(cost_of_a_day(&series("2006-01-01T00:00", "FREQ=DAILY")) > 0, "the cost is measured");
}

#[test]
fn count_is_counted_by_days_and_not_by_starts() {
    let cost = cost_of_a_day(&series(
        "2006-01-01T00:00",
        "FREQ=MINUTELY;COUNT=2000000000;BYSECOND=0,10,20,30,40,50",
    ));
    assert!(cost < 2 * 366 * 31, "{cost} steps for 31 years");
}

#[test]
fn what_never_comes_is_given_up() {
    for rule in [
        "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;BYMONTH=4,6,9,11;BYMONTHDAY=31",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30,31",
        "FREQ=YEARLY;BYMONTHDAY=31;BYMONTH=4",
        "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6",
        "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=MINUTELY;INTERVAL=2;BYMINUTE=1",
        "FREQ=MINUTELY;INTERVAL=7;BYDAY=MO;BYHOUR=0;BYMINUTE=1,2,3",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=5",
        "FREQ=DAILY;BYHOUR=9;BYSETPOS=2",
        "FREQ=DAILY;UNTIL=20200101",
    ] {
        let series = series("2026-01-05T00:00", rule);
        let starts = Starts::new(&series, chrono::NaiveDateTime::MAX);
        assert_eq!(starts.next(local("2026-01-05T00:00")), None, "{rule}");
        assert!(starts.steps() < WORST, "{rule}: {} steps", starts.steps());
    }
    for pattern in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
        let never = cron(pattern);
        let starts = Starts::new(&never, chrono::NaiveDateTime::MAX);
        assert_eq!(starts.next(local("2026-01-01T00:00")), None, "{pattern}");
        assert!(starts.steps() < 2 * 146_097, "{pattern}: {} steps", starts.steps());
    }
}

#[test]
fn months_of_which_nothing_counts_are_passed_over_whole() {
    let series = series("2026-01-05T00:00", "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30");
    let starts = Starts::new(&series, chrono::NaiveDateTime::MAX);
    assert_eq!(starts.next(local("2026-01-05T00:00")), None);
    assert!(starts.steps() < 8_000 * (11 + 2 * 29), "{} steps", starts.steps());
}

#[test]
fn rules_that_no_day_can_meet_are_given_up_at_once() {
    let series = series("2026-01-05T00:00", "FREQ=MINUTELY;INTERVAL=2;BYMINUTE=1");
    let starts = Starts::new(&series, chrono::NaiveDateTime::MAX);
    assert_eq!((starts.next(local("2026-01-05T00:00")), starts.steps()), (None, 0));
}

#[test]
fn what_is_rare_is_found() {
    let next = |rule: &str| {
        Starts::new(&series("2026-01-05T00:00", rule), chrono::NaiveDateTime::MAX)
            .next(local("2026-01-05T00:00"))
    };
    assert_eq!(next("FREQ=YEARLY;BYMONTHDAY=29;BYMONTH=2;BYDAY=MO"), Some(local("2044-02-29T00:00")));
    assert_eq!(
        next("FREQ=MINUTELY;BYMONTHDAY=29;BYMONTH=2;BYDAY=MO;BYHOUR=23;BYMINUTE=59"),
        Some(local("2044-02-29T23:59"))
    );
    assert_eq!(next("FREQ=DAILY;INTERVAL=1000000"), Some(local("2026-01-05T00:00")));
}

#[test]
fn a_year_of_every_second_is_refused_and_not_listed() {
    let list = |end: u32| (0..end).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let days = "MO,TU,WE,TH,FR,SA,SU";
    let rule =
        format!("FREQ=YEARLY;BYDAY={days};BYHOUR={};BYMINUTE={};BYSECOND={}", list(24), list(60), list(60));
    let all = series("2026-01-01T00:00", &rule);
    assert!(all.expand(utc("2026-01-01T00:00")..utc("2036-01-01T00:00"), 1000).is_err());
    let one = all.expand(utc("2035-07-01T12:00")..utc("2035-07-01T12:01"), 1000).expect("sixty");
    assert_eq!(one.len(), 60);
}
