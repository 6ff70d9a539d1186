//! What a good file becomes, and what of a file matters.

#![expect(clippy::expect_used, reason = "a test fails where it expects in vain")]

mod config_support;

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use config_support::{MemoryFiles, at, config, has_error, load_files, load_text, now, told};
use convened::config::{
    Config, Diagnostic, Loaded, Meeting, MeetingServiceConfig, ProviderKind, RateLimit, SecretRef, Severity,
    all_keys, load,
};
use convened::lifecycle::{Extend, OnRemoved};
use convened::log::LogFormat;
use convened::providers::{Recording, Role, Settings};
use convened::schedule::{Except, Repeat};
use secrecy::ExposeSecret as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXAMPLE: &str = include_str!("../config.toml.example");
const MINIMAL: &str =
    "timezone = \"Europe/Paris\"\n[[meetings]]\nid = \"a\"\nstart = 2026-12-01T09:00:00\nduration = \"1h\"\n";

fn local(text: &str) -> NaiveDateTime {
    text.parse().expect("a local time")
}

fn meeting(text: &str) -> Meeting {
    let config = config(text);
    config.meetings.values().next().expect("a meeting").as_ref().clone()
}

#[test]
fn a_minimal_file_has_its_defaults() {
    let config = config(MINIMAL);
    let daemon = &config.daemon;
    assert_eq!(daemon.listen.to_string(), "127.0.0.1:8686");
    assert_eq!((daemon.state_dir.as_ref(), daemon.public_url.as_ref(), daemon.log), (None, None, None));
    assert_eq!((daemon.horizon, daemon.history), (TimeDelta::days(30), TimeDelta::days(90)));
    assert_eq!((daemon.reload_guard.rooms, daemon.reload_guard.percent), (5, 50));
    let house = &config.providers["house"];
    assert_eq!((house.max_in_flight, house.timeout, house.rate_limit), (32, Duration::from_secs(30), None));
    assert!(matches!(house.kind, ProviderKind::MeetingService(MeetingServiceConfig::BuiltIn)));
    let meeting = &config.meetings["a"];
    assert_eq!((meeting.title.as_str(), meeting.provider.as_str()), ("a", "house"));
    assert_eq!(meeting.series.zone.name(), "Europe/Paris");
    assert_eq!(meeting.series.start, Some(local("2026-12-01T09:00:00")));
    assert_eq!(meeting.series.repeat, Repeat::Once);
    assert_eq!(meeting.series.duration, TimeDelta::hours(1));
    assert_eq!(meeting.policy.create_ahead, TimeDelta::minutes(15));
    assert_eq!(meeting.policy.close_delay, TimeDelta::minutes(5));
    assert_eq!(meeting.policy.extend, None);
    assert_eq!(meeting.policy.on_removed, OnRemoved::Finish);
    assert_eq!(meeting.policy.look_every, TimeDelta::minutes(5));
    assert_eq!(meeting.settings, Settings::default());
    assert_eq!(meeting.location, "c.toml:2:1");
}

/// Every key once, at a value that is not its default.
const EVERYTHING: &str = r#"
timezone = "Europe/Paris"
[daemon]
state_dir = "state"
listen = "[::1]:0"
public_url = "https://meet.example.com/convened/"
horizon = "60d"
history = "1w"
reload_guard = { rooms = 0, percent = 100 }
log = "json"
[defaults]
provider = "acme"
timezone = "America/New_York"
duration = "30m"
create_ahead = "20m"
close_delay = "0s"
extend = { step = "5m" }
on_removed = "close"
look_every = "10s"
hosts = ["default@example.com"]
participants = ["default@example.com"]
settings = { mute_on_entry = true, recording = "cloud" }
zoom = { a = 1 }
[defaults.meeting-service]
a = { b = [1, 2.5, true, "x", 2026-12-01] }
[providers.acme]
kind = "meeting-service"
rate_limit = "600/m"
max_in_flight = 1
timeout = "1m"
base_url = "https://example.com:8443/"
prefix = "/api/"
api = "v1"
app_id = "my.app"
customer_id = "me"
customer_secret = { file = "secret.txt" }
admin_secret = { credential = "acme-admin" }
[providers.house]
kind = "meeting-service"
[[meetings]]
id = "inherits"
start = 2026-12-01T09:00:00
[[meetings]]
id = "overrides"
title = "Ünïcode 会议 👩‍💻"
provider = "house"
timezone = "Asia/Tokyo"
start = "2026-12-01 09:30"
duration = "24h"
repeat = "FREQ=DAILY"
except = [2026-12-25, 2026-12-26T09:30:00, "2026-12-27"]
also = [2027-01-01T10:00:00]
create_ahead = "0s"
close_delay = "1m"
extend = { max = "20m" }
on_removed = "finish"
look_every = "1h"
hosts = []
participants = ["b@example.com", { id = "c@example.com", role = "consumer" }]
settings = { mute_on_entry = false, join_before_host = true, password = "pw" }
meeting-service = { c = 1 }
[[meetings.overrides]]
occurrence = 2026-12-02T09:30:00
start = 2026-12-03T10:00:00
duration = "2h"
title = "Other"
[[meetings.overrides]]
occurrence = 2026-12-04T09:30:00
cancel = true
[[meetings]]
id = "never-extended"
cron = "30 9 * * 1-5"
extend = false
"#;

