//! Small stories, each of which is run with every fault at every point, and with every pair of faults.

use crate::Ms;
use crate::plan::Plan;
use crate::setup::{DAY, HOUR, MINUTE, SECOND, Script, Setup, instant};
use crate::timetable::{Entry, Limits, Timetable, When, Which};
use chrono::NaiveDate;
use std::collections::BTreeMap;

pub(crate) const NAMES: [&str; 14] = [
    "plain",
    "plain-without-ids",
    "extension",
    "moved-by-reload",
    "two-under-a-limit",
    "suspend-over-the-start",
    "cancelled-while-creating",
    "clock-step",
    "crash-loop",
    "ended-by-hand",
    "restored",
    "not-counted",
    "nobody-comes",
    "summer-time",
];

/// A Monday, 07:55 UTC; meetings are at 08:20, their rooms due at 08:15.
const FROM: &str = "2026-11-23T07:55:00Z";

fn entry(provider: Which) -> Entry {
    Entry {
        provider,
        zone: chrono_tz::Tz::UTC,
        when: When::Once(NaiveDate::from_ymd_opt(2026, 11, 23).unwrap()),
        minute: 8 * 60 + 20,
        duration_min: 8,
        ahead_min: 5,
        close_delay_min: 2,
        extend: None,
        is_closed_on_removal: false,
        look_every_s: 300,
        no_show_min: None,
        warns: false,
        title: 0,
    }
}

/// Minutes after 08:00.
fn at(minute: Ms, second: Ms) -> Ms {
    instant("2026-11-23T08:00:00Z") + minute * MINUTE + second * SECOND
}

pub(crate) fn scenario(name: &str, plan: Plan) -> Option<Setup> {
    let name = NAMES.into_iter().find(|known| *known == name)?;
    let mut meeting = entry(Which::House);
    let mut limits = Limits { timeout_s: 5, in_flight: 32, a_minute: None };
    let mut from = instant(FROM);
    let mut people = 0;
    let mut entries = BTreeMap::new();
    let mut script: Vec<(Ms, Script)> = Vec::new();
    let timetable = |entries: BTreeMap<u32, Entry>, limits| Timetable { entries, limits, horizon_h: 24 };
    let save = |entries: BTreeMap<u32, Entry>, limits| Script::Save(Box::new(timetable(entries, limits)));
    // Beside what is told, there is a meeting the week after, so that no change takes all of them away.
    let mut other = entry(Which::House);
    other.when = When::Once(NaiveDate::from_ymd_opt(2026, 12, 1).unwrap());
    let with =
        |meeting: &Entry| BTreeMap::from([(0, meeting.clone()), (1, other.clone()), (2, other.clone())]);
    match name {
        "plain" => people = 1_000_000,
        "plain-without-ids" => meeting.provider = Which::Plain,
        "extension" => {
            people = 1_000_000;
            meeting.extend = Some((10, 20));
            meeting.warns = true;
        }
        "nobody-comes" => {
            meeting.no_show_min = Some(5);
            meeting.duration_min = 15;
        }
        "moved-by-reload" => {
            let mut moved = meeting.clone();
            moved.minute += 4;
            script.push((at(16, 0), save(with(&moved), limits)));
            moved.minute += 20;
            script.push((at(26, 0), save(with(&moved), limits)));
        }
        "two-under-a-limit" => {
            limits = Limits { in_flight: 1, a_minute: Some(30), ..limits };
            meeting.provider = Which::Plain;
        }
        "suspend-over-the-start" => script.push((at(14, 30), Script::Suspend(9 * MINUTE))),
        "cancelled-while-creating" => {
            let mut left = with(&meeting);
            left.remove(&0);
            script.push((at(14, 59) + 30, save(left, limits)));
        }
        "clock-step" => {
            meeting.extend = Some((10, 20));
            script.push((at(22, 0), Script::Step(2 * HOUR, 20 * MINUTE)));
        }
        "crash-loop" => {
            for n in 0..6 {
                script.push((at(15, 0) + n * 2_600, Script::Crash));
            }
            script.push((at(30, 1), Script::Crash));
        }
        "ended-by-hand" => script.push((at(24, 0), Script::EndByHand(0))),
        "not-counted" => {
            people = 1_000_000;
            meeting.extend = Some((10, 20));
            script.push((at(1, 0), Script::Uncounted(Which::House, HOUR)));
        }
        "restored" => {
            meeting.is_closed_on_removal = true;
            let mut left = with(&meeting);
            left.remove(&0);
            script.push((at(16, 0), save(left.clone(), limits)));
            script.push((at(17, 0), save(with(&meeting), limits)));
            script.push((at(21, 0), save(left, limits)));
            script.push((at(22, 30), save(with(&meeting), limits)));
        }
        _ => {
            // 02:30 does not exist in Paris on 28 March 2027.
            from = instant("2027-03-27T23:30:00Z");
            meeting.zone = chrono_tz::Tz::Europe__Paris;
            meeting.when = When::Weekly(NaiveDate::from_ymd_opt(2027, 3, 27).unwrap(), 0x7f);
            meeting.minute = 2 * 60 + 30;
            other.when = When::Once(NaiveDate::from_ymd_opt(2027, 5, 1).unwrap());
        }
    }
    entries.extend([(0, meeting.clone()), (1, other.clone()), (2, other)]);
    if name == "two-under-a-limit" {
        entries.insert(3, meeting);
    }
    let until = from + if name == "summer-time" { 8 * HOUR } else { 5 * HOUR };
    Some(Setup {
        seed: 1,
        scenario: Some(name),
        from,
        heal_at: until - HOUR,
        until,
        timetable: timetable(entries, limits),
        script,
        call_faults: 0,
        commit_faults: 0,
        kinds: Vec::new(),
        people,
        latency: (80, 80),
        lag: 5 * SECOND,
        housekeep_every: DAY,
        has_dates: false,
        skips_idle_naps: true,
        has_alarms: true,
        is_on_disk: false,
        reads_log: false,
        plan: Some(plan),
        is_loud: false,
    })
}
