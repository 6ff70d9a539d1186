//! The starts of a rule in local time, period by period, from any point in time on.
//!
//! A rule repeats by a period (a year, a month, a week, …), every INTERVAL-th of which counts from the start. What
//! one period gives is a [`Chunk`]. What lies before a window is passed over by arithmetic, and what COUNT asks for is
//! counted at the cost of the periods and not of the starts.
//!
//! For HOURLY and MINUTELY rules the chunk is not the period but the day: which hours or minutes of a day are reached
//! follows from how far the day is from the start.

use super::chunk::{Chunk, picks};
use super::cron::Cron;
use super::days::{Days, RuleDays};
use super::rule::{Frequency, Rule};
use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};
use std::cell::Cell;
use std::ops::{ControlFlow, Range};

/// No start is later than this year: an end to the search for what never comes.
const LAST_YEAR: i32 = 9999;

/// The period of a rule.
#[derive(Debug, Clone, Copy)]
enum Step {
    Years,
    Months,
    /// `first` is the first day of the start's week.
    Weeks {
        first: NaiveDate,
    },
    Days,
    /// `per_day` hours or minutes; `origin` is the start's own, within its day.
    Slots {
        per_day: i64,
        origin: i64,
    },
}

/// A rule or a cron pattern made ready to be walked.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// Nothing before this counts; the periods are counted from here.
    start: NaiveDateTime,
    step: Step,
    /// Every how many periods.
    interval: i64,
    days: Days<'a>,
    /// The slots of a day that the rule allows and can reach, sorted by their remainder by the interval, then by
    /// size. For periods of a day and longer the one slot 0.
    slots: Vec<u32>,
    /// Where the slots of each remainder begin in `slots`, and the end.
    phases: Vec<usize>,
    slot_seconds: u32,
    /// Seconds from the beginning of a slot to each start in it, sorted.
    inner: Vec<u32>,
    /// BYSETPOS, where it picks from a whole chunk.
    positions: &'a [i32],
    /// Days and periods looked at: what the cost is measured by.
    steps: Cell<u64>,
}

impl<'a> Plan<'a> {
    pub(super) fn for_rule(rule: &'a Rule, start: NaiveDateTime) -> Self {
        let by = &rule.by;
        let (hour, minute, second) = (start.hour(), start.minute(), start.second());
        let slots = |per_day, origin: u32| Step::Slots { per_day, origin: origin.into() };
        let seconds = listed(&by.seconds, second..second + 1);
        let minutes = listed(&by.minutes, minute..minute + 1);
        let times = || product(&product(&listed(&by.hours, hour..hour + 1), &minutes), &seconds);
        let (step, allowed, inner) = match rule.frequency {
            Frequency::Yearly => (Step::Years, vec![0], times()),
            Frequency::Monthly => (Step::Months, vec![0], times()),
            Frequency::Weekly => {
                let back = TimeDelta::days(start.weekday().days_since(rule.week_start).into());
                let first = start.date().checked_sub_signed(back).unwrap_or(start.date());
                (Step::Weeks { first }, vec![0], times())
            }
            Frequency::Daily => (Step::Days, vec![0], times()),
            Frequency::Hourly => (slots(24, hour), listed(&by.hours, 0..24), product(&minutes, &seconds)),
            Frequency::Minutely => {
                let allowed = product(&listed(&by.hours, 0..24), &listed(&by.minutes, 0..60));
                (slots(1440, hour * 60 + minute), allowed, seconds)
            }
        };
        let days = Days::Rule(Box::new(RuleDays::new(rule, start)));
        let mut plan = Self::new(start, step, rule.interval, days, allowed, inner);
        if matches!(step, Step::Slots { .. }) && !by.positions.is_empty() {
            // The period is the slot, and every slot holds the same: BYSETPOS picks once for all.
            let all = std::mem::take(&mut plan.inner);
            let picked = picks(&by.positions, all.len() as u64);
            plan.inner =
                picked.iter().filter_map(|pick| all.get(usize::try_from(*pick).ok()?).copied()).collect();
        } else {
            plan.positions = &by.positions;
        }
        plan
    }

