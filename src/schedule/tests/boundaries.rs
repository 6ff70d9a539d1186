//! The last value that is taken and the first that is not, and every word of help.

use super::{cron, days, originals, series};
use crate::schedule::{Cron, Rule, TooMany};

#[track_caller]
fn rule_error(text: &str) -> (String, String) {
    let error = Rule::parse(text).expect_err(text);
    (error.message, error.help.unwrap_or_default())
}

#[track_caller]
fn cron_error(text: &str) -> (String, String, String) {
    let error = Cron::parse(text).expect_err(text);
    (text[error.span].to_owned(), error.message, error.help.unwrap_or_default())
}

#[test]
fn every_number_of_a_rule_is_taken_up_to_its_bounds_and_no_further() {
    for (part, frequency, low, high, is_signed) in [
        ("INTERVAL", "DAILY", 1, 1_000_000, false),
        ("COUNT", "DAILY", 1, i64::from(i32::MAX), false),
        ("BYMONTH", "DAILY", 1, 12, false),
        ("BYWEEKNO", "YEARLY", 1, 53, true),
        ("BYYEARDAY", "YEARLY", 1, 366, true),
        ("BYMONTHDAY", "MONTHLY", 1, 31, true),
        ("BYHOUR", "DAILY", 0, 23, false),
        ("BYMINUTE", "DAILY", 0, 59, false),
        ("BYSECOND", "DAILY", 0, 59, false),
        ("BYSETPOS", "DAILY;BYHOUR=1,2", 1, 366, true),
    ] {
        let parse = |number: i64| Rule::parse(&format!("FREQ={frequency};{part}={number}"));
        for number in [low, high] {
            assert!(parse(number).is_ok(), "{part}={number}");
            assert_eq!(number == 0 || parse(-number).is_ok(), is_signed || number == 0, "{part}=-{number}");
        }
        for number in [low - 1, high + 1, -high - 1] {
            let error = parse(number).expect_err(part);
            let allowed = match is_signed {
                true => format!("use {low} to {high}, or -{high} to -{low} from the end"),
                false => format!("use {low} to {high}"),
            };
            assert_eq!(error.help, Some(allowed), "{part}={number}");
            let why = if number < 0 && !is_signed { "not a whole number" } else { "out of range" };
            assert_eq!(error.message, format!("{part}={number}: {why}"));
        }
    }
    for day in ["53MO", "-53MO", "+1MO", "1mo"] {
        assert!(Rule::parse(&format!("FREQ=YEARLY;BYDAY={day}")).is_ok(), "{day}");
    }
    for day in ["54MO", "-54MO", "0MO", "1-MO"] {
        let (message, help) = rule_error(&format!("FREQ=YEARLY;BYDAY={day}"));
        assert_eq!(message, format!("BYDAY={day}: the number before the day is out of range"));
        assert_eq!(help, "use 1 to 53, or -53 to -1 from the end, as in 2MO or -1FR");
    }
}

#[test]
fn texts_are_read_up_to_their_greatest_length() {
    let rule = |length: usize| format!("FREQ=DAILY{}", " ".repeat(length - 10));
    assert!(Rule::parse(&rule(2000)).is_ok());
    assert_eq!(rule_error(&rule(2001)).0, "the rule is longer than 2000 bytes");
    let pattern = |length: usize| format!("{}30 9 * * *", " ".repeat(length - 10));
    assert!(Cron::parse(&pattern(500)).is_ok());
    for length in [501, 900] {
        assert_eq!(cron_error(&pattern(length)).1, "the pattern is longer than 500 bytes");
    }
}

