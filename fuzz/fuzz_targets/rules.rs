//! Expansion of RRULEs and cron patterns against a walk over every day and minute that tests each BY part by its words in
//! RFC 5545: nothing of it is the program's code, and none of it is quick.
//!
//! Where the program says that it differs from the RFC's letter (`src/schedule/mod.rs`), so does this: a start out of step
//! is none, BYDAY is a union, and BYSETPOS in a weekly rule's first week picks from the days since the start.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike, Utc};
use convened::schedule::{Cron, Except, Repeat, Rule, Series, Shift, to_utc};
use libfuzzer_sys::fuzz_target;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const FREQUENCIES: [&str; 6] = ["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY"];
const DAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
/// How many days a rule of each frequency is walked for.
const SPAN: [i64; 6] = [1500, 800, 300, 200, 40, 3];

#[derive(Debug)]
struct Wish {
    frequency: usize,
    interval: i64,
    week_start: u32,
    count: Option<usize>,
    until: Option<NaiveDateTime>,
    months: BTreeSet<i64>,
    weeks: BTreeSet<i64>,
    year_days: BTreeSet<i64>,
    month_days: BTreeSet<i64>,
    days: BTreeSet<(i64, u32)>,
    hours: BTreeSet<i64>,
    minutes: BTreeSet<i64>,
    seconds: BTreeSet<i64>,
    positions: BTreeSet<i64>,
}

/// Up to `most` numbers, present in about one of `one_in` cases.
fn some(
    u: &mut Unstructured<'_>,
    one_in: u8,
    most: usize,
    low: i64,
    high: i64,
    signed: bool,
) -> arbitrary::Result<BTreeSet<i64>> {
    let mut found = BTreeSet::new();
    if u.int_in_range(1..=one_in)? > 1 {
        return Ok(found);
    }
    for _ in 0..u.int_in_range(1..=most)? {
        let number = u.int_in_range(low..=high)?;
        found.insert(if signed && bool::arbitrary(u)? { -number } else { number });
    }
    Ok(found)
}

impl Wish {
    fn read(u: &mut Unstructured<'_>, start: NaiveDateTime) -> arbitrary::Result<Self> {
        let frequency = u.int_in_range(0..=5)?;
        let (yearly, monthly, weekly) = (frequency == 0, frequency == 1, frequency == 2);
        let fine = frequency >= 4;
        let interval = if bool::arbitrary(u)? {
            1
        } else if fine {
            u.int_in_range(1..=3000)?
        } else {
            u.int_in_range(1..=20)?
        };
        let weeks = if yearly { some(u, 4, 4, 1, 53, true)? } else { BTreeSet::new() };
        let numbered = (yearly && weeks.is_empty() || monthly) && bool::arbitrary(u)?;
        let months = some(u, 3, 4, 1, 12, false)?;
        let mut days = BTreeSet::new();
        if bool::arbitrary(u)? {
            for _ in 0..u.int_in_range(1..=4)? {
                let most = if yearly && months.is_empty() { 53 } else { 6 };
                let ordinal = if numbered { u.int_in_range(-most..=most)? } else { 0 };
                days.insert((ordinal, u.int_in_range(0..=6)?));
            }
        }
        let mut wish = Self {
            frequency,
            interval,
            week_start: u.int_in_range(0..=6)?,
            count: None,
            until: None,
            months,
            weeks,
            year_days: if yearly || fine { some(u, 4, 6, 1, 366, true)? } else { BTreeSet::new() },
            month_days: if weekly { BTreeSet::new() } else { some(u, 3, 5, 1, 31, true)? },
            days,
            hours: some(u, 3, 4, 0, 23, false)?,
            minutes: some(u, 3, 4, 0, 59, false)?,
            seconds: some(u, 5, 3, 0, 59, false)?,
            positions: BTreeSet::new(),
        };
        if wish.has_by_part() {
            wish.positions = some(u, 3, 3, 1, 20, true)?;
        }
        match u.int_in_range(0..=3)? {
            0 => wish.count = Some(u.int_in_range(1..=40)?),
            1 => wish.until = Some(start + TimeDelta::minutes(u.int_in_range(0..=SPAN[frequency] * 1440)?)),
            _ => {}
        }
        Ok(wish)
    }