fn everything() -> Config {
    let loaded = load(Path::new("/etc/x/c.toml"), &MemoryFiles::of(&[("/etc/x/c.toml", EVERYTHING)]), now());
    let told = told(&loaded);
    loaded.config.unwrap_or_else(|| panic!("{told}"))
}

#[test]
fn every_key_of_the_daemon_and_the_providers_arrives() {
    let config = everything();
    let daemon = &config.daemon;
    assert_eq!(daemon.state_dir.as_deref(), Some(Path::new("/etc/x/state")));
    assert_eq!(daemon.listen.to_string(), "[::1]:0");
    assert_eq!(daemon.public_url.as_deref(), Some("https://meet.example.com/convened"));
    assert_eq!((daemon.horizon, daemon.history), (TimeDelta::days(60), TimeDelta::weeks(1)));
    assert_eq!((daemon.reload_guard.rooms, daemon.reload_guard.percent), (0, 100));
    assert_eq!(daemon.log, Some(LogFormat::Json));
    let acme = &config.providers["acme"];
    assert_eq!(acme.name, "acme");
    assert_eq!(acme.rate_limit, Some(RateLimit { requests: 600, per: Duration::from_secs(60) }));
    assert_eq!((acme.max_in_flight, acme.timeout), (1, Duration::from_secs(60)));
    let ProviderKind::MeetingService(MeetingServiceConfig::Remote {
        base_url,
        prefix,
        app_id,
        customer,
        admin_secret,
    }) = &acme.kind
    else {
        panic!("{acme:?}");
    };
    assert_eq!(
        (base_url.as_str(), prefix.as_str(), app_id.as_str()),
        ("https://example.com:8443", "/api", "my.app")
    );
    let secret = SecretRef::File("/etc/x/secret.txt".into());
    assert_eq!(customer.as_ref(), Some(&("me".to_owned(), secret)));
    assert_eq!(*admin_secret, SecretRef::Credential("acme-admin".to_owned()));
    let places: Vec<_> =
        config.secrets.iter().map(|secret| (secret.key.as_str(), secret.place.line)).collect();
    assert_eq!(places, [("providers.acme.customer_secret", 36), ("providers.acme.admin_secret", 37)]);
}

