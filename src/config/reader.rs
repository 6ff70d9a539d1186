//! Typed access to the tables of a file; what is not as it should be becomes a located problem.

use super::diagnostic::quote;
use super::duration;
use super::mask::{is_nearly_secret_name, is_secret_name};
use super::problems::{Nature, Place, Problems};
use super::suggest::nearest;
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use std::fmt::Display;
use std::ops::RangeInclusive;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// Where things are reported, and for which file.
#[derive(Clone, Copy)]
pub(super) struct Context<'t> {
    pub(super) problems: &'t Problems,
    pub(super) file: usize,
}

/// A table of a file, whose keys are all known.
#[derive(Clone)]
pub(super) struct Section<'t> {
    context: Context<'t>,
    table: &'t DeTable<'t>,
    place: Place,
}

impl<'t> Section<'t> {
    /// `keys` are those that the table may have; every other one is reported.
    pub(super) fn new(
        context: Context<'t>,
        table: &'t DeTable<'t>,
        place: Place,
        keys: &[&'static str],
    ) -> Self {
        let section = Self { context, table, place };
        section.check_keys(keys);
        section
    }

    /// Reports every key that is not one of `keys`.
    pub(super) fn check_keys(&self, keys: &[&'static str]) {
        for key in self.table.keys() {
            let name = key.get_ref();
            if keys.contains(&name.as_ref()) {
                continue;
            }
            let place = Place { file: self.context.file, span: Some(key.span()) };
            let near = nearest(name, keys.iter().copied());
            if (near.is_some_and(is_secret_name) || is_nearly_secret_name(name))
                && let Some(value) = self.table.get(name.as_ref())
            {
                // A secret under a misspelt key is a secret all the same.
                let place = Place { file: self.context.file, span: Some(value.span()) };
                self.context.problems.mask(&place);
            }
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys are {}", list(keys)),
            };
            self.context.problems.error(&place, format!("unknown key {}", quote(name)), help);
        }
    }

    /// Where the table begins.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The value of `key`, if it is there.
    pub(super) fn item(&self, key: &'static str) -> Option<Item<'t>> {
        self.table.get(key).map(|value| Item { context: self.context, name: key, value })
    }

    /// The same; a missing one is reported.
    pub(super) fn require(&self, key: &'static str, example: &str) -> Option<Item<'t>> {
        let item = self.item(key);
        if item.is_none() {
            self.missing(key, example);
        }
        item
    }

    /// Reports that `key` is missing.
    pub(super) fn missing(&self, key: &str, example: &str) {
        let help = Some(format!("write for example {example}"));
        let message = format!("`{key}` is missing");
        self.context.problems.report(&self.place, super::Severity::Error, Nature::Missing, message, help);
    }

    /// Whether `key` is there, right or wrong.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.table.get(key).is_some()
    }
}

/// A value of a file.
#[derive(Clone, Copy)]
pub(super) struct Item<'t> {
    pub(super) context: Context<'t>,
    /// The key it belongs to.
    pub(super) name: &'t str,
    value: &'t Spanned<DeValue<'t>>,
}

impl<'t> Item<'t> {
    pub(super) fn new(context: Context<'t>, name: &'t str, value: &'t Spanned<DeValue<'t>>) -> Self {
        Self { context, name, value }
    }

    /// Where the value stands.
    pub(super) fn place(&self) -> Place {
        Place { file: self.context.file, span: Some(self.value.span()) }
    }

    /// A part of a string value: `bytes` within the text. The value as a whole, where escapes make them differ.
    pub(super) fn place_within(&self, bytes: &std::ops::Range<usize>) -> Place {
        let span = self.value.span();
        let text_length = self.value.get_ref().as_str().map_or(0, str::len);
        let is_plain = span.len() == text_length + 2 && bytes.start <= bytes.end && bytes.end <= text_length;
        let span = if is_plain { span.start + 1 + bytes.start..span.start + 1 + bytes.end } else { span };
        Place { file: self.context.file, span: Some(span) }
    }