    fn has_by_part(&self) -> bool {
        let lists = [
            &self.months,
            &self.weeks,
            &self.year_days,
            &self.month_days,
            &self.hours,
            &self.minutes,
            &self.seconds,
        ];
        !self.days.is_empty() || lists.iter().any(|list| !list.is_empty())
    }

    fn text(&self) -> String {
        let mut text = format!("FREQ={}", FREQUENCIES[self.frequency]);
        if self.interval != 1 {
            let _ = write!(text, ";INTERVAL={}", self.interval);
        }
        if self.week_start != 0 {
            let _ = write!(text, ";WKST={}", DAYS[self.week_start as usize]);
        }
        if let Some(count) = self.count {
            let _ = write!(text, ";COUNT={count}");
        }
        if let Some(until) = self.until {
            let _ = write!(text, ";UNTIL={}", until.format("%Y%m%dT%H%M%S"));
        }
        for (name, list) in [
            ("BYMONTH", &self.months),
            ("BYWEEKNO", &self.weeks),
            ("BYYEARDAY", &self.year_days),
            ("BYMONTHDAY", &self.month_days),
            ("BYHOUR", &self.hours),
            ("BYMINUTE", &self.minutes),
            ("BYSECOND", &self.seconds),
            ("BYSETPOS", &self.positions),
        ] {
            if !list.is_empty() {
                let list: Vec<String> = list.iter().map(ToString::to_string).collect();
                let _ = write!(text, ";{name}={}", list.join(","));
            }
        }
        if !self.days.is_empty() {
            let name = |(ordinal, day): &(i64, u32)| match ordinal {
                0 => DAYS[*day as usize].to_owned(),
                _ => format!("{ordinal}{}", DAYS[*day as usize]),
            };
            let list: Vec<String> = self.days.iter().map(name).collect();
            let _ = write!(text, ";BYDAY={}", list.join(","));
        }
        text
    }

    /// Whether the period of `day` is one of every INTERVAL since the start's; periods of a day and longer.
    fn period_of_day(&self, start: NaiveDate, day: NaiveDate) -> i64 {
        let week = |day: NaiveDate| {
            let mut day = day;
            while day.weekday().num_days_from_monday() != self.week_start {
                day = day.pred_opt().expect("a day before");
            }
            day
        };
        match self.frequency {
            0 => i64::from(day.year() - start.year()),
            1 => {
                i64::from(day.year() - start.year()) * 12 + i64::from(day.month()) - i64::from(start.month())
            }
            2 => (week(day) - week(start)).num_days() / 7,
            _ => (day - start).num_days(),
        }
    }

    fn fits_day(&self, start: NaiveDate, day: NaiveDate) -> bool {
        let from_both_ends =
            |list: &BTreeSet<i64>, nth: i64, of: i64| list.contains(&nth) || list.contains(&(nth - of - 1));
        let days_in_year = i64::from(last_of_year(day.year()).ordinal());
        let days_in_month = i64::from(last_of_month(day).day());
        let (month_day, year_day) = (i64::from(day.day()), i64::from(day.ordinal()));
        // "Information that is missing is taken from DTSTART."
        let nothing_said = self.weeks.is_empty()
            && self.year_days.is_empty()
            && self.month_days.is_empty()
            && self.days.is_empty();
        if nothing_said {
            match self.frequency {
                0 if day.day() != start.day() => return false,
                0 if self.months.is_empty() && day.month() != start.month() => return false,
                1 if day.day() != start.day() => return false,
                2 if day.weekday() != start.weekday() => return false,
                _ => {}
            }
        }
        if !self.months.is_empty() && !self.months.contains(&i64::from(day.month())) {
            return false;
        }
        if !self.month_days.is_empty() && !from_both_ends(&self.month_days, month_day, days_in_month) {
            return false;
        }
        if !self.year_days.is_empty() && !from_both_ends(&self.year_days, year_day, days_in_year) {
            return false;
        }
        if !self.weeks.is_empty() && !self.fits_week(day) {
            return false;
        }
        if self.days.is_empty() {
            return true;
        }
        let weekday = day.weekday().num_days_from_monday();
        let (nth, of) = if self.frequency == 0 && self.months.is_empty() {
            (year_day, days_in_year)
        } else {
            (month_day, days_in_month)
        };
        // How many such weekdays there are up to and including the day, and in all.
        let upto = (1..=nth).filter(|n| (nth - n) % 7 == 0).count();
        let all = (1..=of).filter(|n| (nth - n) % 7 == 0).count();
        let (upto, all) = (i64::try_from(upto).expect("few"), i64::try_from(all).expect("few"));
        self.days.iter().any(|(ordinal, day)| {
            *day == weekday && (*ordinal == 0 || *ordinal == upto || *ordinal == upto - all - 1)
        })
    }

