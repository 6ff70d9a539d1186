//! The rules for no-shows, warnings and seats: what a file becomes, and what is told of a wrong one.

mod config_support;

use chrono::TimeDelta;
use config_support::{config, load_text, told};
use convened::lifecycle::{Policy, Warn};

fn minutes(n: i64) -> TimeDelta {
    TimeDelta::minutes(n)
}

/// The rules of a meeting `a` with these lines, below these defaults.
fn policy(defaults: &str, lines: &str) -> Policy {
    let text = format!(
        "timezone = \"UTC\"\n[defaults]\n{defaults}\n[[meetings]]\nid = \"a\"\nstart = 2026-12-01T09:00:00\nduration = \"1h\"\n{lines}\n"
    );
    config(&text).meetings["a"].policy.clone()
}

/// What is told of a meeting with these lines, the first of them line 6.
fn tells(lines: &str) -> String {
    let head =
        "timezone = \"UTC\"\n[[meetings]]\nid = \"a\"\nstart = 2026-12-01T09:00:00\nduration = \"1h\"\n";
    told(&load_text(&format!("{head}{lines}\n")))
}

#[test]
fn by_default_no_room_is_closed_early_nobody_is_warned_and_extensions_yield() {
    let policy = policy("", "extend = true");
    assert_eq!((policy.no_show, policy.warn), (None, Warn::default()));
    assert!(policy.extend.expect("it is on").yields);
}

#[test]
fn a_meeting_goes_before_the_defaults() {
    let defaults =
        "no_show = \"20m\"\nwarn = [\"5m\"]\nwarn_text = \"{minutes}!\"\nextend = { yields = false }";
    let inherits = policy(defaults, "");
    assert_eq!(inherits.no_show, Some(minutes(20)));
    assert_eq!(inherits.warn, Warn { before: vec![minutes(5)], text: "{minutes}!".to_owned() });
    assert!(!inherits.extend.expect("it is on").yields);

    let own =
        policy(defaults, "no_show = \"5m\"\nwarn = [\"2m\"]\nwarn_text = \"x\"\nextend = { yields = true }");
    assert_eq!(own.no_show, Some(minutes(5)));
    assert_eq!(own.warn, Warn { before: vec![minutes(2)], text: "x".to_owned() });
    assert!(own.extend.expect("it is on").yields);

    let off = policy(defaults, "no_show = false\nwarn = []");
    assert_eq!((off.no_show, off.warn.before), (None, vec![]));
}

#[test]
fn warnings_are_put_in_order_and_none_comes_twice() {
    let policy = policy("", "warn = [\"1m\", \"10m\", \"60s\", \"5m\"]");
    assert_eq!(policy.warn.before, [minutes(10), minutes(5), minutes(1)]);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (lines, expected) in [
        (
            "no_show = \"30s\"",
            "error: c.toml:6:11: `no_show` is out of bounds: 30s\n6 | no_show = \"30s\"\n  |           ^^^^^\n  = help: it can be 1m to 1d",
        ),
        (
            "no_show = true",
            "error: c.toml:6:11: `no_show` must be a duration, not a boolean\n6 | no_show = true\n  |           ^^^^\n  = help: write for example no_show = \"20m\"",
        ),
        (
            "warn = \"5m\"",
            "error: c.toml:6:8: `warn` must be a list, not a string\n6 | warn = \"5m\"\n  |        ^^^^\n  = help: write for example warn = [\"5m\", \"1m\"]",
        ),
        (
            "warn = [\"5m\", \"10s\"]",
            "error: c.toml:6:15: `warn` is out of bounds: 10s\n6 | warn = [\"5m\", \"10s\"]\n  |               ^^^^^\n  = help: it can be 1m to 1d",
        ),
        (
            "warn_text = \"in {minute} min\"",
            "error: c.toml:6:13: `warn_text` holds braces that stand for nothing\n6 | warn_text = \"in {minute} min\"\n  |             ^^^^^^^^^^^^^^^^^\n  = help: {minutes} is the only thing that can be filled in",
        ),
        (
            "warn_text = \"\"",
            "error: c.toml:6:13: `warn_text` must have 1 to 200 characters, not 0\n6 | warn_text = \"\"\n  |             ^^",
        ),
        (
            "extend = { yields = 1 }",
            "error: c.toml:6:21: `yields` must be true or false, not an integer\n6 | extend = { yields = 1 }\n  |                     ^\n  = help: write for example yields = true",
        ),
    ] {
        let told = tells(lines);
        assert!(told == expected, "told:\n{told}\n\nexpected:\n{expected}");
    }
    let many: Vec<_> = (1..=11).map(|n| format!("\"{n}m\"")).collect();
    assert!(tells(&format!("warn = [{}]", many.join(", "))).contains("`warn` is too long: 11 entries"));
    assert!(tells("warn_text = \"a\\u202eb\"").contains("marks that change the direction"));
}