    pub(super) fn value(&self) -> &'t DeValue<'t> {
        self.value.get_ref()
    }

    pub(super) fn error(&self, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.context.problems.error(&self.place(), message, help);
    }

    pub(super) fn warning(&self, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.context.problems.warning(&self.place(), message, help);
    }

    /// Reports that it should be `wanted`. Never tells the value, which may be a secret in the wrong place.
    pub(super) fn wrong_type(&self, wanted: &str, example: &str) {
        let found = kind(self.value());
        let help = format!("write for example {example}");
        self.error(format!("`{}` must be {wanted}, not {found}", self.name), help);
    }

    pub(super) fn string(&self, example: &str) -> Option<&'t str> {
        let text = self.value().as_str();
        if text.is_none() {
            self.wrong_type("a string", example);
        }
        text
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        let value = self.value().as_bool();
        if value.is_none() {
            self.wrong_type("true or false", &format!("{} = true", self.name));
        }
        value
    }

    pub(super) fn integer(&self, bounds: RangeInclusive<i64>) -> Option<i64> {
        let Some(digits) = self.value().as_integer() else {
            self.wrong_type("a whole number", &format!("{} = {}", self.name, bounds.end()));
            return None;
        };
        let value =
            i64::from_str_radix(digits.as_str(), digits.radix()).ok().filter(|value| bounds.contains(value));
        if value.is_none() {
            let digits: String = digits.to_string().chars().take(24).collect();
            self.out_of_bounds(&digits, bounds.start(), bounds.end());
        }
        value
    }

    /// Reports that `shown`, which is short and safe, is not between `from` and `to`.
    fn out_of_bounds(&self, shown: &str, from: impl Display, to: impl Display) {
        self.error(format!("`{}` is out of bounds: {shown}", self.name), format!("it can be {from} to {to}"));
    }