#[test]
fn a_meeting_takes_from_the_defaults_what_it_does_not_say() {
    let config = everything();
    let inherits = &config.meetings["inherits"];
    assert_eq!((inherits.provider.as_str(), inherits.series.zone.name()), ("acme", "America/New_York"));
    assert_eq!(inherits.series.duration, TimeDelta::minutes(30));
    assert_eq!(inherits.policy.create_ahead, TimeDelta::minutes(20));
    assert_eq!(inherits.policy.close_delay, TimeDelta::zero());
    let extend = Extend { step: TimeDelta::minutes(5), max: TimeDelta::hours(1), yields: true };
    assert_eq!(inherits.policy.extend, Some(extend));
    assert_eq!(inherits.policy.on_removed, OnRemoved::Close);
    assert_eq!(inherits.policy.look_every, TimeDelta::seconds(10));
    assert_eq!(inherits.hosts, ["default@example.com"]);
    assert_eq!(inherits.participants.len(), 1);
    assert_eq!(inherits.settings.mute_on_entry, Some(true));
    let passthrough = serde_json::Value::Object(inherits.passthrough.clone());
    assert_eq!(passthrough.to_string(), r#"{"a":{"b":[1,2.5,true,"x","2026-12-01"]}}"#);
    assert_eq!(config.meetings["never-extended"].policy.extend, None);
    assert_eq!(config.meetings["never-extended"].series.start, None);
}

#[test]
fn a_meeting_goes_before_the_defaults_key_by_key() {
    let config = everything();
    let meeting = &config.meetings["overrides"];
    assert_eq!(meeting.title, "Ünïcode 会议 👩‍💻");
    assert_eq!((meeting.provider.as_str(), meeting.series.zone.name()), ("house", "Asia/Tokyo"));
    assert_eq!(meeting.series.start, Some(local("2026-12-01T09:30:00")));
    assert_eq!(meeting.series.duration, TimeDelta::hours(24));
    let day = |day| NaiveDate::from_ymd_opt(2026, 12, day).expect("a day");
    let except = [Except::Day(day(25)), Except::At(local("2026-12-26T09:30:00")), Except::Day(day(27))];
    assert_eq!(meeting.series.except, except);
    assert_eq!(meeting.series.also, [local("2027-01-01T10:00:00")]);
    let moved = &meeting.series.overrides[&local("2026-12-02T09:30:00")];
    assert_eq!(moved.start, Some(local("2026-12-03T10:00:00")));
    assert_eq!(
        (moved.duration, moved.title.as_deref(), moved.cancel),
        (Some(TimeDelta::hours(2)), Some("Other"), false)
    );
    assert!(meeting.series.overrides[&local("2026-12-04T09:30:00")].cancel);
    let extend = Extend { step: TimeDelta::minutes(5), max: TimeDelta::minutes(20), yields: true };
    assert_eq!(meeting.policy.extend, Some(extend), "the step is the default's");
    assert_eq!(meeting.policy.on_removed, OnRemoved::Finish);
    assert!(meeting.hosts.is_empty());
    assert_eq!(meeting.participants[1].role, Some(Role::Consumer));
    assert_eq!(meeting.settings.mute_on_entry, Some(false));
    assert_eq!(meeting.settings.recording, Some(Recording::Cloud), "the default's");
    assert_eq!(serde_json::Value::Object(meeting.passthrough.clone()).to_string(), r#"{"c":1}"#);
}

#[test]
fn the_only_provider_is_the_default_one() {
    let text = format!("{MINIMAL}[providers.acme]\nkind = \"meeting-service\"\n");
    assert_eq!(meeting(&text).provider, "acme");
    assert!(!config(&text).providers.contains_key("house"));
}

mod example {
    use super::*;

    #[test]
    fn it_is_valid_without_a_warning_at_any_time() {
        for month in 0..26 {
            let now = at("2026-01-01T00:00:00Z") + TimeDelta::days(28) * month;
            let loaded = load(Path::new("c.toml"), &MemoryFiles::of(&[("c.toml", EXAMPLE)]), now);
            assert_eq!(told(&loaded), "", "at {now}");
            let config = loaded.config.expect("a configuration");
            assert_eq!(config.meetings.len(), 5);
            assert_eq!(config.missing_secrets(&MemoryFiles::default()), []);
        }
    }

    #[test]
    fn it_needs_no_special_rights() {
        assert_eq!(config(EXAMPLE).daemon.state_dir, None);
    }

    #[test]
    fn hello_opens_and_closes_within_its_three_minutes() {
        let config = config(EXAMPLE);
        let hello = &config.meetings["hello"];
        let window = at("2026-11-23T08:00:01Z")..at("2026-11-23T08:06:01Z");
        let instances = hello.series.expand(window, 10).expect("few");
        assert_eq!(instances.len(), 2);
        let opens = instances[1].starts_at - hello.policy.create_ahead;
        let closes = instances[0].ends_at + hello.policy.close_delay;
        assert!(closes < opens, "the room before is closed when the next one is made");
        assert!(hello.policy.extend.is_some());
    }

    /// The comments say what the defaults are: with every commented key at work, nothing changes but what has none.
    #[test]
    fn its_commented_keys_are_real_and_at_their_defaults() {
        let uncommented = EXAMPLE.replace("\n#", "\n").lines().fold(String::new(), |text, line| {
            let is_comment = EXAMPLE.contains(&format!("\n#{line}\n")) && line.starts_with(' ');
            text + if is_comment { "" } else { line } + "\n"
        });
        // What has no default is an example.
        let loaded = load_text(&uncommented);
        let told = told(&loaded);
        let is_meant = |line: &&str| !line.contains("host \"alice@example.com\" leads meetings");
        let warnings = told.lines().filter(|line| line.starts_with("warning:")).filter(is_meant).count();
        let unused = ["acme", "acme-zoom"].map(|name| format!("no meeting uses provider \"{name}\""));
        assert!(unused.iter().all(|unused| told.contains(unused)) && warnings == 2, "{told}");
        let (with, without) = (loaded.config.expect("a configuration"), config(EXAMPLE));
        assert_eq!(with.daemon.listen, without.daemon.listen);
        assert_eq!(
            (with.daemon.horizon, with.daemon.history),
            (without.daemon.horizon, without.daemon.history)
        );
        assert_eq!(with.daemon.reload_guard, without.daemon.reload_guard);
        let (a, b) = (&with.providers["house"], &without.providers["house"]);
        assert_eq!((a.max_in_flight, a.timeout), (b.max_in_flight, b.timeout));
        let (a, b) = (&with.meetings["lunch"].policy, &without.meetings["lunch"].policy);
        assert_eq!((a.create_ahead, a.close_delay), (b.create_ahead, b.close_delay));
        assert_eq!((a.on_removed, a.look_every), (b.on_removed, b.look_every));
        let extend = meeting(&format!("{MINIMAL}extend = true\n")).policy.extend;
        assert_eq!(a.extend, extend);
        assert_eq!(a.warn.text, b.warn.text);
    }

    #[test]
    fn it_explains_every_key() {
        for key in all_keys() {
            let name = key.rsplit('.').next().expect("a name");
            let is_there = EXAMPLE.lines().any(|line| {
                let line = line.trim_start_matches('#');
                line.starts_with(&format!("{name} =")) || line.contains(&format!(" {name} = "))
            });
            let is_table = EXAMPLE.contains(&format!("[{name}]")) || EXAMPLE.contains(&format!("[{name}."));
            let is_tables =
                EXAMPLE.contains(&format!("[[{name}]]")) || EXAMPLE.contains(&format!(".{name}]]"));
            assert!(is_there || is_table || is_tables, "{key} is not in the example");
        }
    }
}

mod fingerprint {
    use super::*;

    #[test]
    fn it_differs_with_every_key_that_matters() {
        let text = format!(
            "{MINIMAL}repeat = \"FREQ=DAILY\"\n[providers.house]\nkind = \"meeting-service\"\n[providers.other]\nkind = \"meeting-service\"\n[defaults]\nprovider = \"house\"\n"
        );
        let base = meeting(&text).fingerprint();
        let mut seen = vec![base];
        for (from, to) in [
            ("id = \"a\"", "id = \"b\""),
            ("id = \"a\"", "id = \"a\"\ntitle = \"x\""),
            ("id = \"a\"", "id = \"a\"\nprovider = \"other\""),
            ("id = \"a\"", "id = \"a\"\ntimezone = \"Europe/Rome\""),
            ("T09:00:00", "T09:00:01"),
            ("\"1h\"", "\"59m\""),
            ("FREQ=DAILY", "FREQ=DAILY;INTERVAL=2"),
            ("repeat = \"FREQ=DAILY\"", ""),
            ("repeat = \"FREQ=DAILY\"", "cron = \"0 9 * * *\""),
            ("id = \"a\"", "id = \"a\"\nexcept = [2026-12-02]"),
            ("id = \"a\"", "id = \"a\"\nexcept = [2026-12-02T09:00:00]"),
            ("id = \"a\"", "id = \"a\"\nalso = [2026-12-02T10:00:00]"),
            (
                "id = \"a\"",
                "id = \"a\"\noverrides = [{ occurrence = 2026-12-02T09:00:00, start = 2026-12-02T10:00:00 }]",
            ),
            (
                "id = \"a\"",
                "id = \"a\"\noverrides = [{ occurrence = 2026-12-02T09:00:00, duration = \"2h\" }]",
            ),
            ("id = \"a\"", "id = \"a\"\noverrides = [{ occurrence = 2026-12-02T09:00:00, title = \"x\" }]"),
            ("id = \"a\"", "id = \"a\"\noverrides = [{ occurrence = 2026-12-02T09:00:00, cancel = true }]"),
            ("id = \"a\"", "id = \"a\"\ncreate_ahead = \"16m\""),
            ("id = \"a\"", "id = \"a\"\nclose_delay = \"6m\""),
            ("id = \"a\"", "id = \"a\"\nextend = true"),
            ("id = \"a\"", "id = \"a\"\nextend = { step = \"11m\" }"),
            ("id = \"a\"", "id = \"a\"\nextend = { max = \"2h\" }"),
            ("id = \"a\"", "id = \"a\"\non_removed = \"close\""),
            ("id = \"a\"", "id = \"a\"\nextend = { yields = false }"),
            ("id = \"a\"", "id = \"a\"\nlook_every = \"6m\""),
            ("id = \"a\"", "id = \"a\"\nno_show = \"20m\""),
            ("id = \"a\"", "id = \"a\"\nwarn = [\"5m\"]"),
            ("id = \"a\"", "id = \"a\"\nwarn_text = \"x\""),
            ("id = \"a\"", "id = \"a\"\nhosts = [\"x\"]"),
            ("id = \"a\"", "id = \"a\"\nparticipants = [\"x\"]"),
            ("id = \"a\"", "id = \"a\"\nparticipants = [{ id = \"x\", role = \"attendee\" }]"),
            ("id = \"a\"", "id = \"a\"\nsettings = { mute_on_entry = true }"),
            ("id = \"a\"", "id = \"a\"\nsettings = { mute_on_entry = false }"),
            ("id = \"a\"", "id = \"a\"\nsettings = { join_before_host = true }"),
            ("id = \"a\"", "id = \"a\"\nsettings = { recording = \"cloud\" }"),
            ("id = \"a\"", "id = \"a\"\nsettings = { password = \"x\" }"),
            ("id = \"a\"", "id = \"a\"\nmeeting-service = { x = 1 }"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            let fingerprint = meeting(&changed).fingerprint();
            assert!(!seen.contains(&fingerprint), "{to}");
            seen.push(fingerprint);
        }
    }

    #[test]
    fn it_does_not_depend_on_order_place_or_how_a_value_is_written() {
        let a = "timezone = \"UTC\"\n[[meetings]]\nid = \"a\"\nstart = 2026-12-01T09:00:00\nduration = \"1h\"\nrepeat = \"FREQ=DAILY\"\nexcept = [2026-12-25, 2026-12-26]\nalso = [2026-12-01T10:00:00, 2026-12-01T11:00:00]\nmeeting-service = { a = 1, b = { c = 1, d = 2 } }\n";
        let b = "# moved\n[defaults]\nduration = \"60m\"\ntimezone = \"UTC\"\nclose_delay = \"300s\"\n\n[[meetings]]\nmeeting-service = { b = { d = 2, c = 1 }, a = 1 }\nalso = [2026-12-01T11:00:00, 2026-12-01T10:00:00]\nexcept = [\"2026-12-26\", 2026-12-25, 2026-12-25]\ntitle = \"a\"\nzoom = { x = 1 }\nrepeat = \"FREQ=DAILY\"\nstart = \"2026-12-01 09:00\"\nid = \"a\"\n";
        assert_eq!(meeting(a).fingerprint(), meeting(b).fingerprint());
        assert_ne!(meeting(a).location, meeting(b).location);
    }

    /// Stored by every installation: a change of this number makes each meeting look changed once.
    #[test]
    fn it_is_the_same_in_every_release() {
        let hex =
            meeting(MINIMAL).fingerprint().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert_eq!(hex, "df108de41d20e1c7e53ab6db19ce4ed952e19c3640d10a853c06a1cce538543f");
    }
}

mod includes {
    use super::*;

    const MEETING: &str = "[[meetings]]\nid = \"b\"\nstart = 2026-12-01T09:00:00\nduration = \"1h\"\n";

    fn first_line(loaded: &Loaded) -> String {
        told(loaded).lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn included_files_add_meetings_and_providers_and_share_the_defaults() {
        let loaded = load_files(&[
            (
                "/etc/c.toml",
                "timezone = \"Asia/Tokyo\"\ninclude = [\"d/*.toml\", \"more.toml\"]\n[defaults]\nprovider = \"x\"\nduration = \"2h\"\n",
            ),
            ("/etc/d/2.toml", "[providers.x]\nkind = \"meeting-service\"\n"),
            ("/etc/d/1.toml", "[[meetings]]\nid = \"a\"\nstart = 2026-12-01T09:00:00\n"),
            ("/etc/d/.#1.toml", "an editor's lock"),
            ("/etc/d/1.toml~", "an editor's copy"),
            ("/etc/more.toml", MEETING),
        ]);
        assert_eq!(told(&loaded), "");
        let names = ["/etc/c.toml", "/etc/d/1.toml", "/etc/d/2.toml", "/etc/more.toml"];
        assert_eq!(loaded.sources, names.map(PathBuf::from));
        assert_eq!(loaded.patterns, ["/etc/d/*.toml", "/etc/more.toml"]);
        let config = loaded.config.expect("a configuration");
        assert_eq!(config.meetings["a"].series.zone.name(), "Asia/Tokyo");
        assert_eq!(config.meetings["a"].series.duration, TimeDelta::hours(2));
        assert_eq!(config.meetings["b"].series.duration, TimeDelta::hours(1));
        assert_eq!(config.meetings["a"].location, "/etc/d/1.toml:1:1");
    }

    #[test]
    fn problems_of_all_files_come_in_their_order() {
        let loaded = load_files(&[
            ("c.toml", "include = [\"d/*.toml\"]\ntimezone = \"UTC\"\nx = 1\n"),
            ("d/1.toml", "y = 1\n[[meetings]]\nid = \"a\"\nz = 1\n"),
            ("d/2.toml", "oops\n[[meetings]]\nw = 1\n"),
        ]);
        let places: Vec<_> = loaded.diagnostics.iter().map(Diagnostic::location).collect();
        let expected = [
            "c.toml:3:1",
            "d/1.toml:1:1",
            "d/1.toml:2:1",
            "d/1.toml:2:1",
            "d/1.toml:4:1",
            "d/2.toml:1:5",
            "d/2.toml:3:1",
        ];
        assert_eq!(places, expected, "{}", told(&loaded));
    }

    #[test]
    fn the_same_meeting_in_two_files_names_both() {
        let text = format!("include = [\"d.toml\"]\ntimezone = \"UTC\"\n{MEETING}");
        let loaded = load_files(&[("c.toml", &text), ("d.toml", MEETING)]);
        assert_eq!(first_line(&loaded), "error: d.toml:2:6: meeting \"b\" is already defined at c.toml:4:6");
    }

    #[test]
    fn the_same_provider_in_two_files_names_both() {
        let provider = "[providers.x]\nkind = \"meeting-service\"\n";
        let text = format!("include = [\"d.toml\"]\n{provider}");
        let loaded = load_files(&[("c.toml", &text), ("d.toml", provider)]);
        assert_eq!(
            first_line(&loaded),
            "error: d.toml:1:12: provider \"x\" is already defined at c.toml:2:12"
        );
    }

    #[test]
    fn what_belongs_in_the_first_file_is_refused_elsewhere() {
        let loaded =
            load_files(&[("c.toml", "include = [\"d.toml\"]\n"), ("d.toml", "timezone = \"UTC\"\n")]);
        assert_eq!(
            told(&loaded),
            "error: d.toml:1:12: `timezone` belongs in the first file\n1 | timezone = \"UTC\"\n  |            ^^^^^\n  \
             = help: an included file holds `meetings`, `providers` and `include`; move this to \"c.toml\""
        );
    }

    #[test]
    fn a_name_must_be_there_and_a_pattern_need_not() {
        let loaded = load_files(&[("c.toml", "include = [\"d/*.toml\"]\n")]);
        assert!(!has_error(&loaded));
        let loaded = load_files(&[("c.toml", "include = [\n  \"d.toml\" ]\n")]);
        assert_eq!(first_line(&loaded), "error: c.toml:2:3: there is no file \"d.toml\"");
        assert_eq!(loaded.sources, ["c.toml", "d.toml"].map(PathBuf::from), "the watcher waits for it");
    }

    #[test]
    fn a_circle_names_its_chain() {
        let loaded = load_files(&[
            ("c.toml", "include = [\"d/1.toml\"]\n"),
            ("d/1.toml", "include = [\"2.toml\"]\n"),
            ("d/2.toml", "include = [\"../d/./1.toml\"]\n"),
        ]);
        assert_eq!(
            first_line(&loaded),
            "error: d/2.toml:1:12: a file includes itself: d/1.toml → d/2.toml → d/../d/./1.toml"
        );
    }

    #[test]
    fn a_file_that_two_patterns_name_is_read_once() {
        let loaded = load_files(&[
            ("c.toml", "timezone = \"UTC\"\ninclude = [\"d.toml\", \"d*.toml\"]\n"),
            ("d.toml", MEETING),
        ]);
        assert_eq!(told(&loaded), "");
    }

    #[test]
    fn files_include_files_four_deep() {
        let names: Vec<String> = (0..7).map(|i| format!("{i}.toml")).collect();
        let texts: Vec<String> = (0..7).map(|i| format!("include = [\"{}.toml\"]\n", i + 1)).collect();
        let files: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
        let loaded = load_files(&files);
        assert_eq!(
            first_line(&loaded),
            "error: 4.toml:1:11: files include files more than 4 deep: 0.toml → 1.toml → 2.toml → 3.toml → 4.toml"
        );
    }

    #[test]
    fn a_folder_with_the_marks_of_a_pattern_in_its_name_is_fine() {
        let loaded = load_files(&[
            ("/a[b]*/c.toml", "timezone = \"UTC\"\ninclude = [\"d/*.toml\"]\n"),
            ("/a[b]*/d/x.toml", MEETING),
        ]);
        assert_eq!(told(&loaded), "");
        assert_eq!(loaded.patterns, ["/a[[]b[]][*]/d/*.toml"]);
    }

    #[test]
    fn a_malformed_pattern_is_told() {
        let loaded = load_files(&[("c.toml", "include = [\"d/***.toml\", \"\", 5]\n")]);
        let told = told(&loaded);
        assert!(told.contains("c.toml:1:12: cannot list \"d/***.toml\": "), "{told}");
        assert!(told.contains("c.toml:1:26: `include` needs a file name or a pattern"), "{told}");
        assert!(told.contains("c.toml:1:30: `include` must be a string, not an integer"), "{told}");
    }

    #[test]
    fn a_missing_first_file_says_how_to_name_another() {
        let loaded = load(Path::new("/etc/c.toml"), &MemoryFiles::default(), now());
        assert_eq!(
            told(&loaded),
            "error: /etc/c.toml: there is no such file\n = help: name another file with --config or CONVENED_CONFIG"
        );
        assert_eq!(loaded.sources, [PathBuf::from("/etc/c.toml")]);
        assert!(loaded.config.is_none());
    }

    #[test]
    fn a_file_without_permission_is_an_error() {
        let mut files = MemoryFiles::default();
        files.0.insert("c.toml".into(), Err(io::ErrorKind::PermissionDenied));
        let loaded = load(Path::new("c.toml"), &files, now());
        assert_eq!(first_line(&loaded), "error: c.toml: no permission to read \"c.toml\"");
    }

    #[test]
    fn the_digest_tells_any_change_of_any_file() {
        let digest = |files: &[(&str, &str)]| load_files(files).digest;
        let first = ("c.toml", "include = [\"d/*.toml\"]\n");
        let base = digest(&[first, ("d/1.toml", "ab"), ("d/2.toml", "c")]);
        assert_eq!(base, digest(&[first, ("d/1.toml", "ab"), ("d/2.toml", "c")]));
        for other in [
            digest(&[first, ("d/1.toml", "a"), ("d/2.toml", "bc")]),
            digest(&[first, ("d/1.toml", "ab"), ("d/3.toml", "c")]),
            digest(&[first, ("d/1.toml", "ab")]),
            digest(&[("c.toml", "include = [\"d/*.toml\"]\n\n"), ("d/1.toml", "ab"), ("d/2.toml", "c")]),
        ] {
            assert_ne!(base, other);
        }
    }
}

mod secrets {
    use super::*;

    fn files(content: &str) -> MemoryFiles {
        MemoryFiles::of(&[("/run/secret", content)])
    }

    fn resolve(content: &str) -> Result<String, String> {
        SecretRef::File("/run/secret".into())
            .resolve(&files(content))
            .map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn one_line_break_at_the_end_is_dropped() {
        assert_eq!(resolve("hunter2").as_deref(), Ok("hunter2"));
        assert_eq!(resolve("hunter2\n").as_deref(), Ok("hunter2"));
        assert_eq!(resolve("hunter2\r\n").as_deref(), Ok("hunter2"));
        assert_eq!(resolve(" hunter2 \n\n").as_deref(), Ok(" hunter2 \n"));
    }

    #[test]
    fn an_empty_or_missing_secret_is_told_with_its_place() {
        assert_eq!(resolve("\n"), Err("file \"/run/secret\" is empty".to_owned()));
        let missing = SecretRef::File("/run/other".into()).resolve(&files(""));
        assert_eq!(missing.map(drop), Err("there is no file \"/run/other\"".to_owned()));
        let missing = SecretRef::Env("CONVENED_TEST_THAT_IS_NOT_SET".to_owned()).resolve(&files(""));
        let told = "environment variable \"CONVENED_TEST_THAT_IS_NOT_SET\" is not set";
        assert_eq!(missing.map(drop), Err(told.to_owned()));
        let missing = SecretRef::Credential("x".to_owned()).resolve(&files("")).map(drop);
        let told = missing.expect_err("there is no such credential");
        assert!(told.contains("LoadCredential=x:PATH"), "{told}");
    }

    #[test]
    fn a_variable_is_read() {
        // Every process of a test run has this one.
        let path = std::env::var("PATH").expect("a variable");
        let secret = SecretRef::Env("PATH".to_owned()).resolve(&files("")).expect("it is set");
        assert_eq!(secret.expose_secret(), path);
        assert!(!format!("{secret:?}").contains(&path));
    }

    #[test]
    fn a_secret_that_is_not_text_is_not_shown() {
        let mut files = MemoryFiles::default();
        files.0.insert("/run/secret".into(), Ok(b"hunter2\xff".to_vec()));
        let told = SecretRef::File("/run/secret".into()).resolve(&files).map(drop);
        assert_eq!(told, Err("file \"/run/secret\" is not UTF-8".to_owned()));
    }

    #[test]
    fn missing_secrets_are_told_where_they_are_named() {
        let text = format!(
            "{MINIMAL}[providers.x]\nkind = \"meeting-service\"\nbase_url = \"https://example.com\"\ncustomer_id = \"me\"\n\
             customer_secret = {{ credential = \"c\" }}\nadmin_secret = {{ file = \"/run/secret\" }}\n"
        );
        let config = config(&text);
        let missing = config.missing_secrets(&MemoryFiles::default());
        assert_eq!(missing.len(), 2, "{missing:?}");
        assert_eq!(
            (missing[0].severity, missing[0].line),
            (Severity::Warning, 10),
            "only a unit has credentials"
        );
        assert_eq!(
            missing[1].to_string(),
            "error: c.toml:11:16: `providers.x.admin_secret`: there is no file \"/run/secret\"\n\
             11 | admin_secret = { file = \"/run/secret\" }\n   |                ^^^^^^^^^^^^^^^^^^^^^^^^"
        );
        assert_eq!(config.missing_secrets(&files("x")).len(), 1);
    }
}

#[test]
fn a_summary_is_one_line() {
    let loaded = load_text("tiemzone = \"UTC\"\n");
    assert_eq!(
        loaded.diagnostics[0].summary(),
        "c.toml:1:1: unknown key \"tiemzone\" (did you mean `timezone`?)"
    );
}

#[test]
fn a_finding_of_the_schedule_points_at_its_key() {
    let text = format!("{MINIMAL}repeat = \"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31\"\n");
    let loaded = load_text(&text);
    let first = &loaded.diagnostics[0];
    assert_eq!((first.severity, first.line, first.column), (Severity::Error, 6, 10), "{}", told(&loaded));
    let text = format!("{MINIMAL}repeat = \"FREQ=DAILY\"\nexcept = [2026-12-25, 2000-01-01]\n");
    let loaded = load_text(&text);
    let first = &loaded.diagnostics[0];
    assert_eq!((first.severity, first.line, first.column), (Severity::Warning, 7, 23), "{}", told(&loaded));
}

#[test]
fn a_change_of_the_clocks_is_told_once_for_each_key() {
    let text = "timezone = \"Europe/Paris\"\n[daemon]\nhorizon = \"400d\"\n[[meetings]]\nid = \"a\"\nstart = 2026-01-01T02:30:00\n\
                duration = \"1h\"\nrepeat = \"FREQ=DAILY\"\n";
    assert_eq!(
        told(&load_text(text)),
        "warning: c.toml:6:9: 2027-03-28T02:30:00 does not exist in Europe/Paris (the clocks go forward): \
         it takes place at 2027-03-28T03:30:00\n6 | start = 2026-01-01T02:30:00\n  |         ^^^^^^^^^^^^^^^^^^^\n  \
         = help: and so do 1 more at least, up to the horizon"
    );
}

#[test]
fn a_series_that_is_over_is_a_warning() {
    let loaded =
        load(Path::new("c.toml"), &MemoryFiles::of(&[("c.toml", MINIMAL)]), at("2027-01-01T00:00:00Z"));
    let first = &loaded.diagnostics[0];
    assert_eq!(
        (first.severity, first.location().as_str()),
        (Severity::Warning, "c.toml:2:1"),
        "{}",
        told(&loaded)
    );
    assert!(loaded.config.is_some());
}

#[test]
fn a_cron_pattern_may_stand_under_repeat_too() {
    let series = |rule: &str| {
        let text = format!("timezone = \"UTC\"\n[[meetings]]\nid = \"m\"\nduration = \"1h\"\n{rule}\n");
        config(&text).meetings["m"].series.clone()
    };
    assert_eq!(series("repeat = \"30 9 * * 1-5\""), series("cron = \"30 9 * * 1-5\""));
}