    /// "Week number one of the calendar year is the first week that contains at least four days in that calendar year."
    fn fits_week(&self, day: NaiveDate) -> bool {
        let first_week = |year: i32| {
            let mut first = NaiveDate::from_ymd_opt(year, 1, 4).expect("a day");
            while first.weekday().num_days_from_monday() != self.week_start {
                first = first.pred_opt().expect("a day before");
            }
            first
        };
        (day.year() - 1..=day.year() + 1).any(|year| {
            let (first, next) = (first_week(year), first_week(year + 1));
            let number = (day - first).num_days().div_euclid(7) + 1;
            let weeks = (next - first).num_days() / 7;
            first <= day
                && day < next
                && (self.weeks.contains(&number) || self.weeks.contains(&(number - weeks - 1)))
        })
    }

    fn fits_time(&self, start: NaiveDateTime, at: NaiveDateTime) -> bool {
        let fits = |list: &BTreeSet<i64>, value: u32, of_start: u32, is_fixed: bool| {
            if list.is_empty() { !is_fixed || value == of_start } else { list.contains(&i64::from(value)) }
        };
        fits(&self.hours, at.hour(), start.hour(), self.frequency < 4)
            && fits(&self.minutes, at.minute(), start.minute(), self.frequency < 5)
            && fits(&self.seconds, at.second(), start.second(), true)
    }

    /// Every start from `start` on to the end of the span.
    fn starts(&self, start: NaiveDateTime) -> Vec<NaiveDateTime> {
        let last = start.date() + TimeDelta::days(SPAN[self.frequency]);
        // The whole period of the start, and of the last day: BYSETPOS picks from whole periods.
        let (first, last) = match self.frequency {
            0 => (NaiveDate::from_ymd_opt(start.year(), 1, 1).expect("a day"), last_of_year(last.year())),
            1 => (start.date().with_day(1).expect("a day"), last_of_month(last)),
            2 => (start.date(), last + TimeDelta::days(7)),
            _ => (start.date(), last),
        };
        let mut periods: BTreeMap<i64, Vec<NaiveDateTime>> = BTreeMap::new();
        for day in first.iter_days().take_while(|day| *day <= last) {
            if !self.fits_day(start.date(), day) {
                continue;
            }
            let midnight = day.and_hms_opt(0, 0, 0).expect("midnight");
            for minute in 0..1440 {
                let at = midnight + TimeDelta::minutes(minute);
                let at = at + TimeDelta::seconds(start.second().into());
                if !self.fits_time(
                    start,
                    if self.seconds.is_empty() { at } else { with_second(at, &self.seconds) },
                ) {
                    continue;
                }
                let period = match self.frequency {
                    4 => {
                        (at.date() - start.date()).num_days() * 24 + i64::from(at.hour())
                            - i64::from(start.hour())
                    }
                    5 => {
                        let of_day = |at: NaiveDateTime| i64::from(at.hour()) * 60 + i64::from(at.minute());
                        (at.date() - start.date()).num_days() * 1440 + of_day(at) - of_day(start)
                    }
                    _ => self.period_of_day(start.date(), day),
                };
                if period < 0 || period % self.interval != 0 {
                    continue;
                }
                let list = periods.entry(period).or_default();
                for second in 0..60 {
                    let at = at.with_second(second).expect("a second");
                    if self.fits_time(start, at) {
                        list.push(at);
                    }
                }
            }
        }
        let mut starts = Vec::new();
        for list in periods.values() {
            let count = i64::try_from(list.len()).expect("few");
            for (index, at) in list.iter().enumerate() {
                let index = i64::try_from(index).expect("few");
                let is_picked = self.positions.is_empty()
                    || self.positions.contains(&(index + 1))
                    || self.positions.contains(&(index - count));
                if is_picked && *at >= start && self.until.is_none_or(|until| *at <= until) {
                    starts.push(*at);
                }
            }
        }
        starts.truncate(self.count.unwrap_or(usize::MAX));
        starts
    }
}