#[test]
fn until_is_a_day_a_local_time_or_a_time_in_utc_and_nothing_beside() {
    let until = |value: &str| Rule::parse(&format!("FREQ=DAILY;UNTIL={value}"));
    for value in ["20261224", "20261224T093000", "20261224T093000Z", "20261224t093000z"] {
        assert!(until(value).is_ok(), "{value}");
    }
    for value in [
        "2026122",
        "202612240",
        "20261224T09300",
        "20261224T0930000",
        "20261224T093000ZZ",
        "20261224T093000X",
        "2026122Z",
        "20261224Z093000",
        "20261324",
        "20261224T246000",
        "+2026122",
        "20261224 093000",
        "2026 1 4",
        "2026+1+4",
    ] {
        assert!(until(value).is_err(), "{value}");
    }
    // To the second, with what is on it.
    let starts = |value: &str| {
        let rule = format!("FREQ=DAILY;UNTIL={value}");
        originals(&series("2026-12-22T09:30", &rule), "2026-12-01T00:00", "2027-01-01T00:00").len()
    };
    assert_eq!([starts("20261224"), starts("20261224T093000"), starts("20261224T093000Z")], [3, 3, 3]);
    assert_eq!([starts("20261223"), starts("20261224T092959"), starts("20261224T092959Z")], [2, 2, 2]);
}

#[test]
fn what_is_wrong_with_a_rule_is_told_with_what_would_be_right() {
    for (text, message, help) in [
        ("", "the rule is empty", "as in FREQ=WEEKLY;BYDAY=MO,WE"),
        ("RRULE:", "the rule is empty", "as in FREQ=WEEKLY;BYDAY=MO,WE"),
        ("BYDAY=MO", "FREQ is missing", "begin with FREQ=WEEKLY, FREQ=DAILY, …"),
        ("FREQ=DAILY;;", "an empty part", "parts are NAME=VALUE, with \";\" between them"),
        ("FREQ=DAILY;COUNT", "\"COUNT\" has no \"=\"", "parts are NAME=VALUE, with \";\" between them"),
        (
            "FREQ=DAILY;BYDAY=MO;byday=TU",
            "BYDAY is there twice",
            "put all values into one list, as in BYDAY=MO,WE",
        ),
        ("FREQ=DAILY;COUNT=", "COUNT has no value", ""),
        (
            "FREQ=DAILY;EXDATE=1",
            "\"EXDATE\" is no part of a recurrence rule",
            "start, except, also, timezone and duration are keys of the meeting",
        ),
        ("FREQ=DAILY;BYHOURS=1", "\"BYHOURS\" is no part of a recurrence rule", "perhaps BYHOUR"),
        ("FREQ=DAILY;INTERV=1", "\"INTERV\" is no part of a recurrence rule", "perhaps INTERVAL"),
        (
            "FREQ=DAILY;INTER=1",
            "\"INTER\" is no part of a recurrence rule",
            "the parts are FREQ, UNTIL, COUNT, INTERVAL, BYSECOND, BYMINUTE, BYHOUR, BYDAY, BYMONTHDAY, BYYEARDAY, BYWEEKNO, \
             BYMONTH, BYSETPOS, WKST",
        ),
        ("FREQ=DAYLY", "FREQ=DAYLY: no such frequency", "perhaps DAILY"),
        (
            "FREQ=DAYS",
            "FREQ=DAYS: no such frequency",
            "use YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY or MINUTELY",
        ),
        (
            "FREQ=SECONDLY",
            "FREQ=SECONDLY: a meeting cannot begin every second",
            "the shortest period is FREQ=MINUTELY",
        ),
        (
            "FREQ=DAILY;COUNT=1;UNTIL=20261224",
            "COUNT and UNTIL contradict each other",
            "keep one of them (RFC 5545 section 3.3.10)",
        ),
        ("FREQ=WEEKLY;BYDAY=MO,", "BYDAY: no such weekday", ""),
        ("FREQ=DAILY;BYHOUR=1,,2", "BYHOUR: an empty item in the list", "use 0 to 23"),
        (
            "FREQ=DAILY;BYDAY=-2FR",
            "BYDAY=-2FR: a number before the day does not go with FREQ=DAILY",
            "it counts within a month or a year: use FREQ=MONTHLY or YEARLY",
        ),
    ] {
        if text == "FREQ=WEEKLY;BYDAY=MO," {
            assert_eq!(rule_error(text).0, "BYDAY: an empty item in the list");
            continue;
        }
        assert_eq!(rule_error(text), (message.to_owned(), help.to_owned()), "{text:?}");
    }
}