    /// A cron pattern has no periods to count; `start` only bounds it.
    pub(super) fn for_cron(cron: &'a Cron, start: NaiveDateTime) -> Self {
        let days = Days::Cron { cron, months: cron.months() };
        let times = product(&product(&cron.hours(), &cron.minutes()), &[0]);
        Self::new(start, Step::Days, 1, days, vec![0], times)
    }

    fn new(
        start: NaiveDateTime,
        step: Step,
        interval: i64,
        days: Days<'a>,
        mut slots: Vec<u32>,
        inner: Vec<u32>,
    ) -> Self {
        let mut modulus = 1;
        let mut slot_seconds = 86_400;
        if let Step::Slots { per_day, origin } = step {
            // Slots that no day reaches are left out here, so that a rule which asks for none but those ends at once.
            let common = gcd(interval, per_day);
            slots.retain(|slot| (i64::from(*slot) - origin) % common == 0);
            slot_seconds = u32::try_from(86_400 / per_day).unwrap_or(60);
            // With steps longer than a day a day has one slot at most, and a table of remainders serves nothing.
            if interval <= per_day {
                modulus = u32::try_from(interval).unwrap_or(1);
            }
        }
        slots.sort_unstable_by_key(|slot| (slot % modulus, *slot));
        let phases =
            (0..=modulus).map(|phase| slots.partition_point(|slot| slot % modulus < phase)).collect();
        let steps = Cell::new(0);
        Self { start, step, interval, days, slots, phases, slot_seconds, inner, positions: &[], steps }
    }

    pub(super) fn is_cron(&self) -> bool {
        matches!(self.days, Days::Cron { .. })
    }

    /// Nothing is before this.
    pub(super) fn start(&self) -> NaiveDateTime {
        self.start
    }

    /// How many days and periods were looked at so far.
    #[cfg(test)]
    pub(super) fn steps(&self) -> u64 {
        self.steps.get()
    }

    fn count_step(&self) {
        self.steps.set(self.steps.get() + 1);
    }