fn with_second(at: NaiveDateTime, seconds: &BTreeSet<i64>) -> NaiveDateTime {
    let second = seconds.first().and_then(|second| u32::try_from(*second).ok()).unwrap_or(0);
    at.with_second(second).expect("a second")
}

fn last_of_year(year: i32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, 12, 31).expect("a day")
}

fn last_of_month(day: NaiveDate) -> NaiveDate {
    let mut last = day;
    while last.succ_opt().is_some_and(|next| next.month() == day.month()) {
        last = last.succ_opt().expect("a day");
    }
    last
}

/// A field of a cron pattern: its text, and what it holds.
fn field(u: &mut Unstructured<'_>, low: u32, high: u32) -> arbitrary::Result<(String, BTreeSet<u32>, bool)> {
    let all = || (low..=high).collect::<BTreeSet<u32>>();
    Ok(match u.int_in_range(0..=4)? {
        0 | 1 => ("*".to_owned(), all(), true),
        2 => {
            let from = u.int_in_range(low..=high)?;
            let to = u.int_in_range(from..=high)?;
            (format!("{from}-{to}"), (from..=to).collect(), false)
        }
        3 => {
            let from = u.int_in_range(low..=high)?;
            let to = u.int_in_range(from..=high)?;
            let step = u.int_in_range(1..=high)?;
            let held = (from..=to).filter(|n| (n - from) % step == 0).collect();
            (format!("{from}-{to}/{step}"), held, false)
        }
        _ => {
            let mut held = BTreeSet::new();
            for _ in 0..u.int_in_range(1..=4)? {
                held.insert(u.int_in_range(low..=high)?);
            }
            let text: Vec<String> = held.iter().map(ToString::to_string).collect();
            (text.join(","), held, false)
        }
    })
}

fn check_cron(u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let (minutes, hours) = (field(u, 0, 59)?, field(u, 0, 23)?);
    let (days, months, weekdays) = (field(u, 1, 31)?, field(u, 1, 12)?, field(u, 0, 6)?);
    let text = format!("{} {} {} {} {}", minutes.0, hours.0, days.0, months.0, weekdays.0);
    let cron = Cron::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let from = start(u)?.with_second(0).expect("a second");
    let until = from + TimeDelta::days(u.int_in_range(1..=40)?);
    let mut expected = Vec::new();
    let mut at = from;
    while at < until {
        let weekday = at.weekday().num_days_from_sunday();
        let (by_day, by_weekday) = (days.1.contains(&at.day()), weekdays.1.contains(&weekday));
        // Both fields say something: either is enough.
        let fits = if days.2 || weekdays.2 { by_day && by_weekday } else { by_day || by_weekday };
        if fits
            && months.1.contains(&at.month())
            && hours.1.contains(&at.hour())
            && minutes.1.contains(&at.minute())
        {
            expected.push(at);
        }
        at += TimeDelta::minutes(1);
    }
    let found = expand(&series(None, Repeat::Cron(cron)), from, until);
    assert_eq!(found, expected, "{text} from {from} until {until}");
    Ok(())
}

fn series(start: Option<NaiveDateTime>, repeat: Repeat) -> Series {
    Series {
        zone: chrono_tz::UTC,
        start,
        repeat,
        except: Vec::new(),
        also: Vec::new(),
        overrides: BTreeMap::new(),
        duration: TimeDelta::minutes(30),
    }
}