    /// One of `names`, and what it stands for.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let names: Vec<&'static str> = choices.iter().map(|(name, _)| *name).collect();
        let text = self.string(&format!("{} = \"{}\"", self.name, names.first().unwrap_or(&"")))?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let help = match nearest(text, names.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("it can be {}", alternatives(&names)),
            };
            self.error(format!("`{}` cannot be {}", self.name, quote(text)), help);
        }
        found
    }

    pub(super) fn duration(&self, bounds: RangeInclusive<TimeDelta>, example: &str) -> Option<TimeDelta> {
        let example = format!("{} = \"{example}\"", self.name);
        let text = match self.value() {
            DeValue::String(text) => text.as_ref(),
            DeValue::Integer(number) => {
                // In the unit in which this key is mostly given.
                let unit = example.trim_end_matches('"').chars().next_back().unwrap_or('m');
                let meant = Some(format!("{}{unit}", number.as_str()))
                    .filter(|meant| duration::parse(meant).is_some_and(|value| bounds.contains(&value)))
                    .map_or(example, |meant| format!("{} = \"{meant}\"", self.name));
                let help = format!("a duration has a unit: write for example {meant}");
                self.error(format!("`{}` must be a duration in quotes, not an integer", self.name), help);
                return None;
            }
            _ => {
                self.wrong_type("a duration", &example);
                return None;
            }
        };
        let Some(value) = duration::parse(text) else {
            let help = match duration::guess(text) {
                Some(guess) => format!("write {} = \"{guess}\"", self.name),
                None => format!("write whole numbers with the units w, d, h, m, s: {example}"),
            };
            self.error(format!("`{}` is not a duration: {}", self.name, quote(text)), help);
            return None;
        };
        if !bounds.contains(&value) {
            self.out_of_bounds(text, duration::format(*bounds.start()), duration::format(*bounds.end()));
            return None;
        }
        Some(value)
    }

    pub(super) fn array(&self, example: &str) -> Option<&'t DeArray<'t>> {
        let array = self.value().as_array();
        if array.is_none() {
            self.wrong_type("a list", example);
        }
        array
    }

    /// The elements of a list of at most `most`; each goes by the list's name.
    pub(super) fn elements(&self, most: usize, example: &str) -> Option<Vec<Self>> {
        let array = self.array(example)?;
        if array.len() > most {
            let help = format!("it can hold {most}");
            self.error(format!("`{}` is too long: {} entries", self.name, array.len()), help);
            return None;
        }
        Some(array.iter().map(|value| Self { context: self.context, name: self.name, value }).collect())
    }

    /// A table with these keys.
    pub(super) fn section(&self, keys: &[&'static str], example: &str) -> Option<Section<'t>> {
        let section = self.any_section(example)?;
        section.check_keys(keys);
        Some(section)
    }

    /// A table with any keys.
    pub(super) fn any_section(&self, example: &str) -> Option<Section<'t>> {
        let Some(table) = self.value().as_table() else {
            self.wrong_type("a table", example);
            return None;
        };
        Some(Section { context: self.context, table, place: self.place() })
    }

    /// Whole seconds of local time, as a TOML date-time or in quotes.
    pub(super) fn local_time(&self) -> Option<NaiveDateTime> {
        match self.day_or_time()? {
            DayOrTime::Time(time) => Some(time),
            DayOrTime::Day(day) => {
                let help = format!("write for example {}T09:00:00", day.format("%Y-%m-%d"));
                self.error(format!("`{}` has no time of day", self.name), help);
                None
            }
        }
    }

    /// A local day, or whole seconds of local time.
    pub(super) fn day_or_time(&self) -> Option<DayOrTime> {
        const EXAMPLE: &str = "2026-11-23T09:30:00";
        let parsed;
        let datetime = match self.value() {
            DeValue::Datetime(datetime) => datetime,
            DeValue::String(text) => match text.parse() {
                Ok(datetime) => {
                    parsed = datetime;
                    &parsed
                }
                Err(_) => {
                    let message = format!("`{}` is not a date and time: {}", self.name, quote(text));
                    self.error(message, format!("write for example {EXAMPLE}"));
                    return None;
                }
            },
            _ => {
                self.wrong_type("a local date and time", EXAMPLE);
                return None;
            }
        };
        // A value that is broken TOML was reported as such, and has neither.
        let Some(date) = datetime.date else {
            self.error(format!("`{}` has no date", self.name), format!("write for example {EXAMPLE}"));
            return None;
        };
        if datetime.offset.is_some() {
            let local = toml::value::Datetime { offset: None, ..*datetime };
            let help = format!("write the local time, such as {local}, and its zone with `timezone`");
            self.error(format!("`{}` must be a local time, without an offset from UTC", self.name), help);
            return None;
        }
        let day = NaiveDate::from_ymd_opt(date.year.into(), date.month.into(), date.day.into());
        let Some(day) = day.filter(|_| (1970..=2200).contains(&date.year)) else {
            self.error(
                format!("`{}` is out of bounds: {date}", self.name),
                "it can be 1970 to 2200".to_owned(),
            );
            return None;
        };
        let Some(time) = datetime.time else { return Some(DayOrTime::Day(day)) };
        let second = time.second.unwrap_or(0);
        let whole = NaiveTime::from_hms_opt(time.hour.into(), time.minute.into(), second.into())
            .filter(|_| time.nanosecond.unwrap_or(0) == 0);
        let Some(whole) = whole else {
            let whole = format!("{:02}:{:02}:{:02}", time.hour, time.minute, second.min(59));
            let help = format!("write {date}T{whole}");
            self.error(format!("`{}` must be in whole seconds, below 60", self.name), help);
            return None;
        };
        Some(DayOrTime::Time(day.and_time(whole)))
    }
}

/// What [`Item::day_or_time`] read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DayOrTime {
    /// A day.
    Day(NaiveDate),
    /// A time on a day.
    Time(NaiveDateTime),
}

/// What a value is, with its article.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `a, b, c`.
fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// `"a", "b" or "c"`.
fn alternatives(names: &[&str]) -> String {
    let mut quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let last = quoted.pop().unwrap_or_default();
    if quoted.is_empty() { last } else { format!("{} or {last}", quoted.join(", ")) }
}
