//! Every change of every zone's clocks from 2024 to 2037 against Python's zoneinfo: `oracle/zones.txt`, made by
//! `oracle/zones.py` with the zone data of the same version.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use convened::schedule::{Instance, Repeat, Rule, Series, Shift};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Long enough to be on during any change, so that it shows that the length is elapsed time.
const LENGTH: TimeDelta = TimeDelta::hours(3);

/// What the oracle says of one local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Start {
    how: char,
    at: DateTime<Utc>,
}

/// Zones that are alike, and their days around changes.
struct Alike {
    zones: Vec<&'static str>,
    days: BTreeMap<NaiveDate, Start>,
}

fn oracle() -> (&'static str, Vec<Alike>) {
    let text = include_str!("oracle/zones.txt");
    let (head, lines) = text.split_once('\n').expect("a first line");
    let version = head.strip_prefix("# tzdata ").expect("the version");
    let alike = lines.lines().map(|line| {
        let (zones, days) = line.split_once(' ').unwrap_or((line, ""));
        Alike { zones: zones.split(',').collect(), days: days.split_terminator(' ').map(day).collect() }
    });
    (version, alike.collect())
}

fn day(text: &str) -> (NaiveDate, Start) {
    let mut parts = text.split(':');
    let mut part = || parts.next().expect("three parts");
    let day = NaiveDate::parse_from_str(part(), "%Y%m%d").expect("a day");
    let how = part().chars().next().expect("a letter");
    let seconds = part().parse().expect("seconds");
    (day, Start { how, at: DateTime::from_timestamp(seconds, 0).expect("an instant") })
}

/// Every day at 02:30.
fn nightly(zone: Tz) -> Series {
    let start = NaiveDate::from_ymd_opt(2020, 1, 1).expect("a day");
    Series {
        zone,
        start: Some(start.and_time(half_past_two())),
        repeat: Repeat::Rule(Rule::parse("FREQ=DAILY").expect("a rule")),
        except: Vec::new(),
        also: Vec::new(),
        overrides: BTreeMap::new(),
        duration: LENGTH,
    }
}

fn half_past_two() -> NaiveTime {
    NaiveTime::from_hms_opt(2, 30, 0).expect("a time")
}

fn expand(series: &Series, window: Range<DateTime<Utc>>) -> Vec<Instance> {
    series.expand(window, 10_000).expect("not too many")
}

fn check(zone: &str, instance: &Instance, expected: Start) {
    let what = format!("{zone} {}: {instance:?}", instance.original);
    assert_eq!(instance.starts_at, expected.at, "{what}");
    assert_eq!(instance.ends_at - instance.starts_at, LENGTH, "{what}");
    let shown = instance.starts_at.with_timezone(&zone.parse::<Tz>().expect("a zone")).naive_local();
    match (expected.how, instance.shift) {
        ('.', Shift::None) | ('o', Shift::Overlap) => assert_eq!(shown, instance.original, "{what}"),
        // Later by the gap: as far after it as the written time is after its beginning.
        ('g', Shift::Gap(gap)) => assert_eq!(shown, instance.original + gap, "{what}"),
        (how, _) => panic!("{how} is expected for {what}"),
    }
}

#[test]
fn the_oracle_has_the_zone_data_of_the_program_and_every_zone_of_it() {
    let (version, alike) = oracle();
    assert_eq!(version, chrono_tz::IANA_TZDB_VERSION, "make oracle/zones.txt anew, as oracle/zones.py says");
    let known: BTreeSet<&str> = alike.iter().flat_map(|alike| alike.zones.iter().copied()).collect();
    let missing: Vec<_> = chrono_tz::TZ_VARIANTS.iter().filter(|zone| !known.contains(zone.name())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn around_every_change_of_every_zone_a_nightly_meeting_begins_when_zoneinfo_says() {
    let (mut gaps, mut overlaps, mut zones) = (0, 0, 0);
    for Alike { zones: names, days } in oracle().1 {
        for name in names {
            // What the program does not have, nobody can write into a schedule.
            let Ok(zone) = name.parse::<Tz>() else { continue };
            zones += 1;
            let series = nightly(zone);
            for (day, expected) in &days {
                let around = expected.at - TimeDelta::hours(1)..expected.at + TimeDelta::hours(1);
                let found = expand(&series, around);
                let originals: Vec<_> = found.iter().map(|instance| instance.original).collect();
                assert_eq!(originals, [day.and_time(half_past_two())], "{name}");
                check(name, &found[0], *expected);
                gaps += usize::from(expected.how == 'g');
                overlaps += usize::from(expected.how == 'o');
            }
        }
    }
    assert!(zones > 590 && gaps > 2000 && overlaps > 800, "{zones} zones, {gaps} gaps, {overlaps} overlaps");
}

#[test]
fn from_2024_to_2037_every_night_has_one_meeting_and_a_day_without_a_change_is_a_day_long() {
    for Alike { zones, days } in oracle().1 {
        let Some(zone) = zones.iter().find_map(|name| name.parse::<Tz>().ok()) else { continue };
        let name = zone.name();
        let instant = |text: &str| text.parse::<DateTime<Utc>>().expect("an instant");
        // Away from the ends of the years that the oracle covers.
        let window = instant("2024-01-04T00:00:00Z")..instant("2037-12-28T00:00:00Z");
        let found = expand(&nightly(zone), window);
        for pair in found.windows(2) {
            let (before, now) = (&pair[0], &pair[1]);
            assert_eq!(now.original - before.original, TimeDelta::days(1), "{name}");
            match days.get(&now.original.date()) {
                Some(expected) => check(name, now, *expected),
                None => {
                    assert_eq!(now.shift, Shift::None, "{name} {}", now.original);
                    assert_eq!(
                        now.starts_at - before.starts_at,
                        TimeDelta::days(1),
                        "{name} {}",
                        now.original
                    );
                }
            }
        }
        assert!(found.len() > 5_100, "{name}: {}", found.len());
    }
}
