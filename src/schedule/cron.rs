//! A cron pattern, read by `croner` and kept as written.

use super::rule::RuleError;
use chrono::{Datelike, NaiveDate};
use croner::parser::{CronParser, Seconds, Year};
use std::fmt;

/// The names of the five fields, for messages.
const FIELDS: [&str; 5] = ["minute", "hour", "day of month", "month", "day of week"];

/// Names for whole patterns.
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Longest pattern that is read, in bytes.
const MAX_TEXT: usize = 500;

/// A cron pattern of five fields: minute (0-59), hour (0-23), day of month (1-31), month (1-12 or JAN-DEC), day of
/// week (0-7 or SUN-SAT; 0 and 7 are Sunday).
///
/// In every field: `*`, lists (`1,15`), ranges (`9-17`), steps (`*/10`). Day of month also knows `L` (the last day)
/// and `15W` (the weekday nearest to the 15th), day of week `5L` (the last Friday) and `1#2` (the second Monday).
/// When both day fields are given, a day that fits **either** counts (Vixie cron); a `+` before the day of week asks
/// for both. `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly` are read too. No seconds, no years.
///
/// It is evaluated on local time without a zone, so gaps and overlaps follow [`to_utc`](super::to_utc).
#[derive(Debug, Clone, PartialEq)]
pub struct Cron {
    source: String,
    pattern: croner::Cron,
}

impl Cron {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Names the field that is wrong and why.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let whole = 0..text.len();
        if text.len() > MAX_TEXT {
            return Err(RuleError::new(whole, format!("the pattern is longer than {MAX_TEXT} bytes")));
        }
        if let Some((at, char)) =
            text.char_indices().find(|(_, char)| !(char.is_ascii_graphic() || *char == ' '))
        {
            let message = format!("{char:?} does not belong into a cron pattern");
            return Err(RuleError::new(at..at + char.len_utf8(), message));
        }
        let trimmed = text.trim();
        let source = trimmed.to_owned();
        if trimmed.starts_with('@') {
            let known = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(trimmed));
            let Some((_, pattern)) = known else {
                let names = "@hourly, @daily, @weekly, @monthly, @yearly";
                return Err(RuleError::new(whole, format!("{trimmed:?} is no cron pattern"))
                    .help(format!("use {names}")));
            };
            let pattern = read(pattern).map_err(|message| RuleError::new(whole, message))?;
            return Ok(Self { source, pattern });
        }
        let fields = fields(text);
        if fields.len() != FIELDS.len() {
            let message = format!("a cron pattern has 5 fields, this one has {}", fields.len());
            let mut help = format!("use {}, as in \"30 9 * * 1-5\"", FIELDS.join(", "));
            if fields.len() > FIELDS.len() {
                help.push_str("; seconds and years are not supported");
            }
            return Err(RuleError::new(whole, message).help(help));
        }
        // One field at a time, the others open, because croner's errors do not tell which field they mean.
        for (index, (at, field)) in fields.iter().enumerate() {
            let mut alone = ["*"; FIELDS.len()];
            alone[index] = field;
            let checked = check_names(index, field).and_then(|()| check_steps(field));
            if let Err(why) = checked.and_then(|()| read(&alone.join(" "))) {
                let message = format!("{field:?} is no {}: {why}", FIELDS[index]);
                return Err(RuleError::new(*at..at + field.len(), message).help(help_for(index)));
            }
        }
        let joined: Vec<&str> = fields.iter().map(|(_, field)| *field).collect();
        let pattern = read(&joined.join(" ")).map_err(|why| RuleError::new(whole, why))?;
        Ok(Self { source, pattern })
    }

    /// Whether the day fields and the month fit.
    pub(super) fn day_fits(&self, day: NaiveDate) -> bool {
        self.pattern.pattern.day_match(day.year(), day.month(), day.day()).unwrap_or(false)
    }

    /// The months that fit, as bits 1 to 12.
    pub(super) fn months(&self) -> u16 {
        (1..=12)
            .filter(|month| self.pattern.pattern.month_match(*month).unwrap_or(false))
            .fold(0, |bits, month| bits | 1 << month)
    }

    /// The hours that fit.
    pub(super) fn hours(&self) -> Vec<u32> {
        (0..24).filter(|hour| self.pattern.pattern.hour_match(*hour).unwrap_or(false)).collect()
    }

    /// The minutes that fit.
    pub(super) fn minutes(&self) -> Vec<u32> {
        (0..60).filter(|minute| self.pattern.pattern.minute_match(*minute).unwrap_or(false)).collect()
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// The fields with the byte each begins at.
fn fields(text: &str) -> Vec<(usize, &str)> {
    let mut at = 0;
    let mut found = Vec::new();
    for piece in text.split(' ') {
        if !piece.is_empty() {
            found.push((at, piece));
        }
        at += piece.len() + 1;
    }
    found
}

/// Refuses a name in a field that has none such: croner reads `MON` as 1 wherever it stands.
fn check_names(index: usize, field: &str) -> Result<(), String> {
    let known: &[&str] = match index {
        2 => &["L", "W", "LW"],
        3 => &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
        4 => &[
            "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUNL", "MONL", "TUEL", "WEDL", "THUL", "FRIL",
            "SATL", "L",
        ],
        _ => &[],
    };
    let names = field.split(|char: char| !char.is_ascii_alphabetic()).filter(|name| !name.is_empty());
    for name in names {
        if !known.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(format!("{name:?} is not known here"));
        }
    }
    Ok(())
}

/// Refuses a step of 0, which would never come to an end.
fn check_steps(field: &str) -> Result<(), String> {
    let zero = |item: &str| {
        item.split_once('/')
            .is_some_and(|(_, step)| !step.is_empty() && step.bytes().all(|byte| byte == b'0'))
    };
    if field.split(',').any(zero) { Err("a step of 0 never moves on".to_owned()) } else { Ok(()) }
}

/// Reads five fields with croner.
fn read(pattern: &str) -> Result<croner::Cron, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(pattern).map_err(|error| {
        let text = error.to_string();
        let text = ["Component error: ", "Invalid pattern: "]
            .iter()
            .fold(text.as_str(), |text, lead| text.strip_prefix(lead).unwrap_or(text));
        text.trim_end_matches('.').to_owned()
    })
}

/// What the field may hold.
fn help_for(index: usize) -> &'static str {
    match index {
        0 => "use 0 to 59, lists (0,30), ranges (0-10) or steps (*/15)",
        1 => "use 0 to 23, lists (9,14), ranges (9-17) or steps (*/2)",
        2 => "use 1 to 31, lists, ranges, steps, L (the last day) or 15W (the weekday nearest to the 15th)",
        3 => "use 1 to 12 or JAN to DEC, lists, ranges or steps",
        _ => "use 0 to 7 or SUN to SAT, lists, ranges, 5L (the last Friday) or 1#2 (the second Monday)",
    }
}
