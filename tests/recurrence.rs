//! The recurrence engine against python-dateutil and zoneinfo: `oracle/recurrence.jsonl`, made by
//! `oracle/generate.py`. `CONVENED_ORACLE` names another file of that kind, for larger runs by hand.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use convened::schedule::{Repeat, Rule, Series};
use serde_json::Value;
use std::collections::BTreeMap;

#[test]
fn expands_as_dateutil_and_zoneinfo_do() {
    let cases = match std::env::var_os("CONVENED_ORACLE") {
        Some(path) => std::fs::read_to_string(path).expect("the oracle file"),
        None => include_str!("oracle/recurrence.jsonl").to_owned(),
    };
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in cases.lines() {
        count += 1;
        let case: Value = serde_json::from_str(line).expect("a case per line");
        let expected: Vec<(String, i64)> =
            serde_json::from_value(case["starts"].clone()).expect("pairs of local start and instant");
        let found = expand(&case);
        if found != expected {
            wrong.push(format!("{line}\n    gives {found:?}"));
        }
    }
    assert!(count >= 1000, "only {count} cases");
    let shown = wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} of {count} cases differ:\n{shown}", wrong.len());
}

fn expand(case: &Value) -> Vec<(String, i64)> {
    let text = |key: &str| case[key].as_str().expect("a string").to_owned();
    let instant = |key: &str| -> DateTime<Utc> {
        DateTime::from_timestamp(case[key].as_i64().expect("seconds"), 0).expect("an instant")
    };
    let series = Series {
        zone: text("zone").parse().expect("a zone"),
        start: Some(text("start").parse::<NaiveDateTime>().expect("a local time")),
        repeat: Repeat::Rule(Rule::parse(&text("rule")).expect("a rule")),
        except: Vec::new(),
        also: Vec::new(),
        overrides: BTreeMap::new(),
        duration: TimeDelta::minutes(30),
    };
    let instances = series.expand(instant("from")..instant("until"), 100_000).expect("not too many");
    let local = |original: NaiveDateTime| original.format("%Y-%m-%dT%H:%M:%S").to_string();
    instances.iter().map(|instance| (local(instance.original), instance.starts_at.timestamp())).collect()
}
