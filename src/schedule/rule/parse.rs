//! From the text of an RRULE to a [`Rule`]: its parts, and which of them go together.

use super::parts::{self, Part};
use super::{By, End, Frequency, Rule, RuleError};
use chrono::Weekday;

/// Longest rule that is read, in bytes.
const MAX_TEXT: usize = 2000;

/// Largest INTERVAL.
const MAX_INTERVAL: i32 = 1_000_000;

/// Every part there is, in the order of RFC 5545.
const NAMES: [&str; 14] = [
    "FREQ",
    "UNTIL",
    "COUNT",
    "INTERVAL",
    "BYSECOND",
    "BYMINUTE",
    "BYHOUR",
    "BYDAY",
    "BYMONTHDAY",
    "BYYEARDAY",
    "BYWEEKNO",
    "BYMONTH",
    "BYSETPOS",
    "WKST",
];

/// Reads a whole rule.
pub(super) fn rule(text: &str) -> Result<Rule, RuleError> {
    if text.len() > MAX_TEXT {
        return Err(RuleError::new(0..text.len(), format!("the rule is longer than {MAX_TEXT} bytes")));
    }
    // From here on every byte is a character, so that any span is one that can be shown.
    if let Some((at, char)) = text.char_indices().find(|(_, char)| !(char.is_ascii_graphic() || *char == ' '))
    {
        let message = format!("{char:?} does not belong into a recurrence rule");
        return Err(RuleError::new(at..at + char.len_utf8(), message));
    }
    let parts = split(text)?;
    let find = |name: &str| parts.iter().find(|part| part.is(name));
    let Some(freq) = find("FREQ") else {
        return Err(
            RuleError::new(0..text.len(), "FREQ is missing").help("begin with FREQ=WEEKLY, FREQ=DAILY, …")
        );
    };
    let frequency = frequency(freq)?;
    let numbers = |name: &str, low, high, signed| {
        find(name).map_or(Ok(Vec::new()), |part| parts::numbers(part, low, high, signed))
    };
    let rule = Rule {
        source: text.trim().to_owned(),
        frequency,
        interval: find("INTERVAL").map_or(Ok(1), |part| parts::number(part, 1, MAX_INTERVAL))?.into(),
        end: end(find("COUNT"), find("UNTIL"))?,
        week_start: find("WKST").map_or(Ok(Weekday::Mon), parts::weekday)?,
        by: By {
            months: numbers("BYMONTH", 1, 12, false)?,
            week_numbers: numbers("BYWEEKNO", 1, 53, true)?,
            year_days: numbers("BYYEARDAY", 1, 366, true)?,
            month_days: numbers("BYMONTHDAY", 1, 31, true)?,
            days: find("BYDAY").map_or(Ok(Vec::new()), parts::days)?,
            hours: numbers("BYHOUR", 0, 23, false)?,
            minutes: numbers("BYMINUTE", 0, 59, false)?,
            seconds: numbers("BYSECOND", 0, 59, false)?,
            positions: numbers("BYSETPOS", 1, 366, true)?,
        },
    };
    check_combination(&rule, &parts, freq)?;
    Ok(rule)
}

/// The parts of the text; each is known and there once.
fn split(text: &str) -> Result<Vec<Part<'_>>, RuleError> {
    let mut at = text.len() - text.trim_start().len();
    let mut body = text.trim();
    if body.get(..6).is_some_and(|lead| lead.eq_ignore_ascii_case("RRULE:")) {
        at += 6;
        body = &body[6..];
    }
    if body.is_empty() {
        return Err(RuleError::new(0..text.len(), "the rule is empty").help("as in FREQ=WEEKLY;BYDAY=MO,WE"));
    }
    let mut parts: Vec<Part<'_>> = Vec::new();
    for piece in body.split(';') {
        let span = at..at + piece.len();
        at = span.end + 1;
        let Some((name, value)) = piece.split_once('=') else {
            let message =
                if piece.is_empty() { "an empty part".to_owned() } else { format!("{piece:?} has no \"=\"") };
            // An empty part has no bytes of its own to point at: its separator stands for it.
            let span = if piece.is_empty() { span.start.saturating_sub(1)..span.end.max(1) } else { span };
            return Err(RuleError::new(span, message).help("parts are NAME=VALUE, with \";\" between them"));
        };
        let part = Part { name, value, at: span.start };
        if !NAMES.iter().any(|known| part.is(known)) {
            return Err(unknown(&part));
        }
        if parts.iter().any(|earlier| earlier.is(name)) {
            let message = format!("{} is there twice", part.shown_name());
            return Err(
                RuleError::new(part.span(), message).help("put all values into one list, as in BYDAY=MO,WE")
            );
        }
        if value.is_empty() {
            return Err(RuleError::new(part.span(), format!("{} has no value", part.shown_name())));
        }
        parts.push(part);
    }
    Ok(parts)
}

