//! `Retry-After` and `Date` as any bytes: the pause is bounded, and a clock is never confirmed by nonsense.

#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use chrono::TimeDelta;
use convened::transport::{DateWitness, LONGEST_PAUSE, Transport as _, Witnessed, retry_after};
use convened_fuzz::{Answers, StillClock, beginning, block_on};
use http::HeaderValue;
use http::header::{DATE, RETRY_AFTER};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    retry_after: Vec<Text<'a>>,
    date: Option<Text<'a>>,
}

/// A header's text: any bytes, a number, or a date in one of the forms of RFC 9110 with any parts.
#[derive(Arbitrary, Debug)]
enum Text<'a> {
    Any(&'a [u8]),
    Number(u64),
    Seconds(i32),
    Imf { weekday: u8, day: u8, month: u8, year: u16, hour: u8, minute: u8, second: u8, zone: u8 },
    Rfc850 { weekday: u8, day: u8, month: u8, year: u8, hour: u8, minute: u8, second: u8 },
    Asctime { weekday: u8, day: u8, month: u8, year: u16, hour: u8, minute: u8, second: u8 },
}

const DAYS: [&str; 8] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Day"];
const LONG_DAYS: [&str; 8] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "Someday"];
const MONTHS: [&str; 13] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Mon"];
const ZONES: [&str; 6] = ["GMT", "UTC", "+0000", "-1259", "EST", "+9999"];

impl Text<'_> {
    fn value(&self) -> Option<HeaderValue> {
        let pick = |names: &[&'static str], n: &u8| names[usize::from(*n) % names.len()];
        let text = match self {
            Self::Any(bytes) => return HeaderValue::from_bytes(bytes).ok(),
            Self::Number(number) => number.to_string(),
            Self::Seconds(seconds) => seconds.to_string(),
            Self::Imf { weekday, day, month, year, hour, minute, second, zone } => format!(
                "{}, {:02} {} {:04} {:02}:{:02}:{:02} {}",
                pick(&DAYS, weekday),
                day % 34,
                pick(&MONTHS, month),
                year,
                hour % 26,
                minute % 62,
                second % 62,
                pick(&ZONES, zone)
            ),
            Self::Rfc850 { weekday, day, month, year, hour, minute, second } => format!(
                "{}, {:02}-{}-{:02} {:02}:{:02}:{:02} GMT",
                pick(&LONG_DAYS, weekday),
                day % 34,
                pick(&MONTHS, month),
                year % 100,
                hour % 26,
                minute % 62,
                second % 62
            ),
            Self::Asctime { weekday, day, month, year, hour, minute, second } => format!(
                "{} {} {:2} {:02}:{:02}:{:02} {}",
                pick(&DAYS, weekday),
                pick(&MONTHS, month),
                day % 34,
                hour % 26,
                minute % 62,
                second % 62,
                year
            ),
        };
        HeaderValue::from_str(&text).ok()
    }
}

fuzz_target!(|input: Input<'_>| {
    let mut answer = http::Response::new(Bytes::new());
    for value in input.retry_after.iter().filter_map(Text::value) {
        answer.headers_mut().append(RETRY_AFTER, value);
    }
    if let Some(value) = input.date.as_ref().and_then(Text::value) {
        answer.headers_mut().insert(DATE, value);
    }
    let now = beginning();
    let at = retry_after(answer.headers(), now);
    if let Some(at) = at {
        assert!(now <= at && at <= now + LONGEST_PAUSE, "{at}");
    }
    // What is a whole number means so many seconds, up to the longest pause.
    if let Some(text) = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()) {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let most = u64::try_from(LONGEST_PAUSE.num_seconds()).expect("a day");
            let seconds = text.parse::<u64>().unwrap_or(most).min(most);
            let seconds = i64::try_from(seconds).expect("a day");
            assert_eq!(at, Some(now + TimeDelta::seconds(seconds)));
        }
    }

    let clock = Arc::new(StillClock::new());
    let witness = Arc::new(DateWitness::default());
    let said = answer.headers().get(DATE).cloned();
    let inner = Arc::new(Answers(Mutex::new(Some(Ok(answer)))));
    let witnessed = Witnessed::new(inner, witness.clone(), clock.clone());
    let request = http::Request::get("https://rooms.example/x").body(Bytes::new()).expect("a request");
    block_on(witnessed.send(request, Duration::from_secs(1))).expect("the answer");
    // It confirms one time at most, to the minute, and none that the server did not say.
    let boot = Duration::from_secs(1001);
    let confirmed = [-400_000_i64, -86_400, -3_600, -120, 0, 120, 3_600, 86_400, 400_000]
        .into_iter()
        .filter(|off| witness.confirms(now + TimeDelta::seconds(*off), boot, Duration::from_secs(999)))
        .count();
    assert!(confirmed <= 1 && (said.is_some() || confirmed == 0), "{said:?}");
    assert!(!witness.confirms(now, boot, Duration::from_secs(1000)), "nothing was said after that");
});
