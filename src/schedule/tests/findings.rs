//! What is told of odd series.

use super::{cron, in_zone, local, once, series, utc, window};
use crate::schedule::{Except, Finding, Override, Series};
use chrono::TimeDelta;

fn of(series: &Series) -> Vec<Finding> {
    series.findings(window("2026-01-01T00:00", "2026-12-31T00:00"), utc("2026-01-01T00:00"))
}

#[track_caller]
fn told(series: &Series) -> String {
    let findings = of(series);
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings[0].to_string()
}

#[test]
fn nothing_is_told_of_an_ordinary_series() {
    assert_eq!(of(&series("2026-02-02T09:00", "FREQ=WEEKLY;BYDAY=MO,WE")), []);
    assert_eq!(of(&cron("30 9 * * 1-5")), []);
    assert_eq!(of(&once("2026-02-02T09:00")), []);
}

#[test]
fn a_rule_that_never_matches_is_an_error() {
    for never in [series("2026-02-02T09:00", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), cron("0 9 31 4 *")] {
        let findings = of(&never);
        assert!(matches!(findings.as_slice(), [Finding::NeverMatches { .. }]), "{findings:?}");
        assert!(findings[0].is_error());
    }
    assert_eq!(told(&cron("0 9 31 4 *")), "\"0 9 31 4 *\" never gives a start");
}

#[test]
fn a_start_that_does_not_fit_its_rule_is_told() {
    let text = told(&series("2026-02-03T09:00", "FREQ=WEEKLY;BYDAY=MO"));
    assert_eq!(
        text,
        "the start 2026-02-03T09:00:00 does not fit the rule; the first occurrence is 2026-02-09T09:00:00"
    );
}

#[test]
fn a_rule_of_which_the_first_start_is_centuries_away_has_one() {
    let text = told(&series("2026-02-03T09:00", "FREQ=YEARLY;INTERVAL=450;BYMONTH=1;BYMONTHDAY=30"));
    assert!(text.ends_with("the first occurrence is 2476-01-30T09:00:00"), "{text}");
}

#[test]
fn a_series_that_is_over_is_told() {
    let over = series("2025-02-03T09:00", "FREQ=WEEKLY;COUNT=3");
    assert_eq!(of(&over), [Finding::Over { last: Some(local("2025-02-17T09:00")) }]);
    assert_eq!(of(&once("2025-02-03T09:00")), [Finding::Over { last: Some(local("2025-02-03T09:00")) }]);
    // Not while the last one goes on, nor when one of them was moved to come.
    assert_eq!(of(&once("2025-12-31T23:45")), []);
    assert_eq!(of(&once("2025-12-31T23:30")).len(), 1, "to the second: it ends at this instant");
    assert!(!of(&over)[0].is_error(), "odd, and possible");
    let mut moved = over;
    let later = Override { start: Some(local("2026-05-01T09:00")), ..Override::default() };
    moved.overrides.insert(local("2025-02-10T09:00"), later);
    assert_eq!(of(&moved), []);
}

#[test]
fn a_series_of_which_everything_is_cancelled_is_over() {
    let mut series = series("2026-02-03T09:00", "FREQ=DAILY;COUNT=2");
    series.except.push(Except::At(local("2026-02-03T09:00")));
    series.overrides.insert(local("2026-02-04T09:00"), Override { cancel: true, ..Override::default() });
    assert_eq!(of(&series), [Finding::Over { last: None }]);
}

#[test]
fn occurrences_in_a_gap_or_an_overlap_are_told() {
    let findings = of(&in_zone("Europe/Paris", "2026-01-01T02:30", "FREQ=DAILY"));
    let texts: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "2026-03-29T02:30:00 does not exist in Europe/Paris (the clocks go forward): it takes place at \
         2026-03-29T03:30:00",
            "2026-10-25T02:30:00 exists twice in Europe/Paris (the clocks go back): the earlier counts, \
         2026-10-25T00:30:00Z (UTC+02:00)",
        ]
    );
}

#[test]
fn an_override_into_a_gap_is_told() {
    let mut series = in_zone("Europe/Paris", "2026-03-29T12:00", "FREQ=DAILY");
    let into = Override { start: Some(local("2026-03-29T02:15")), ..Override::default() };
    series.overrides.insert(local("2026-03-29T12:00"), into);
    let expected = local("2026-03-29T02:15");
    assert!(matches!(of(&series).as_slice(), [Finding::Gap { local, .. }] if *local == expected));
}

#[test]
fn exceptions_and_overrides_of_no_start_are_told_with_the_nearest() {
    let mut series = series("2026-02-02T09:00", "FREQ=WEEKLY");
    series.except =
        vec![Except::At(local("2026-02-09T09:00")), Except::Day("2026-02-17".parse().expect("a day"))];
    series.overrides.insert(local("2026-02-23T09:30"), Override { cancel: true, ..Override::default() });
    series.overrides.insert(local("2026-02-09T09:00"), Override { cancel: true, ..Override::default() });
    let findings = of(&series);
    assert_eq!(
        findings,
        [
            Finding::ExceptWithoutStart {
                index: 1,
                except: series.except[1],
                nearest: Some(local("2026-02-16T09:00"))
            },
            Finding::OverrideWithoutStart {
                original: local("2026-02-09T09:00"),
                excepted: true,
                nearest: Some(local("2026-02-16T09:00"))
            },
            Finding::OverrideWithoutStart {
                original: local("2026-02-23T09:30"),
                excepted: false,
                nearest: Some(local("2026-02-23T09:00"))
            },
        ]
    );
    assert_eq!(findings[2].help().as_deref(), Some("the nearest start is 2026-02-23T09:00:00"));
}

#[test]
fn an_occurrence_longer_than_the_spacing_is_told_once() {
    let mut series = series("2026-02-02T09:00", "FREQ=HOURLY;COUNT=5");
    series.duration = TimeDelta::minutes(61);
    let expected = "the occurrence of 2026-02-02T09:00:00 ends at 10:01:00Z, after the next one (2026-02-02T10:00:00) \
                    begins at 10:00:00Z";
    assert_eq!(told(&series), expected);
    series.duration = TimeDelta::minutes(60);
    assert_eq!(of(&series), []);
}