/// What to say of a part that does not exist.
fn unknown(part: &Part<'_>) -> RuleError {
    let upper = part.shown_name();
    let error = RuleError::new(part.name_span(), format!("{upper:?} is no part of a recurrence rule"));
    if matches!(upper.as_str(), "DTSTART" | "EXDATE" | "RDATE" | "TZID" | "DURATION") {
        return error.help("start, except, also, timezone and duration are keys of the meeting");
    }
    let near = NAMES.iter().map(|name| (strsim::damerau_levenshtein(&upper, name), name)).min();
    match near {
        Some((distance, name)) if distance <= 2 => error.help(format!("perhaps {name}")),
        _ => error.help(format!("the parts are {}", NAMES.join(", "))),
    }
}

/// The value of FREQ.
fn frequency(part: &Part<'_>) -> Result<Frequency, RuleError> {
    let names = [
        ("YEARLY", Frequency::Yearly),
        ("MONTHLY", Frequency::Monthly),
        ("WEEKLY", Frequency::Weekly),
        ("DAILY", Frequency::Daily),
        ("HOURLY", Frequency::Hourly),
        ("MINUTELY", Frequency::Minutely),
    ];
    if let Some((_, frequency)) = names.iter().find(|(name, _)| part.value.eq_ignore_ascii_case(name)) {
        return Ok(*frequency);
    }
    let upper = part.value.to_ascii_uppercase();
    if upper == "SECONDLY" {
        let message = "FREQ=SECONDLY: a meeting cannot begin every second";
        return Err(RuleError::new(part.value_span(), message).help("the shortest period is FREQ=MINUTELY"));
    }
    let near = names.iter().map(|(name, _)| (strsim::damerau_levenshtein(&upper, name), *name)).min();
    let error = RuleError::new(part.value_span(), format!("FREQ={}: no such frequency", part.value));
    Err(match near {
        Some((distance, name)) if distance <= 2 => error.help(format!("perhaps {name}")),
        _ => error.help("use YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY or MINUTELY"),
    })
}

/// COUNT or UNTIL.
fn end(count: Option<&Part<'_>>, until: Option<&Part<'_>>) -> Result<End, RuleError> {
    match (count, until) {
        (None, None) => Ok(End::Never),
        (Some(count), None) => {
            Ok(End::Count(u64::try_from(parts::number(count, 1, i32::MAX)?).unwrap_or(u64::MAX)))
        }
        (None, Some(until)) => parts::until(until),
        (Some(count), Some(until)) => {
            let later = if count.at > until.at { count } else { until };
            let error = RuleError::new(later.span(), "COUNT and UNTIL contradict each other");
            Err(error.help("keep one of them (RFC 5545 section 3.3.10)"))
        }
    }
}

/// Which parts may go with which FREQ: the table of RFC 5545 section 3.3.10 and the sentences around it.
fn check_combination(rule: &Rule, parts: &[Part<'_>], freq: &Part<'_>) -> Result<(), RuleError> {
    use Frequency::{Daily, Monthly, Weekly, Yearly};
    let frequency = rule.frequency;
    let refuse = |name: &str, why: &str, help: &str| {
        let span = parts.iter().find(|part| part.is(name)).unwrap_or(freq).span();
        Err(RuleError::new(span, why).help(help))
    };
    let named = freq.value.to_ascii_uppercase();
    if !rule.by.week_numbers.is_empty() && frequency != Yearly {
        let why = format!("BYWEEKNO does not go with FREQ={named}");
        return refuse("BYWEEKNO", &why, "week numbers count within a year: use FREQ=YEARLY");
    }
    if !rule.by.year_days.is_empty() && matches!(frequency, Daily | Weekly | Monthly) {
        let why = format!("BYYEARDAY does not go with FREQ={named}");
        return refuse("BYYEARDAY", &why, "use FREQ=YEARLY, HOURLY or MINUTELY");
    }
    if !rule.by.month_days.is_empty() && frequency == Weekly {
        let help = "use FREQ=MONTHLY, or FREQ=DAILY with BYDAY and BYMONTHDAY";
        return refuse("BYMONTHDAY", "BYMONTHDAY does not go with FREQ=WEEKLY", help);
    }
    if let Some((ordinal, day)) = rule.by.days.iter().find(|(ordinal, _)| *ordinal != 0) {
        let written = format!("{ordinal}{}", parts::weekday_name(*day));
        if !matches!(frequency, Monthly | Yearly) {
            let why = format!("BYDAY={written}: a number before the day does not go with FREQ={named}");
            return refuse("BYDAY", &why, "it counts within a month or a year: use FREQ=MONTHLY or YEARLY");
        }
        if frequency == Yearly && !rule.by.week_numbers.is_empty() {
            let why = format!("BYDAY={written}: a number before the day does not go with BYWEEKNO");
            return refuse("BYDAY", &why, "a week has each day once: leave the number out");
        }
    }
    let by = &rule.by;
    let days = [&by.months, &by.week_numbers, &by.year_days, &by.month_days];
    let times = [&by.hours, &by.minutes, &by.seconds];
    let alone = by.days.is_empty() && days.iter().chain(&times).all(|list| list.is_empty());
    if !by.positions.is_empty() && alone {
        let help = "as in FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1 (the last weekday)";
        return refuse("BYSETPOS", "BYSETPOS picks from what another BY part gives, and there is none", help);
    }
    Ok(())
}