#[test]
fn rules_of_a_meeting_that_come_to_nothing_are_a_warning() {
    let expected = "warning: c.toml:6:11: `no_show` comes to nothing: 2h, and the room closes 1h5m after the start\n6 | no_show = \"2h\"\n  |           ^^^^";
    assert_eq!(tells("no_show = \"2h\""), expected);
    assert!(tells("warn = [\"5m\", \"66m\"]").contains("`warn` comes to nothing"));
    assert_eq!(
        tells("no_show = \"2h\"\nextend = { max = \"1h\" }"),
        "",
        "while it may be extended, it may come to that"
    );
    let meeting =
        |id| format!("[[meetings]]\nid = \"{id}\"\nstart = 2026-12-01T09:00:00\nduration = \"1h\"\n");
    let text = format!("timezone = \"UTC\"\n[defaults]\nno_show = \"3h\"\n{}{}", meeting("a"), meeting("b"));
    assert_eq!(told(&load_text(&text)), "", "a default need not suit every meeting");
}

/// A meeting led by somebody.
fn led(id: &str, host: &str, start: &str, more: &str) -> String {
    format!("[[meetings]]\nid = \"{id}\"\nhosts = [\"{host}\"]\nstart = {start}\nduration = \"1h\"\n{more}\n")
}

#[test]
fn a_host_in_two_places_is_a_warning_that_names_both_meetings() {
    let zone = "timezone = \"UTC\"\n".to_owned();
    let text = zone.clone()
        + &led("a", "alice", "2026-12-01T09:00:00", "repeat = \"FREQ=DAILY;COUNT=3\"")
        + &led("b", "alice", "2026-12-02T09:30:00", "repeat = \"FREQ=DAILY;COUNT=3\"");
    assert_eq!(
        told(&load_text(&text)),
        "warning: c.toml:8:1: host \"alice\" leads meetings \"a\" and \"b\" at the same time on provider \"house\", first at 2026-12-02T09:30:00Z, 2 times within the horizon (30d)\n8 | [[meetings]]\n  | ^^^^^^^^^^^^\n  = help: if the host need not be there in person, leave it"
    );
    // Back to back, other hosts, another provider, or another day: nothing to tell.
    let providers = "[providers.house]\nkind = \"meeting-service\"\n[providers.other]\nkind = \"meeting-service\"\n[defaults]\nprovider = \"house\"\n";
    for second in [
        led("b", "alice", "2026-12-01T10:00:00", ""),
        led("b", "bob", "2026-12-01T09:30:00", ""),
        led("b", "alice", "2026-12-03T09:30:00", ""),
        led("b", "alice", "2026-12-01T09:30:00", "provider = \"other\""),
    ] {
        let text = format!("{zone}{providers}{}{second}", led("a", "alice", "2026-12-01T09:00:00", ""));
        assert!(!told(&load_text(&text)).contains("at the same time"), "{second}");
    }
}

#[test]
fn a_host_of_everything_is_told_in_a_few_lines() {
    let mut text = "timezone = \"UTC\"\n".to_owned();
    for n in 0..50 {
        text += &led(&format!("m{n}"), "robot", "2026-12-01T09:00:00", "");
    }
    let told = told(&load_text(&text));
    assert_eq!(told.matches("warning:").count(), 3, "{told}");
    assert!(told.contains("other pairs of this host"), "{told}");
}