#[test]
fn the_bytes_that_are_wrong_are_the_bytes_that_are_named() {
    for (text, at) in [
        ("FREQ=DAILY;=3", "="),
        ("FREQ=DAILY;;COUNT=3", ";"),
        (" RRULE:FREQ=DAILY;BYHOUR=24", "24"),
        ("FREQ=DAILY;BYHOUR=1,,2", "1,,2"),
        ("FREQ=DAILY;BYHOUR=1;BYHOUR=2", "BYHOUR=2"),
        ("FREQ=DAILY;COUNT=", "COUNT="),
        ("FREQ=DAILY;EXDATE=1", "EXDATE"),
        ("FREQ=DAILY;UNTIL=20261224;COUNT=3", "COUNT=3"),
        ("FREQ=DAILY;WKST=XX", "XX"),
        ("FREQ=DAILY;UNTIL=tomorrow", "tomorrow"),
    ] {
        let error = Rule::parse(text).expect_err(text);
        assert_eq!(&text[error.span], at, "{text}");
    }
}

#[test]
fn each_field_of_a_cron_pattern_has_its_bounds_its_names_and_its_help() {
    let with = |index: usize, field: &str| {
        let mut fields = ["*"; 5];
        fields[index] = field;
        fields.join(" ")
    };
    let helps = [
        "use 0 to 59, lists (0,30), ranges (0-10) or steps (*/15)",
        "use 0 to 23, lists (9,14), ranges (9-17) or steps (*/2)",
        "use 1 to 31, lists, ranges, steps, L (the last day) or 15W (the weekday nearest to the 15th)",
        "use 1 to 12 or JAN to DEC, lists, ranges or steps",
        "use 0 to 7 or SUN to SAT, lists, ranges, 5L (the last Friday) or 1#2 (the second Monday)",
    ];
    let names = ["minute", "hour", "day of month", "month", "day of week"];
    for (index, (first, last, beyond)) in
        [("0", "59", "60"), ("0", "23", "24"), ("1", "31", "32"), ("1", "12", "13"), ("0", "7", "8")]
            .iter()
            .enumerate()
    {
        for field in [*first, *last] {
            assert!(Cron::parse(&with(index, field)).is_ok(), "{}", with(index, field));
        }
        for field in [*beyond, "FOO", "*/0", "1,*/00"] {
            let (at, message, help) = cron_error(&with(index, field));
            assert_eq!((at.as_str(), help.as_str()), (field, helps[index]));
            assert!(message.starts_with(&format!("{field:?} is no {}: ", names[index])), "{message}");
        }
    }
    for month in ["JAN", "feb", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC-DEC"] {
        assert!(Cron::parse(&with(3, month)).is_ok(), "{month}");
        assert!(Cron::parse(&with(4, month)).is_err(), "{month}");
    }
    for day in ["SUN", "mon", "TUE", "WED", "THU", "FRI", "SAT", "5L", "1#2", "MON-FRI"] {
        assert!(Cron::parse(&with(4, day)).is_ok(), "{day}");
        assert!(Cron::parse(&with(3, day)).is_err(), "{day}");
    }
    for day in ["L", "15W"] {
        assert!(Cron::parse(&with(2, day)).is_ok(), "{day}");
    }
    let step = cron_error("*/0 * * * *").1;
    assert_eq!(step, "\"*/0\" is no minute: a step of 0 never moves on");
    for step in ["*/10", "1-30/2", "*/1"] {
        assert!(Cron::parse(&with(0, step)).is_ok(), "{step}");
    }
}

