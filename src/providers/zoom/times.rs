//! How an instant is written for Zoom, and which zones Zoom knows.

use chrono::{DateTime, MappedLocalTime, SecondsFormat, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;

/// The ids of zones that Zoom documents (its own list, which has old names). Whether it takes others is not said.
#[rustfmt::skip]
const ZONES: &[&str] = &[
    "Africa/Algiers", "Africa/Bangui", "Africa/Cairo", "Africa/Casablanca", "Africa/Djibouti", "Africa/Harare",
    "Africa/Johannesburg", "Africa/Khartoum", "Africa/Mogadishu", "Africa/Nairobi", "Africa/Nouakchott", "Africa/Tripoli",
    "Africa/Tunis", "America/Anchorage", "America/Araguaina", "America/Argentina/Buenos_Aires", "America/Bogota",
    "America/Caracas", "America/Chicago", "America/Costa_Rica", "America/Denver", "America/Edmonton", "America/El_Salvador",
    "America/Godthab", "America/Guatemala", "America/Halifax", "America/Indianapolis", "America/Lima", "America/Los_Angeles",
    "America/Mazatlan", "America/Mexico_City", "America/Montevideo", "America/Montreal", "America/New_York",
    "America/Panama", "America/Phoenix", "America/Puerto_Rico", "America/Regina", "America/Santiago", "America/Sao_Paulo",
    "America/St_Johns", "America/Tijuana", "America/Vancouver", "America/Winnipeg", "Asia/Aden", "Asia/Almaty",
    "Asia/Baghdad", "Asia/Bahrain", "Asia/Baku", "Asia/Bangkok", "Asia/Beirut", "Asia/Calcutta", "Asia/Dacca",
    "Asia/Damascus", "Asia/Dhaka", "Asia/Dubai", "Asia/Hong_Kong", "Asia/Irkutsk", "Asia/Jakarta", "Asia/Jerusalem",
    "Asia/Kabul", "Asia/Kamchatka", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Krasnoyarsk", "Asia/Kuala_Lumpur",
    "Asia/Kuwait", "Asia/Magadan", "Asia/Muscat", "Asia/Nicosia", "Asia/Novosibirsk", "Asia/Qatar", "Asia/Riyadh",
    "Asia/Saigon", "Asia/Seoul", "Asia/Shanghai", "Asia/Singapore", "Asia/Taipei", "Asia/Tashkent", "Asia/Tehran",
    "Asia/Tokyo", "Asia/Vladivostok", "Asia/Yakutsk", "Asia/Yekaterinburg", "Atlantic/Azores", "Atlantic/Cape_Verde",
    "Atlantic/Reykjavik", "Australia/Adelaide", "Australia/Brisbane", "Australia/Darwin", "Australia/Hobart",
    "Australia/Perth", "Australia/Sydney", "CET", "Canada/Atlantic", "Europe/Amsterdam", "Europe/Athens", "Europe/Belgrade",
    "Europe/Berlin", "Europe/Brussels", "Europe/Bucharest", "Europe/Budapest", "Europe/Copenhagen", "Europe/Dublin",
    "Europe/Helsinki", "Europe/Istanbul", "Europe/Kiev", "Europe/Lisbon", "Europe/London", "Europe/Luxembourg",
    "Europe/Madrid", "Europe/Moscow", "Europe/Oslo", "Europe/Paris", "Europe/Prague", "Europe/Rome", "Europe/Sofia",
    "Europe/Stockholm", "Europe/Vienna", "Europe/Warsaw", "Europe/Zurich", "Pacific/Apia", "Pacific/Auckland",
    "Pacific/Fiji", "Pacific/Honolulu", "Pacific/Midway", "Pacific/Noumea", "Pacific/Pago_Pago", "Pacific/Port_Moresby",
];

/// `start_time` and `timezone` for a meeting that starts at `starts_at` and is planned in `zone`.
///
/// The local time in that zone, so that people see their own time in Zoom; UTC where Zoom does not document the zone, and
/// where that local time comes twice (clocks set back).
pub(super) fn start(starts_at: DateTime<Utc>, zone: Option<&str>) -> (String, &str) {
    let local = zone.filter(|zone| ZONES.contains(zone)).and_then(|name| {
        let zone: Tz = name.parse().ok()?;
        let local = starts_at.with_timezone(&zone).naive_local();
        // Only what leads back to the same instant says it.
        match zone.from_local_datetime(&local) {
            MappedLocalTime::Single(back) if back == starts_at => {
                Some((local.format("%Y-%m-%dT%H:%M:%S").to_string(), name))
            }
            MappedLocalTime::Single(_) | MappedLocalTime::Ambiguous(..) | MappedLocalTime::None => None,
        }
    });
    local.unwrap_or_else(|| start_utc(starts_at))
}

/// The form that depends on no zone data.
pub(super) fn start_utc(starts_at: DateTime<Utc>) -> (String, &'static str) {
    (starts_at.to_rfc3339_opts(SecondsFormat::Secs, true), "UTC")
}

/// Zoom's meetings start at whole minutes.
pub(super) fn is_same_minute(a: DateTime<Utc>, b: DateTime<Utc>) -> bool {
    let minute = |at: DateTime<Utc>| at.with_second(0).and_then(|at| at.with_nanosecond(0)).unwrap_or(at);
    minute(a) == minute(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn every_zone_of_zooms_list_is_one_of_ours() {
        let unknown: Vec<_> = ZONES.iter().filter(|zone| zone.parse::<Tz>().is_err()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(ZONES.is_sorted());
    }

    #[test]
    fn an_instant_is_written_so_that_it_can_be_read_in_one_way_only() {
        let paris = Some("Europe/Paris");
        for (instant, zone, expected) in [
            ("2026-07-01T07:30:00Z", paris, ("2026-07-01T09:30:00", "Europe/Paris")),
            ("2026-12-01T08:30:00Z", paris, ("2026-12-01T09:30:00", "Europe/Paris")),
            // 02:30 comes twice that night.
            ("2026-10-25T00:30:00Z", paris, ("2026-10-25T00:30:00Z", "UTC")),
            ("2026-10-25T01:30:00Z", paris, ("2026-10-25T01:30:00Z", "UTC")),
            ("2026-10-25T02:30:00Z", paris, ("2026-10-25T03:30:00", "Europe/Paris")),
            // Not in Zoom's list.
            ("2026-07-01T07:30:00Z", Some("Europe/Kyiv"), ("2026-07-01T07:30:00Z", "UTC")),
            ("2026-07-01T07:30:00Z", Some("UTC"), ("2026-07-01T07:30:00Z", "UTC")),
            ("2026-07-01T07:30:00Z", None, ("2026-07-01T07:30:00Z", "UTC")),
        ] {
            let (start_time, timezone) = start(at(instant), zone);
            assert_eq!((start_time.as_str(), timezone), expected, "{instant} {zone:?}");
        }
    }
}
