//! Durations as people write them: `"90s"`, `"1h30m"`.

use chrono::TimeDelta;

/// Units in falling order, with their seconds and other ways to write them.
const UNITS: [(&str, i64, &[&str]); 5] = [
    ("w", 604_800, &["week", "weeks"]),
    ("d", 86_400, &["day", "days"]),
    ("h", 3_600, &["hr", "hrs", "hour", "hours"]),
    ("m", 60, &["min", "mins", "minute", "minutes"]),
    ("s", 1, &["sec", "secs", "second", "seconds"]),
];

/// The longest duration that can be written, in seconds: 100 years.
const LONGEST_S: i64 = 100 * 366 * 86_400;

/// Whole seconds from `1w2d3h4m5s`: numbers with units in falling order, each at most once.
pub(super) fn parse(text: &str) -> Option<TimeDelta> {
    let mut rest = text;
    let mut seconds = 0_i64;
    let mut units = UNITS.iter();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(digits)?;
        let (_, unit_s, _) = units.find(|(unit, ..)| after.starts_with(unit))?;
        seconds = seconds.checked_add(number.parse::<i64>().ok()?.checked_mul(*unit_s)?)?;
        rest = after.get(1..)?;
    }
    (seconds <= LONGEST_S).then(|| TimeDelta::seconds(seconds))
}

/// How a duration that [`parse`] does not take was probably meant: `15 min` as `15m`, `1.5h` as `1h30m`.
pub(super) fn guess(text: &str) -> Option<String> {
    let mut seconds = 0.0;
    let mut rest = text.trim();
    if text.len() > 40 || rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (word, after) = after.split_at_checked(letters)?;
        let word = word.to_lowercase();
        let (_, unit_s, _) =
            UNITS.iter().find(|(unit, _, long)| *unit == word || long.contains(&word.as_str()))?;
        #[expect(clippy::cast_precision_loss, reason = "a unit is a small number")]
        let unit_s = *unit_s as f64;
        seconds += number.parse::<f64>().ok()? * unit_s;
        rest = after.trim_start_matches([' ', ',']);
    }
    #[expect(clippy::cast_possible_truncation, reason = "the bounds are checked here")]
    let whole = (seconds.fract() == 0.0 && (0.0..1e9).contains(&seconds)).then_some(seconds as i64)?;
    Some(format(TimeDelta::seconds(whole)))
}

/// As it is written in a file: `1h30m`. Weeks are given in days, as bounds read better so.
pub(super) fn format(duration: TimeDelta) -> String {
    let mut rest = duration.num_seconds();
    if rest <= 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, unit_s, _) in UNITS.into_iter().skip(1) {
        if rest >= unit_s {
            text.push_str(&format!("{}{unit}", rest / unit_s));
            rest %= unit_s;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_with_units_are_read() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("1h30m", 5400),
            ("2d", 172_800),
            ("1w", 604_800),
            ("0s", 0),
            ("1w1d1h1m1s", 694_861),
        ] {
            assert_eq!(parse(text), Some(TimeDelta::seconds(seconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        for text in [
            "",
            "15",
            "m",
            "15 m",
            "15M",
            "1m1h",
            "1h1h",
            "-5m",
            "+5m",
            "1.5h",
            "15min",
            "٣m",
            "9999999w",
            "5ms",
            "99999999999999999999s",
            "é",
            "1é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_meant_is_guessed() {
        for (text, meant) in [
            ("15 min", "15m"),
            ("1.5h", "1h30m"),
            ("1 hour 30 minutes", "1h30m"),
            ("90 M", "1h30m"),
            ("1m1h", "1h1m"),
        ] {
            assert_eq!(guess(text).as_deref(), Some(meant), "{text}");
        }
        for text in ["", "15", "soon", "1.2s", "5 fortnights", "99999999999h", "1..5h"] {
            assert_eq!(guess(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_formatted_reads_the_same() {
        for seconds in [0, 1, 60, 3599, 5400, 86_400, 34_560_000, 694_861] {
            let duration = TimeDelta::seconds(seconds);
            assert_eq!(parse(&format(duration)), Some(duration));
        }
    }
}
