//! What holds of every text and every rule.

use super::series;
use crate::schedule::{Cron, Except, Override, Rule, Series};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::sample::select;

/// Rules of every frequency, some of which never match.
fn rules() -> impl Strategy<Value = String> {
    let frequency = select(vec!["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY"]);
    let parts = vec![
        "",
        ";INTERVAL=2",
        ";INTERVAL=7;WKST=SU",
        ";INTERVAL=1441",
        ";BYDAY=MO,FR",
        ";BYMONTH=3,10",
        ";BYMONTH=3,10;BYDAY=SU",
        ";BYHOUR=1,2,3;BYMINUTE=0,30",
        ";COUNT=9",
        ";COUNT=500",
        ";UNTIL=20270301T000000Z",
        ";BYDAY=MO,TU;BYSETPOS=-1",
        ";BYMONTHDAY=1,-1",
    ];
    (frequency, select(parts)).prop_map(|(frequency, part)| format!("FREQ={frequency}{part}"))
}

fn any_series() -> impl Strategy<Value = Series> {
    let zones = select(vec![chrono_tz::UTC, chrono_tz::Europe::Paris, chrono_tz::Australia::Lord_Howe]);
    let readable = rules().prop_filter("a rule", |rule| Rule::parse(rule).is_ok());
    (readable, zones, 0..400_000_i64, 0..3_i64, proptest::bool::ANY).prop_map(
        |(rule, zone, minute, day, differs)| {
            let mut series = series("2026-01-01T00:00", &rule);
            let start = series.start.unwrap_or_default() + TimeDelta::minutes(minute);
            series.start = Some(start);
            series.zone = zone;
            if differs {
                series.except.push(Except::Day(start.date() + TimeDelta::days(7 * day + 7)));
                series.also.push(start + TimeDelta::days(day) + TimeDelta::minutes(5));
                let moved =
                    Override { start: Some(start + TimeDelta::days(20 * day)), ..Override::default() };
                series.overrides.insert(start, moved);
            }
            series
        },
    )
}

/// So many minutes after the start: windows that see what differs there.
fn minutes_from(series: &Series, minute: i64) -> DateTime<Utc> {
    series.start.unwrap_or_default().and_utc() + TimeDelta::minutes(minute)
}

fn minutes_in(minute: i64) -> DateTime<Utc> {
    super::utc("2026-01-01T00:00") + TimeDelta::minutes(minute)
}

proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,60}") {
        for result in [Rule::parse(&text).map(drop), Cron::parse(&text).map(drop)] {
            if let Err(error) = result {
                prop_assert!(text.get(error.span).is_some(), "the span is on character boundaries");
            }
        }
    }

    #[test]
    fn no_text_that_looks_like_a_rule_makes_the_reader_panic(
        text in "(RRULE:)?(FREQ=(DAILY|YEARLY|X))?(;(BYDAY|COUNT|UNTIL|BYHOUR|BYSETPOS|é)=?[-+0-9A-Z,é]{0,9}){0,4};?"
    ) {
        if let Err(error) = Rule::parse(&text) {
            prop_assert!(text.get(error.span).is_some());
        }
    }

    #[test]
    fn no_text_that_looks_like_cron_makes_the_reader_panic(text in "[-0-9*/,LW#?+A-Z@]{1,6}( [-0-9*/,LW#?+A-Z]{1,6}){0,6}") {
        if let Ok(cron) = Cron::parse(&text) {
            let series = Series { repeat: crate::schedule::Repeat::Cron(cron), ..super::cron("0 0 * * *") };
            let _ = series.expand(minutes_in(0)..minutes_in(3000), 5000);
        }
    }

    #[test]
    fn two_windows_give_what_their_union_gives(
        series in any_series(), at in prop_oneof![-3000..3000_i64, 0..800_000_i64], one in 0..5_000_i64, other in 0..5_000_i64
    ) {
        let [from, middle, until] = [at, at + one, at + one + other].map(|minute| minutes_from(&series, minute));
        let whole = series.expand(from..until, 20_000).expect("not too many");
        let mut parts = series.expand(from..middle, 20_000).expect("not too many");
        parts.extend(series.expand(middle..until, 20_000).expect("not too many"));
        prop_assert_eq!(&whole, &parts);
        prop_assert!(whole.iter().all(|instance| from <= instance.starts_at && instance.starts_at < until));
        let mut originals: Vec<_> = whole.iter().map(|instance| instance.original).collect();
        originals.sort_unstable();
        originals.dedup();
        prop_assert_eq!(originals.len(), whole.len(), "an identity is there once");
    }

    #[test]
    fn an_expansion_never_gives_more_than_its_limit(series in any_series(), at in 0..800_000_i64, limit in 0..50_usize) {
        if let Ok(instances) = series.expand(minutes_from(&series, at)..minutes_from(&series, at + 20_000), limit) {
            prop_assert!(instances.len() <= limit);
        }
    }
}
