//! Instants and lengths, read from and shown to people.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use std::str::FromStr;

/// An instant on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// RFC 3339, with an offset.
    Instant(DateTime<Utc>),
    /// Local time in the schedule's zone.
    Local(NaiveDateTime),
}

impl Moment {
    /// The instant, for local times in `zone`.
    pub(super) fn at(self, zone: Tz) -> DateTime<Utc> {
        match self {
            Self::Instant(instant) => instant,
            Self::Local(local) => crate::schedule::to_utc(zone, local).0,
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Instant(instant.to_utc()));
        }
        // The same without seconds.
        if let Ok(instant) = DateTime::parse_from_str(&text.replace('Z', "+00:00"), "%Y-%m-%dT%H:%M%:z") {
            return Ok(Self::Instant(instant.to_utc()));
        }
        let local = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        let day = || {
            NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| day.and_time(chrono::NaiveTime::MIN))
        };
        local.or_else(day).map(Self::Local).ok_or_else(|| {
            "neither a day (2026-12-01), nor a local time (2026-12-01T09:00), nor RFC 3339 (2026-12-01T08:00:00Z)".to_owned()
        })
    }
}

/// RFC 3339 in UTC, with seconds.
pub(super) fn rfc3339(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Day of the week, date and time, in `zone`.
pub(super) fn day_and_time<Z: TimeZone<Offset: std::fmt::Display>>(
    instant: DateTime<Utc>,
    zone: &Z,
) -> String {
    instant.with_timezone(zone).format("%a %Y-%m-%d %H:%M").to_string()
}

/// The time in `zone`; with the date when the day is another than `day`.
pub(super) fn time_from<Z: TimeZone<Offset: std::fmt::Display>>(
    instant: DateTime<Utc>,
    day: NaiveDate,
    zone: &Z,
) -> String {
    let local = instant.with_timezone(zone);
    let has_seconds = instant.timestamp() % 60 != 0;
    let format = match (local.date_naive() == day, has_seconds) {
        (true, false) => "%H:%M",
        (true, true) => "%H:%M:%S",
        (false, false) => "%m-%d %H:%M",
        (false, true) => "%m-%d %H:%M:%S",
    };
    local.format(format).to_string()
}

/// A length in its two largest units: `30d`, `1h 30m`, `45s`.
pub(super) fn length(length: TimeDelta) -> String {
    let seconds = length.num_seconds().unsigned_abs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, unit) in units {
        if rest >= size {
            parts.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_instants_or_local_times() {
        let zone = chrono_tz::Europe::Paris;
        let at = |text: &str| rfc3339(text.parse::<Moment>().unwrap().at(zone));
        assert_eq!(at("2026-12-01T09:00:00+09:00"), "2026-12-01T00:00:00Z");
        assert_eq!(at("2026-12-01T09:00Z"), "2026-12-01T09:00:00Z");
        assert_eq!(at("2026-12-01T09:00+01:00"), "2026-12-01T08:00:00Z");
        assert_eq!(at("2026-12-01"), "2026-11-30T23:00:00Z");
        assert_eq!(at("2026-07-01T09:00"), "2026-07-01T07:00:00Z");
        // In the gap: later by the gap.
        assert_eq!(at("2027-03-28 02:30"), "2027-03-28T01:30:00Z");
        assert!("tomorrow".parse::<Moment>().is_err());
    }

    #[test]
    fn lengths_are_short() {
        assert_eq!(length(TimeDelta::days(30)), "30d");
        assert_eq!(length(TimeDelta::seconds(5405)), "1h 30m");
        assert_eq!(length(TimeDelta::zero()), "0s");
    }
}
