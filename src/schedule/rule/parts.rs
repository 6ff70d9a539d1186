//! The values of the parts of an RRULE.

use super::{End, RuleError};
use chrono::{NaiveDate, NaiveDateTime, Weekday};
use std::ops::Range;

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("MO", Weekday::Mon),
    ("TU", Weekday::Tue),
    ("WE", Weekday::Wed),
    ("TH", Weekday::Thu),
    ("FR", Weekday::Fri),
    ("SA", Weekday::Sat),
    ("SU", Weekday::Sun),
];

/// One `NAME=VALUE` and where it stands. The text is ASCII.
pub(super) struct Part<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    /// The byte where the name begins.
    pub(super) at: usize,
}

impl Part<'_> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    pub(super) fn shown_name(&self) -> String {
        self.name.to_ascii_uppercase()
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.at..self.value_span().end
    }

    pub(super) fn name_span(&self) -> Range<usize> {
        // A nameless part ("=MO") is shown by its "=".
        self.at..self.at + self.name.len().max(1)
    }

    pub(super) fn value_span(&self) -> Range<usize> {
        let start = self.at + self.name.len() + 1;
        start..start + self.value.len()
    }

    /// The items of a list, each with where it stands.
    fn items(&self) -> impl Iterator<Item = (Range<usize>, &str)> {
        let mut at = self.value_span().start;
        self.value.split(',').map(move |item| {
            let span = at..at + item.len();
            at = span.end + 1;
            (span, item)
        })
    }

    /// An error at one item; at the whole value when the item is empty.
    fn error(&self, span: Range<usize>, item: &str, why: &str) -> RuleError {
        if item.is_empty() {
            let message = format!("{}: an empty item in the list", self.shown_name());
            return RuleError::new(self.value_span(), message);
        }
        RuleError::new(span, format!("{}={item}: {why}", self.shown_name()))
    }
}

/// The one number of a part such as COUNT.
pub(super) fn number(part: &Part<'_>, low: i32, high: i32) -> Result<i32, RuleError> {
    one_number(part, part.value_span(), part.value, low, high, false)
}

/// The numbers of a list, in order, each once.
pub(super) fn numbers(part: &Part<'_>, low: i32, high: i32, signed: bool) -> Result<Vec<i32>, RuleError> {
    let read = |(span, item): (Range<usize>, &str)| one_number(part, span, item, low, high, signed);
    let mut numbers: Vec<i32> = part.items().map(read).collect::<Result<_, _>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

fn one_number(
    part: &Part<'_>,
    span: Range<usize>,
    item: &str,
    low: i32,
    high: i32,
    signed: bool,
) -> Result<i32, RuleError> {
    let allowed = if signed {
        format!("use {low} to {high}, or -{high} to -{low} from the end")
    } else {
        format!("use {low} to {high}")
    };
    let digits = if signed { item.strip_prefix(['+', '-']).unwrap_or(item) } else { item };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(part.error(span, item, "not a whole number").help(allowed));
    }
    // What does not fit into an i32 is out of every range.
    let number = digits.parse::<i32>().ok().filter(|number| (low..=high).contains(number));
    let Some(number) = number else {
        return Err(part.error(span, item, "out of range").help(allowed));
    };
    Ok(if item.starts_with('-') { -number } else { number })
}

/// The value of WKST.
pub(super) fn weekday(part: &Part<'_>) -> Result<Weekday, RuleError> {
    read_weekday(part.value).ok_or_else(|| no_such_day(part, part.value_span(), part.value))
}

/// The value of BYDAY.
pub(super) fn days(part: &Part<'_>) -> Result<Vec<(i32, Weekday)>, RuleError> {
    let mut days = Vec::new();
    for (span, item) in part.items() {
        let name_at = item.len() - item.bytes().rev().take_while(u8::is_ascii_alphabetic).count();
        let (ordinal, name) = item.split_at(name_at);
        let Some(day) = read_weekday(name) else {
            return Err(no_such_day(part, span, item));
        };
        let ordinal = if ordinal.is_empty() {
            0
        } else {
            let wrong = |_| {
                let error = part.error(span.clone(), item, "the number before the day is out of range");
                error.help("use 1 to 53, or -53 to -1 from the end, as in 2MO or -1FR")
            };
            one_number(part, span.clone(), ordinal, 1, 53, true).map_err(wrong)?
        };
        if !days.contains(&(ordinal, day)) {
            days.push((ordinal, day));
        }
    }
    Ok(days)
}

fn read_weekday(name: &str) -> Option<Weekday> {
    WEEKDAYS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, day)| *day)
}

fn no_such_day(part: &Part<'_>, span: Range<usize>, item: &str) -> RuleError {
    part.error(span, item, "no such weekday").help("use MO, TU, WE, TH, FR, SA, SU")
}

/// As RFC 5545 writes it.
pub(super) fn weekday_name(day: Weekday) -> &'static str {
    WEEKDAYS.iter().find(|(_, known)| *known == day).map_or("", |(name, _)| name)
}

/// The value of UNTIL: a date, a local time or a time in UTC.
pub(super) fn until(part: &Part<'_>) -> Result<End, RuleError> {
    let value = part.value.to_ascii_uppercase();
    let time = |text: &str| NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").ok();
    // Lengths are checked because chrono takes fewer digits, and signs, too.
    let shaped = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'T' || byte == b'Z');
    let end = match value.len() {
        _ if !shaped => None,
        8 => NaiveDate::parse_from_str(&value, "%Y%m%d").ok().map(End::Day),
        15 => time(&value).map(End::Local),
        16 => value.strip_suffix('Z').and_then(time).map(|utc| End::Instant(utc.and_utc())),
        _ => None,
    };
    end.ok_or_else(|| {
        let error = part.error(part.value_span(), part.value, "no such date or time");
        error.help("as in 20261224 (that whole day), 20261224T093000 (local) or 20261224T083000Z (UTC)")
    })
}
