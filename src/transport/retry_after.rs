//! `Retry-After`: when a server wants to be asked again (RFC 9110 section 10.2.3).

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use http::header::{DATE, HeaderMap, RETRY_AFTER};

/// The longest pause that a server is granted: a slip in its answer must not silence an account for ever.
pub const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(24);

/// The instant from which on the server wants to be asked again, where it said so in a form that can be read: whole
/// seconds, or a date. Never before `now` (the wall clock) and at most [`LONGEST_PAUSE`] after it.
///
/// A date is taken relative to the server's own `Date`, where there is one, so that clocks that differ do no harm.
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds still mean "long".
        text.parse().ok().and_then(TimeDelta::try_seconds).unwrap_or(LONGEST_PAUSE)
    } else {
        let server_now = headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?)).unwrap_or(now);
        http_date(text)? - server_now
    };
    Some(now + pause.clamp(TimeDelta::zero(), LONGEST_PAUSE))
}

/// A date in one of the three forms that a recipient must understand (RFC 9110 section 5.6.7).
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    const FORMS: [&str; 3] =
        ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let text = text.trim();
    FORMS.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).map(|date| date.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "1994-11-06T08:49:00Z";

    fn read(retry_after_text: &str, date: Option<&str>) -> Option<i64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after_text.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        let now: DateTime<Utc> = NOW.parse().unwrap();
        retry_after(&headers, now).map(|at| (at - now).num_seconds())
    }

    #[test]
    fn seconds_and_all_three_forms_of_a_date_are_understood() {
        assert_eq!(read("120", None), Some(120));
        assert_eq!(read(" 0 ", None), Some(0));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT", None), Some(37));
        assert_eq!(read("Sunday, 06-Nov-94 08:49:37 GMT", None), Some(37));
        assert_eq!(read("Sun Nov  6 08:49:37 1994", None), Some(37));
    }

    #[test]
    fn a_date_counts_from_the_servers_own_clock() {
        let (retry_at, date) = ("Sun, 06 Nov 1994 10:00:30 GMT", "Sun, 06 Nov 1994 10:00:00 GMT");
        assert_eq!(read(retry_at, Some(date)), Some(30));
        assert_eq!(read(retry_at, Some("yesterday")), Some(4290), "an unreadable Date is as none");
    }

    #[test]
    fn the_pause_is_never_negative_nor_longer_than_a_day() {
        assert_eq!(read("Sat, 05 Nov 1994 08:49:37 GMT", None), Some(0));
        assert_eq!(read("86401", None), Some(86_400));
        assert_eq!(read("99999999999999999999999999", None), Some(86_400));
        assert_eq!(read("Sat, 06 Nov 2094 08:49:37 GMT", None), Some(86_400));
    }

    #[test]
    fn what_cannot_be_read_is_no_answer() {
        for text in ["", "soon", "-5", "1.5", "+3", "Sun, 31 Nov 1994 08:49:37 GMT", "2094-11-06T08:49:37Z"] {
            assert_eq!(read(text, None), None, "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), NOW.parse().unwrap()), None);
    }
}
