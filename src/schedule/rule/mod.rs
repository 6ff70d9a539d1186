//! An RRULE as data, and what can be wrong with its text.

mod parse;
mod parts;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc, Weekday};
use std::fmt;
use std::ops::Range;

/// A recurrence rule (RFC 5545 section 3.3.10), as written and as understood.
///
/// Every FREQ but SECONDLY, and every BY part. Two rules are equal when they are written alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub(super) source: String,
    pub(super) frequency: Frequency,
    pub(super) interval: i64,
    pub(super) end: End,
    pub(super) week_start: Weekday,
    pub(super) by: By,
}

/// FREQ: the period that a rule repeats by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Frequency {
    Yearly,
    Monthly,
    Weekly,
    Daily,
    Hourly,
    Minutely,
}

/// How a rule comes to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It does not.
    Never,
    /// COUNT: after so many starts, counted from the first, before any exception.
    Count(u64),
    /// UNTIL as a date: with the last start of that local day.
    Day(NaiveDate),
    /// UNTIL as a local time: with the last start not after it.
    Local(NaiveDateTime),
    /// UNTIL in UTC: with the last start whose instant is not after it.
    Instant(DateTime<Utc>),
}

/// The BY parts; an empty list is an absent part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct By {
    pub(super) months: Vec<i32>,
    pub(super) week_numbers: Vec<i32>,
    pub(super) year_days: Vec<i32>,
    pub(super) month_days: Vec<i32>,
    /// With an ordinal, or 0 for every such day of the period.
    pub(super) days: Vec<(i32, Weekday)>,
    pub(super) hours: Vec<i32>,
    pub(super) minutes: Vec<i32>,
    pub(super) seconds: Vec<i32>,
    pub(super) positions: Vec<i32>,
}

impl Rule {
    /// Reads a rule, with or without `RRULE:` before it, in any case.
    ///
    /// # Errors
    /// Names the first part that is wrong and why.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        parse::rule(text)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// What is wrong with the text of a rule or a cron pattern, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// The bytes of the text that are meant; always on character boundaries.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl RuleError {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

impl std::error::Error for RuleError {}
