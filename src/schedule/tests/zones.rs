//! Every change of every zone's clocks from 2024 to 2037, against a reckoning from the zone's offsets alone.

use super::{in_zone, local, utc};
use crate::schedule::{Shift, to_utc};
use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// What the zone's clocks show at an instant, by its offset there: the only fact the tests take from the zone.
fn shown(zone: Tz, instant: DateTime<Utc>) -> NaiveDateTime {
    instant.naive_utc() + TimeDelta::seconds(offset(zone, instant))
}

fn offset(zone: Tz, instant: DateTime<Utc>) -> i64 {
    i64::from(zone.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc())
}

/// The instants at which the offset changes, to the second.
fn changes(zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let mut found = Vec::new();
    let mut day = from;
    while day < until {
        let next = day + TimeDelta::days(7);
        if offset(zone, day) != offset(zone, next) {
            let (mut low, mut high) = (day, next);
            while high - low > TimeDelta::seconds(1) {
                let middle = low + (high - low) / 2;
                let middle = middle - TimeDelta::nanoseconds(middle.timestamp_subsec_nanos().into());
                if offset(zone, middle) == offset(zone, low) { low = middle } else { high = middle }
            }
            found.push(high);
        }
        day = next;
    }
    found
}

/// Checks one local time near a change, from the offsets on both sides of it.
fn check(zone: Tz, local: NaiveDateTime, change: DateTime<Utc>) {
    let before = TimeDelta::seconds(offset(zone, change - TimeDelta::seconds(1)));
    let after = TimeDelta::seconds(offset(zone, change));
    let by_before = (local - before).and_utc();
    let by_after = (local - after).and_utc();
    let (gap_begins, gap_ends) = (change.naive_utc() + before, change.naive_utc() + after);
    let expected = if gap_begins <= local && local < gap_ends {
        (by_before, Shift::Gap(after - before))
    } else if gap_ends <= local && local < gap_begins {
        (by_before, Shift::Overlap)
    } else if by_before < change {
        (by_before, Shift::None)
    } else {
        (by_after, Shift::None)
    };
    assert_eq!(to_utc(zone, local), expected, "{zone} {local}");
    match expected.1 {
        Shift::Gap(gap) => assert_eq!(shown(zone, expected.0), local + gap, "{zone} {local}"),
        Shift::None | Shift::Overlap => assert_eq!(shown(zone, expected.0), local, "{zone} {local}"),
    }
}

#[test]
fn every_change_of_every_zone_follows_the_rule() {
    let mut seen = 0;
    for zone in chrono_tz::TZ_VARIANTS {
        for change in changes(zone, utc("2024-01-01T00:00"), utc("2038-01-01T00:00")) {
            seen += 1;
            let before =
                change.naive_utc() + TimeDelta::seconds(offset(zone, change - TimeDelta::seconds(1)));
            let after = change.naive_utc() + TimeDelta::seconds(offset(zone, change));
            for edge in [before, after, before + (after - before) / 2] {
                for seconds in [-1800, -1, 0, 1, 1800] {
                    check(zone, edge + TimeDelta::seconds(seconds), change);
                }
            }
        }
    }
    assert!(seen > 4000, "only {seen} changes");
}

#[test]
fn a_daily_meeting_is_there_once_on_every_local_day_of_every_zone() {
    for zone in chrono_tz::TZ_VARIANTS {
        let daily = in_zone(zone.name(), "2020-01-01T02:30", "FREQ=DAILY");
        let instances =
            daily.expand(utc("2025-01-01T00:00")..utc("2029-01-01T00:00"), 10_000).expect("not too many");
        for pair in instances.windows(2) {
            assert_eq!(pair[1].original - pair[0].original, TimeDelta::days(1), "{zone}");
            assert!(pair[0].starts_at < pair[1].starts_at, "{zone} {}", pair[0].original);
        }
        for instance in &instances {
            let later = shown(zone, instance.starts_at) - instance.original;
            match instance.shift {
                Shift::Gap(gap) => assert_eq!(later, gap, "{zone} {}", instance.original),
                Shift::None | Shift::Overlap => {
                    assert_eq!(later, TimeDelta::zero(), "{zone} {}", instance.original)
                }
            }
        }
        assert!(instances.len() > 1459, "{zone}: {}", instances.len());
    }
}

#[test]
fn a_meeting_in_the_gap_of_each_zone_comes_out_after_it_on_that_day_only() {
    for zone in chrono_tz::TZ_VARIANTS {
        for change in changes(zone, utc("2026-01-01T00:00"), utc("2027-01-01T00:00")) {
            let begins = shown(zone, change - TimeDelta::seconds(1)) + TimeDelta::seconds(1);
            if shown(zone, change) <= begins {
                continue;
            }
            let start = (begins - TimeDelta::days(2)).format("%Y-%m-%dT%H:%M:%S").to_string();
            let daily = in_zone(zone.name(), &start, "FREQ=DAILY;COUNT=4");
            let instances =
                daily.expand(change - TimeDelta::days(9)..change + TimeDelta::days(9), 9).expect("four");
            let shifted: Vec<_> = instances.iter().map(|instance| instance.shift != Shift::None).collect();
            assert_eq!(shifted, [false, false, true, false], "{zone} {change}");
            assert_eq!(instances[2].starts_at, change, "{zone}: the beginning of the gap is its end");
        }
    }
}

#[test]
fn half_hours_and_whole_days_are_gaps_too() {
    let lord_howe = chrono_tz::Australia::Lord_Howe;
    let gap = to_utc(lord_howe, local("2026-10-04T02:10"));
    assert_eq!(gap, (utc("2026-10-03T15:40"), Shift::Gap(TimeDelta::minutes(30))));
    assert_eq!(shown(lord_howe, gap.0), local("2026-10-04T02:40"));
    // Samoa went over the date line: there was no 30 December 2011.
    let apia = to_utc(chrono_tz::Pacific::Apia, local("2011-12-30T12:00"));
    assert_eq!(apia, (utc("2011-12-30T22:00"), Shift::Gap(TimeDelta::hours(24))));
    assert_eq!(shown(chrono_tz::Pacific::Apia, apia.0), local("2011-12-31T12:00"));
}

#[test]
fn a_skipped_day_has_no_meeting_where_the_next_day_has_one() {
    let daily = in_zone("Pacific/Apia", "2011-12-28T12:00", "FREQ=DAILY");
    let instances = daily.expand(utc("2011-12-29T00:00")..utc("2012-01-02T00:00"), 9).expect("few");
    let days: Vec<_> = instances.iter().map(|instance| instance.original.date().to_string()).collect();
    assert_eq!(days, ["2011-12-29", "2011-12-31", "2012-01-01", "2012-01-02"]);
}

#[test]
fn the_ends_of_time_do_no_harm() {
    for zone in chrono_tz::TZ_VARIANTS {
        for local in [NaiveDateTime::MIN, NaiveDateTime::MAX] {
            let _ = to_utc(zone, local);
        }
    }
}