#[test]
fn a_cron_pattern_has_five_fields() {
    let fields = "minute, hour, day of month, month, day of week, as in \"30 9 * * 1-5\"";
    assert_eq!(cron_error("9 * * *").2, format!("use {fields}"));
    for (text, count) in [("0 30 9 * * 1", 6), ("0 30 9 * * 1 2026", 7)] {
        let (_, message, help) = cron_error(text);
        assert_eq!(message, format!("a cron pattern has 5 fields, this one has {count}"));
        assert_eq!(help, format!("use {fields}; seconds and years are not supported"));
    }
    assert_eq!(cron_error("@fortnightly").2, "use @hourly, @daily, @weekly, @monthly, @yearly");
}

#[test]
fn a_cron_pattern_of_some_months_passes_over_the_others() {
    let found = days(&cron("0 9 1 2,4,12 *"), "2026-01-01", "2027-01-01");
    assert_eq!(found, ["2026-02-01", "2026-04-01", "2026-12-01"]);
    assert_eq!(days(&cron("0 9 * 7 1"), "2026-06-25", "2026-08-05").len(), 4, "the Mondays of July");
}

#[test]
fn a_position_that_a_set_does_not_have_picks_nothing() {
    // Two starts in each set: the third, and the third from its end, are none.
    for (positions, expected) in
        [("2", 1), ("3", 0), ("-2", 1), ("-3", 0), ("1,2", 2), ("2,3", 1), ("1,-2", 1)]
    {
        let rule = format!("FREQ=DAILY;BYHOUR=9,15;BYSETPOS={positions};COUNT=50");
        let found = originals(&series("2026-12-01T09:00", &rule), "2026-12-05T00:00", "2026-12-06T00:00");
        assert_eq!(found.len(), expected, "BYSETPOS={positions}");
    }
}

#[test]
fn errors_say_what_is_wrong_and_what_would_do() {
    let error = Rule::parse("FREQ=WEKLY").expect_err("misspelt");
    assert_eq!(error.to_string(), "FREQ=WEKLY: no such frequency; perhaps WEEKLY");
    assert_eq!(TooMany { limit: 7 }.to_string(), "more than 7 occurrences in the window");
}

#[test]
fn a_position_that_a_set_does_not_have_is_not_counted_either() {
    let rule = "FREQ=DAILY;BYHOUR=9,15;BYSETPOS=2,3;COUNT=4";
    let found = days(&series("2026-12-01T09:00", rule), "2026-12-01", "2027-01-01");
    assert_eq!(found, ["2026-12-01", "2026-12-02", "2026-12-03", "2026-12-04"]);
}

#[test]
fn centuries_have_no_leap_day_unless_four_of_them_do() {
    for (year, february, length) in
        [(2096, 29, 366), (2000, 29, 366), (2100, 28, 365), (2200, 28, 365), (2400, 29, 366), (2023, 28, 365)]
    {
        let window = (format!("{year}-01-01"), format!("{}-01-01", year + 1));
        let of = |rule: &str| days(&series("1999-01-01T09:00", rule), &window.0, &window.1);
        assert_eq!(of("FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=-1"), [format!("{year}-02-{february}")]);
        assert_eq!(of(&format!("FREQ=YEARLY;BYYEARDAY=-{length}")), [format!("{year}-01-01")]);
        assert_eq!(of("FREQ=YEARLY;BYYEARDAY=366").len(), usize::from(length == 366), "{year}");
        assert_eq!(of("FREQ=YEARLY;BYDAY=-1SU").len(), 1, "{year}");
    }
}

#[test]
fn the_year_9999_is_the_last_one() {
    let yearly = series("9990-06-01T09:00", "FREQ=YEARLY");
    assert_eq!(days(&yearly, "9998-01-01", "9999-12-31"), ["9998-06-01", "9999-06-01"]);
}
