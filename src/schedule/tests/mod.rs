//! The unit tests of the folder, by subject.

mod boundaries;
mod cost;
mod expansion;
mod findings;
mod parsing;
mod properties;
mod table;
mod zones;

use super::{Cron, Repeat, Rule, Series};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::ops::Range;

/// A local time, as `2026-11-23T09:30` or with seconds.
fn local(text: &str) -> NaiveDateTime {
    let text = if text.len() == 16 { format!("{text}:00") } else { text.to_owned() };
    text.parse().expect("a local time")
}

/// An instant, written without its `Z`.
fn utc(text: &str) -> DateTime<Utc> {
    local(text).and_utc()
}

/// A half-hour meeting in UTC without exceptions.
fn series(start: &str, rule: &str) -> Series {
    Series {
        zone: chrono_tz::UTC,
        start: Some(local(start)),
        repeat: Repeat::Rule(Rule::parse(rule).expect("a rule")),
        except: Vec::new(),
        also: Vec::new(),
        overrides: BTreeMap::new(),
        duration: TimeDelta::minutes(30),
    }
}

fn in_zone(zone: &str, start: &str, rule: &str) -> Series {
    Series { zone: zone.parse().expect("a zone"), ..series(start, rule) }
}

fn cron(pattern: &str) -> Series {
    let repeat = Repeat::Cron(Cron::parse(pattern).expect("a pattern"));
    Series { start: None, repeat, ..series("2026-01-01T00:00", "FREQ=DAILY") }
}

fn once(start: &str) -> Series {
    Series { repeat: Repeat::Once, ..series(start, "FREQ=DAILY") }
}

fn window(from: &str, until: &str) -> Range<DateTime<Utc>> {
    utc(from)..utc(until)
}

/// The original starts of the first `count` instances from `from` on, as `2026-11-23T09:30`.
fn originals(series: &Series, from: &str, until: &str) -> Vec<String> {
    let instances = series.expand(window(from, until), 10_000).expect("not too many");
    instances.iter().map(|instance| instance.original.format("%Y-%m-%dT%H:%M").to_string()).collect()
}

/// The days of the instances between two days, as `2026-11-23`.
fn days(series: &Series, from: &str, until: &str) -> Vec<String> {
    let originals = originals(series, &format!("{from}T00:00"), &format!("{until}T00:00"));
    originals.iter().map(|original| original[..10].to_owned()).collect()
}
