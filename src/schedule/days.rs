//! Whether a day fits the BY parts that speak of days: BYMONTH, BYWEEKNO, BYYEARDAY, BYMONTHDAY and BYDAY.
//!
//! Each part is kept as bits, so that a day costs a few operations: a rare rule has to look at many.

use super::cron::Cron;
use super::rule::{By, Frequency, Rule};
use chrono::{Datelike, NaiveDate, NaiveDateTime, Weekday};

/// All months, as bits 1 to 12.
const ALL_MONTHS: u16 = 0b1_1111_1111_1110;

/// Which days count.
#[derive(Debug)]
pub(super) enum Days<'a> {
    Rule(Box<RuleDays>),
    Cron { cron: &'a Cron, months: u16 },
}

impl Days<'_> {
    /// The months outside of which no day counts, as bits 1 to 12.
    pub(super) fn months(&self) -> u16 {
        match self {
            Self::Rule(days) => days.months,
            Self::Cron { months, .. } => *months,
        }
    }

    pub(super) fn fits(&self, day: NaiveDate) -> bool {
        match self {
            Self::Rule(days) => days.fits(day),
            Self::Cron { cron, months } => months & (1 << day.month()) != 0 && cron.day_fits(day),
        }
    }
}

/// Numbers counted from the start of something (bit 1 is the first) and from its end.
#[derive(Debug, Clone, Copy)]
struct Ends<const WORDS: usize> {
    from_start: [u64; WORDS],
    from_end: [u64; WORDS],
    any: bool,
}

impl<const WORDS: usize> Ends<WORDS> {
    fn new(numbers: &[i32]) -> Self {
        let mut ends = Self { from_start: [0; WORDS], from_end: [0; WORDS], any: !numbers.is_empty() };
        for number in numbers {
            let bits = if *number < 0 { &mut ends.from_end } else { &mut ends.from_start };
            let bit = number.unsigned_abs() as usize;
            if let Some(word) = bits.get_mut(bit / 64) {
                *word |= 1 << (bit % 64);
            }
        }
        ends
    }

    /// Whether the `nth` of `count` is meant; counted from 1.
    fn holds(&self, nth: u32, count: u32) -> bool {
        let set = |bits: &[u64; WORDS], bit: u32| {
            bits.get(bit as usize / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
        };
        set(&self.from_start, nth) || set(&self.from_end, count + 1 - nth)
    }
}

/// The days of a rule.
#[derive(Debug)]
pub(super) struct RuleDays {
    months: u16,
    month_days: Ends<1>,
    year_days: Ends<6>,
    week_numbers: Ends<1>,
    week_start: Weekday,
    /// Whether BYDAY is there at all.
    by_day: bool,
    /// Days of the week that count wherever they are, as bits from Monday.
    plain: u8,
    /// Which of the period's Mondays, Tuesdays, … count.
    ordinal: [Ends<1>; 7],
    /// Whether BYDAY's ordinals count within the year, not the month.
    within_year: bool,
}

impl RuleDays {
    /// What the rule says, and where it says nothing what the start says (RFC 5545 section 3.3.10: "information that
    /// is missing is taken from DTSTART").
    pub(super) fn new(rule: &Rule, start: NaiveDateTime) -> Self {
        let By { months, week_numbers, year_days, month_days, days, .. } = &rule.by;
        let mut months = months.clone();
        let mut month_days = month_days.clone();
        let mut days = days.clone();
        let silent =
            week_numbers.is_empty() && year_days.is_empty() && month_days.is_empty() && days.is_empty();
        let day_of_month = i32::try_from(start.day()).unwrap_or(1);
        match rule.frequency {
            Frequency::Yearly if silent => {
                if months.is_empty() {
                    months.push(i32::try_from(start.month()).unwrap_or(1));
                }
                month_days.push(day_of_month);
            }
            Frequency::Monthly if silent => month_days.push(day_of_month),
            Frequency::Weekly if silent => days.push((0, start.weekday())),
            _ => {}
        }
        let within_year = rule.frequency == Frequency::Yearly && months.is_empty();
        let ordinals_of = |index: usize| -> Vec<i32> {
            let of_day = days.iter().filter(|(_, day)| day.num_days_from_monday() as usize == index);
            of_day.map(|(ordinal, _)| *ordinal).filter(|ordinal| *ordinal != 0).collect()
        };
        Self {
            months: if months.is_empty() {
                ALL_MONTHS
            } else {
                months.iter().fold(0, |bits, month| bits | 1 << month)
            },
            month_days: Ends::new(&month_days),
            year_days: Ends::new(year_days),
            week_numbers: Ends::new(week_numbers),
            week_start: rule.week_start,
            by_day: !days.is_empty(),
            plain: days
                .iter()
                .filter(|(ordinal, _)| *ordinal == 0)
                .fold(0, |bits, (_, day)| bits | 1 << day.num_days_from_monday()),
            ordinal: std::array::from_fn(|index| Ends::new(&ordinals_of(index))),
            within_year,
        }
    }

    fn fits(&self, day: NaiveDate) -> bool {
        self.months & (1 << day.month()) != 0
            && (!self.month_days.any || self.month_days.holds(day.day(), days_in_month(day)))
            && (!self.by_day || self.fits_weekday(day))
            && (!self.year_days.any || self.year_days.holds(day.ordinal(), days_in_year(day.year())))
            && (!self.week_numbers.any || self.fits_week(day))
    }

    fn fits_weekday(&self, day: NaiveDate) -> bool {
        let weekday = day.weekday().num_days_from_monday();
        if self.plain & (1 << weekday) != 0 {
            return true;
        }
        let Some(ordinal) = self.ordinal.get(weekday as usize).filter(|ordinal| ordinal.any) else {
            return false;
        };
        let (nth_day, length) = if self.within_year {
            (day.ordinal(), days_in_year(day.year()))
        } else {
            (day.day(), days_in_month(day))
        };
        let nth = (nth_day - 1) / 7 + 1;
        ordinal.holds(nth, nth + (length - nth_day) / 7)
    }

    /// Weeks begin on WKST and belong to the year that holds most of their days (RFC 5545 section 3.3.10, BYWEEKNO).
    fn fits_week(&self, day: NaiveDate) -> bool {
        // A week belongs to the year of its fourth day, which is as far into that year as the week is.
        let since_start = i64::from(day.weekday().days_since(self.week_start));
        let Some(fourth) = day.checked_add_signed(chrono::TimeDelta::days(3 - since_start)) else {
            return false;
        };
        let week = (fourth.ordinal() - 1) / 7 + 1;
        let weeks = week + (days_in_year(fourth.year()) - fourth.ordinal()) / 7;
        self.week_numbers.holds(week, weeks)
    }
}

fn days_in_year(year: i32) -> u32 {
    if is_leap(year) { 366 } else { 365 }
}

fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(day: NaiveDate) -> u32 {
    match day.month() {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(day.year()) => 29,
        2 => 28,
        _ => 31,
    }
}