    /// Calls `f` with each chunk that has starts in `[from, until)` and the numbers of those, in order.
    pub(super) fn walk(
        &self,
        from: NaiveDateTime,
        until: NaiveDateTime,
        f: &mut dyn FnMut(&Chunk<'_>, Range<u64>) -> ControlFlow<()>,
    ) {
        if self.slots.is_empty() || self.inner.is_empty() {
            return;
        }
        let from = from.max(self.start);
        let mut period = self.period_from(from.date());
        let mut days = Vec::new();
        while let Some(first) = self.first_day(period) {
            if first.year() > LAST_YEAR || first.and_time(NaiveTime::MIN) >= until {
                return;
            }
            self.count_step();
            if let Some(next_month) = self.month_to_skip_to(first) {
                period = self.period_from(next_month).max(period + 1);
                continue;
            }
            days.clear();
            self.fill(first, &mut days);
            if !days.is_empty() {
                let chunk = self.chunk(period, first, &days);
                let inside = chunk.before(from)..chunk.before(until);
                if !inside.is_empty() && f(&chunk, inside).is_break() {
                    return;
                }
            }
            period += 1;
        }
    }

    /// The first period that has not ended before `day`. Periods are counted from the start's own, which is 0.
    fn period_from(&self, day: NaiveDate) -> i64 {
        let days = (day - self.start.date()).num_days();
        let ceil = |distance: i64| (distance + self.interval - 1).div_euclid(self.interval);
        let period = match self.step {
            Step::Years => ceil(i64::from(day.year() - self.start.year())),
            Step::Months => ceil(months(day) - months(self.start.date())),
            Step::Weeks { first } => ceil((day - first).num_days().div_euclid(7)),
            Step::Days => ceil(days),
            Step::Slots { per_day, .. } if self.interval <= per_day => days,
            Step::Slots { per_day, origin } => ceil(days * per_day - origin),
        };
        period.max(0)
    }

    /// The first day of a period; `None` beyond what can be represented.
    fn first_day(&self, period: i64) -> Option<NaiveDate> {
        let start = self.start.date();
        let distance = period * self.interval;
        let after = |day: NaiveDate, days: i64| day.checked_add_signed(TimeDelta::try_days(days)?);
        match self.step {
            Step::Years => {
                NaiveDate::from_ymd_opt(i32::try_from(i64::from(start.year()) + distance).ok()?, 1, 1)
            }
            Step::Months => {
                let months = months(start) + distance;
                let month = u32::try_from(months.rem_euclid(12)).ok()? + 1;
                NaiveDate::from_ymd_opt(i32::try_from(months.div_euclid(12)).ok()?, month, 1)
            }
            // The week of the start has no days before it, which only BYSETPOS can tell (as in python-dateutil).
            Step::Weeks { .. } if period == 0 => Some(start),
            Step::Weeks { first } => after(first, distance * 7),
            Step::Days => after(start, distance),
            Step::Slots { per_day, .. } if self.interval <= per_day => after(start, period),
            Step::Slots { per_day, origin } => after(start, (origin + distance).div_euclid(per_day)),
        }
    }

    /// For a day in a month of which nothing counts, the first day of the next month.
    fn month_to_skip_to(&self, day: NaiveDate) -> Option<NaiveDate> {
        let of_days = matches!(self.step, Step::Days | Step::Slots { .. });
        if !of_days || self.days.months() & (1 << day.month()) != 0 {
            return None;
        }
        let (year, month) =
            if day.month() == 12 { (day.year() + 1, 1) } else { (day.year(), day.month() + 1) };
        NaiveDate::from_ymd_opt(year, month, 1)
    }

    /// The days of the period beginning on `first` that count.
    fn fill(&self, first: NaiveDate, days: &mut Vec<NaiveDate>) {
        let mut take = |day: NaiveDate| {
            self.count_step();
            if self.days.fits(day) {
                days.push(day);
            }
        };
        let month = |first: NaiveDate, take: &mut dyn FnMut(NaiveDate)| {
            if self.days.months() & (1 << first.month()) != 0 {
                first.iter_days().take_while(|day| day.month() == first.month()).for_each(take);
            }
        };
        match self.step {
            Step::Years => {
                for first in (1..=12).filter_map(|month| first.with_month(month)) {
                    month(first, &mut take);
                }
            }
            Step::Months => month(first, &mut take),
            Step::Weeks { first: week_start } => {
                let length = 7 - (first - week_start).num_days().rem_euclid(7);
                first.iter_days().take(usize::try_from(length).unwrap_or(7)).for_each(take);
            }
            Step::Days | Step::Slots { .. } => take(first),
        }
    }

    fn chunk<'b>(&'b self, period: i64, first: NaiveDate, days: &'b [NaiveDate]) -> Chunk<'b> {
        let slots = match self.step {
            Step::Slots { per_day, origin } if self.interval <= per_day => {
                let day_begins = (first - self.start.date()).num_days() * per_day;
                let phase = usize::try_from((origin - day_begins).rem_euclid(self.interval)).unwrap_or(0);
                let bounds = self.phases.get(phase).zip(self.phases.get(phase + 1));
                bounds.and_then(|(begin, end)| self.slots.get(*begin..*end)).unwrap_or_default()
            }
            Step::Slots { per_day, origin } => {
                let slot = (origin + period * self.interval).rem_euclid(per_day);
                let found = self.slots.binary_search_by_key(&slot, |slot| i64::from(*slot));
                found.ok().and_then(|at| self.slots.get(at..=at)).unwrap_or_default()
            }
            Step::Years | Step::Months | Step::Weeks { .. } | Step::Days => &self.slots,
        };
        let mut chunk =
            Chunk { days, slots, slot_seconds: self.slot_seconds, inner: &self.inner, picks: None };
        if !self.positions.is_empty() {
            chunk.picks = Some(picks(self.positions, chunk.unpicked()));
        }
        chunk
    }
}

/// The numbers of a BY part, or what stands for an absent one.
fn listed(part: &[i32], absent: Range<u32>) -> Vec<u32> {
    if part.is_empty() { absent.collect() } else { part.iter().map(|number| number.unsigned_abs()).collect() }
}

/// Every pair of a larger and a smaller unit of time, in the smaller one.
fn product(larger: &[u32], smaller: &[u32]) -> Vec<u32> {
    larger.iter().flat_map(|large| smaller.iter().map(move |small| large * 60 + small)).collect()
}

/// Months since the year 0.
fn months(day: NaiveDate) -> i64 {
    i64::from(day.year()) * 12 + i64::from(day.month0())
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
