//! The local starts that a series has by its rule: a plan within COUNT and UNTIL.

use super::plan::Plan;
use super::rule::End;
use super::zone::{FARTHEST_OFFSET, to_utc};
use super::{Except, Repeat, Series, whole_seconds};
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// The Gregorian calendar, weekdays included, repeats after 400 years.
const CALENDAR_CYCLE: Days = Days::new(146_097);

/// The starts of a series by its rule, its exceptions not yet taken out.
#[derive(Debug)]
pub(super) struct Starts<'a> {
    source: Source<'a>,
    zone: Tz,
    /// Nothing from this local time on.
    end: NaiveDateTime,
    /// UNTIL in UTC.
    last_instant: Option<DateTime<Utc>>,
}

#[derive(Debug)]
enum Source<'a> {
    Nothing,
    One(NaiveDateTime),
    Plan(Plan<'a>),
}

impl<'a> Starts<'a> {
    /// The starts of `series` before `horizon`. With COUNT all up to there are counted, so the nearer the cheaper.
    pub(super) fn new(series: &'a Series, horizon: NaiveDateTime) -> Self {
        let start = series.start.map(whole_seconds);
        let mut starts =
            Self { source: Source::Nothing, zone: series.zone, end: horizon, last_instant: None };
        match (&series.repeat, start) {
            (Repeat::Once | Repeat::Rule(_), None) => {}
            (Repeat::Once, Some(start)) => starts.source = Source::One(start),
            (Repeat::Cron(cron), start) => {
                // Any anchor does for a pattern that counts nothing from it: 1970.
                let start = start.unwrap_or(NaiveDate::default().and_time(NaiveTime::MIN));
                starts.source = Source::Plan(Plan::for_cron(cron, start));
            }
            (Repeat::Rule(rule), Some(start)) => {
                let plan = Plan::for_rule(rule, start);
                let just_after =
                    |last: NaiveDateTime| last.checked_add_signed(TimeDelta::seconds(1)).unwrap_or(last);
                let end = match rule.end {
                    End::Never => horizon,
                    End::Count(count) => last_of(&plan, count, start, horizon).map_or(horizon, just_after),
                    End::Day(day) => day.succ_opt().map_or(horizon, |next| next.and_time(NaiveTime::MIN)),
                    End::Local(last) => just_after(last),
                    End::Instant(last) => {
                        starts.last_instant = Some(last);
                        last.naive_utc().checked_add_signed(FARTHEST_OFFSET).unwrap_or(horizon)
                    }
                };
                starts.end = end.min(horizon);
                starts.source = Source::Plan(plan);
            }
        }
        starts
    }

    /// Calls `f` with each start in `[from, until)`, in order.
    pub(super) fn each(
        &self,
        from: NaiveDateTime,
        until: NaiveDateTime,
        f: &mut dyn FnMut(NaiveDateTime) -> ControlFlow<()>,
    ) {
        let until = until.min(self.end);
        match &self.source {
            Source::Nothing => {}
            Source::One(start) => {
                if from <= *start && *start < until {
                    let _ = f(*start);
                }
            }
            Source::Plan(plan) => plan.walk(from, until, &mut |chunk, inside| {
                for start in inside.filter_map(|index| chunk.at(index)) {
                    if self.last_instant.is_none_or(|last| to_utc(self.zone, start).0 <= last) {
                        f(start)?;
                    }
                }
                ControlFlow::Continue(())
            }),
        }
    }

    /// The first start not before `from`.
    pub(super) fn next(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        let until = match &self.source {
            // What a cron pattern does not meet in a whole cycle of the calendar it never meets.
            Source::Plan(plan) if plan.is_cron() => {
                from.max(plan.start()).checked_add_days(CALENDAR_CYCLE).unwrap_or(self.end)
            }
            Source::Plan(_) | Source::One(_) | Source::Nothing => self.end,
        };
        let mut found = None;
        self.each(from, until, &mut |start| {
            found = Some(start);
            ControlFlow::Break(())
        });
        found
    }

    pub(super) fn contains(&self, local: NaiveDateTime) -> bool {
        let Some(after) = local.checked_add_signed(TimeDelta::seconds(1)) else { return false };
        let mut found = false;
        self.each(local, after, &mut |start| {
            found = start == local;
            ControlFlow::Break(())
        });
        found
    }

    /// What the walks so far have cost.
    #[cfg(test)]
    pub(super) fn steps(&self) -> u64 {
        if let Source::Plan(plan) = &self.source { plan.steps() } else { 0 }
    }
}

/// The last of `count` starts; `None` when it is not before `horizon`.
fn last_of(
    plan: &Plan<'_>,
    count: u64,
    start: NaiveDateTime,
    horizon: NaiveDateTime,
) -> Option<NaiveDateTime> {
    let mut left = count;
    let mut last = None;
    plan.walk(start, horizon, &mut |chunk, inside| {
        let here = inside.end - inside.start;
        if left <= here {
            last = chunk.at(inside.start + left - 1);
            return ControlFlow::Break(());
        }
        left -= here;
        ControlFlow::Continue(())
    });
    last
}

/// The exceptions of a series, to be asked often.
#[derive(Debug)]
pub(super) struct Excluded {
    days: BTreeSet<NaiveDate>,
    times: BTreeSet<NaiveDateTime>,
}

impl Excluded {
    pub(super) fn new(except: &[Except]) -> Self {
        let mut excluded = Self { days: BTreeSet::new(), times: BTreeSet::new() };
        for except in except {
            match except {
                Except::Day(day) => _ = excluded.days.insert(*day),
                Except::At(time) => _ = excluded.times.insert(whole_seconds(*time)),
            }
        }
        excluded
    }

    pub(super) fn holds(&self, local: NaiveDateTime) -> bool {
        self.days.contains(&local.date()) || self.times.contains(&local)
    }
}
