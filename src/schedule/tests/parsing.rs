//! What is read, and what is said of the rest.

use crate::schedule::{Cron, Rule};

/// The bytes that the error points at, its message and its help.
#[track_caller]
fn refused(text: &str) -> (&str, String, String) {
    let error = Rule::parse(text).expect_err(text);
    (&text[error.span], error.message, error.help.unwrap_or_default())
}

#[test]
fn a_rule_is_read_in_any_case_and_keeps_its_text() {
    for text in ["FREQ=WEEKLY;BYDAY=MO,WE", "rrule:freq=weekly;byday=mo,we", "RRULE:BYDAY=+1MO;FREQ=MONTHLY"]
    {
        assert_eq!(Rule::parse(text).expect(text).to_string(), text);
    }
}

#[test]
fn the_exact_item_is_pointed_at() {
    assert_eq!(refused("FREQ=WEEKLY;BYDAY=MO,XX,TU").0, "XX");
    assert_eq!(refused("FREQ=DAILY;BYHOUR=9,24").0, "24");
    assert_eq!(refused("FREQ=YEARLY;BYMONTHDAY=1,0").0, "0");
    assert_eq!(refused("FREQ=DAILY;INTERVAL=0").0, "0");
    assert_eq!(refused("FREQ=DALY").0, "DALY");
    assert_eq!(refused("FREQ=DAILY;BYDYA=MO").0, "BYDYA");
    assert_eq!(refused("FREQ=DAILY;COUNT=3;UNTIL=20261224").0, "UNTIL=20261224");
    assert_eq!(refused("FREQ=DAILY;").0, ";");
    assert_eq!(refused("FREQ=DAILY;é=1").0, "é");
}

#[test]
fn messages_are_in_the_words_of_the_rule() {
    let (_, message, help) = refused("FREQ=WEEKLY;BYDAY=XX");
    assert_eq!(
        (message.as_str(), help.as_str()),
        ("BYDAY=XX: no such weekday", "use MO, TU, WE, TH, FR, SA, SU")
    );
    let (_, message, help) = refused("FREQ=WEKLY");
    assert_eq!((message.as_str(), help.as_str()), ("FREQ=WEKLY: no such frequency", "perhaps WEEKLY"));
    assert_eq!(refused("FREQ=DAILY;BYDYA=MO").2, "perhaps BYDAY");
    let (_, message, _) = refused("FREQ=SECONDLY");
    assert_eq!(message, "FREQ=SECONDLY: a meeting cannot begin every second");
}

#[test]
fn parts_that_do_not_go_together_are_refused() {
    for (text, at) in [
        ("FREQ=MONTHLY;BYWEEKNO=3", "BYWEEKNO=3"),
        ("FREQ=WEEKLY;BYDAY=1MO", "BYDAY=1MO"),
        ("FREQ=DAILY;BYDAY=-1MO", "BYDAY=-1MO"),
        ("FREQ=YEARLY;BYWEEKNO=3;BYDAY=1MO", "BYDAY=1MO"),
        ("FREQ=WEEKLY;BYMONTHDAY=3", "BYMONTHDAY=3"),
        ("FREQ=DAILY;BYYEARDAY=3", "BYYEARDAY=3"),
        ("FREQ=WEEKLY;BYYEARDAY=3", "BYYEARDAY=3"),
        ("FREQ=MONTHLY;BYYEARDAY=3", "BYYEARDAY=3"),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS=1"),
        ("FREQ=DAILY;COUNT=3;COUNT=3", "COUNT=3"),
    ] {
        assert_eq!(refused(text).0, at, "{text}");
    }
}

#[test]
fn values_out_of_range_are_refused() {
    for part in [
        "INTERVAL=1000001",
        "INTERVAL=-1",
        "COUNT=0",
        "COUNT=99999999999999999999",
        "BYMONTH=13",
        "BYMONTH=-1",
        "BYMONTHDAY=32",
        "BYMINUTE=60",
        "BYSECOND=60",
        "BYHOUR=24",
        "BYDAY=0MO",
        "BYDAY=",
        "BYDAY=MO,",
        "WKST=XX",
        "UNTIL=2026",
        "UNTIL=20261301",
        "UNTIL=20261224T0930",
        "UNTIL=20261224T093000+0100",
        "UNTIL=+2026124",
        "COUNT",
        "=3",
        "DTSTART=20261224T093000",
        "BYHOUR=٣",
    ] {
        Rule::parse(&format!("FREQ=DAILY;{part}")).expect_err(part);
    }
    Rule::parse("FREQ=YEARLY;BYWEEKNO=54").expect_err("weeks");
    Rule::parse("FREQ=YEARLY;BYYEARDAY=-367").expect_err("days");
    Rule::parse("").expect_err("empty");
    Rule::parse("BYDAY=MO").expect_err("no FREQ");
    Rule::parse(&format!("FREQ=DAILY;BYHOUR={}", "1,".repeat(2000))).expect_err("too long");
}

#[test]
fn cron_errors_name_the_field() {
    let refused = |text: &'static str| {
        let error = Cron::parse(text).expect_err(text);
        (&text[error.span], error.message)
    };
    assert_eq!(refused("30 25 * * 1-5").0, "25");
    assert_eq!(refused("30  9 * FOO *").0, "FOO");
    assert_eq!(refused("MON 9 * * *").0, "MON");
    assert_eq!(refused("*/0 9 * * *").0, "*/0");
    assert_eq!(refused("0 30 9 * * 1").1, "a cron pattern has 5 fields, this one has 6");
    assert_eq!(refused("@fortnightly").0, "@fortnightly");
    assert_eq!(Cron::parse("@daily").expect("known").to_string(), "@daily");
}