fn expand(series: &Series, from: NaiveDateTime, until: NaiveDateTime) -> Vec<NaiveDateTime> {
    let instances = series.expand(from.and_utc()..until.and_utc(), 1_000_000).expect("not too many");
    instances.iter().map(|instance| instance.original).collect()
}

fn start(u: &mut Unstructured<'_>) -> arbitrary::Result<NaiveDateTime> {
    let day =
        NaiveDate::from_ymd_opt(2019, 1, 1).expect("a day") + TimeDelta::days(u.int_in_range(0..=4500)?);
    let seconds =
        u.int_in_range(0..=1439)? * 60 + if bool::arbitrary(u)? { 0 } else { u.int_in_range(0..=59)? };
    Ok(day.and_hms_opt(0, 0, 0).expect("midnight") + TimeDelta::seconds(seconds))
}

fn check_rule(u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let start = start(u)?;
    let wish = Wish::read(u, start)?;
    let text = wish.text();
    let rule = Rule::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut series = series(Some(start), Repeat::Rule(rule));
    let mut expected = wish.starts(start);
    let end = start + TimeDelta::days(SPAN[wish.frequency]);
    if let (true, Some(except)) = (bool::arbitrary(u)?, expected.first().copied()) {
        series.except.push(if bool::arbitrary(u)? { Except::At(except) } else { Except::Day(except.date()) });
        let by_day = matches!(series.except[0], Except::Day(_));
        expected.retain(|at| *at != except && !(by_day && at.date() == except.date()));
    }
    let from = start + TimeDelta::seconds(u.int_in_range(-86_400..=SPAN[wish.frequency] * 86_400)?);
    let from = if bool::arbitrary(u)? { start } else { from };
    expected.retain(|at| from <= *at && *at < end);
    assert_eq!(
        expand(&series, from, end.max(from)),
        expected,
        "{text} since {start}, from {from} until {end}"
    );
    Ok(())
}

/// A local time in any zone, by looking at the zone's offset every quarter of an hour around it.
fn check_zone(u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    use chrono::{Offset as _, TimeZone as _};
    let zone = *u.choose(&chrono_tz::TZ_VARIANTS)?;
    let year = u.int_in_range(1970..=2037)?;
    let local = NaiveDate::from_yo_opt(year, 1).expect("a day").and_hms_opt(0, 0, 0).expect("midnight")
        + TimeDelta::minutes(u.int_in_range(0..=527_039)?);
    let shown = |instant: DateTime<Utc>| {
        let offset = zone.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc();
        instant.naive_utc() + TimeDelta::seconds(offset.into())
    };
    let mut candidates = Vec::new();
    let mut offsets = BTreeSet::new();
    let middle = local.and_utc();
    for quarter in -27 * 4..=27 * 4 {
        let instant = middle + TimeDelta::minutes(quarter * 15);
        offsets.insert((shown(instant) - instant.naive_utc()).num_seconds());
    }
    for offset in offsets {
        let instant = (local - TimeDelta::seconds(offset)).and_utc();
        if shown(instant) == local {
            candidates.push(instant);
        }
    }
    let (instant, shift) = to_utc(zone, local);
    let what = format!("{zone} {local}: {instant} {shift:?}");
    match (candidates.iter().min(), candidates.len(), shift) {
        (Some(first), 1, Shift::None) | (Some(first), 2.., Shift::Overlap) => {
            assert_eq!(instant, *first, "{what}")
        }
        // In a gap: what is shown is later by the gap, and a clock there never shows what was asked for.
        (None, _, Shift::Gap(gap)) => {
            assert_eq!(shown(instant), local + gap, "{what}");
            assert!(gap > TimeDelta::zero() && gap <= TimeDelta::hours(24), "{what}");
        }
        _ => panic!("{what}, {candidates:?}"),
    }
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    let mut u = Unstructured::new(input);
    let _ = match u.int_in_range(0..=5) {
        Ok(0) => check_cron(&mut u),
        Ok(1) => check_zone(&mut u),
        Ok(_) => check_rule(&mut u),
        Err(error) => Err(error),
    };
});
