//! What is told of a wrong file: the exact text, case by case.
//!
//! Read it as a person who has just made that mistake: it should say where, what, and what would be right.

mod config_support;

use config_support::{load_text, told};

/// Loads `text`, and compares what is told with `expected`.
#[track_caller]
fn tells(text: &str, expected: &str) {
    let loaded = load_text(text);
    let told = told(&loaded);
    assert!(told == expected, "told:\n{told}\n\nexpected:\n{expected}");
    let is_error = expected.contains("error: ");
    assert_eq!(
        loaded.config.is_none(),
        is_error,
        "a configuration is there exactly when nothing is an error"
    );
    assert!(!told.contains("hunter"), "a secret is shown");
    assert!(!told.contains(|c: char| c.is_control() && c != '\n'), "a control character is shown");
}

/// Lines of a meeting, the first of them line 6.
#[track_caller]
fn meeting_tells(lines: &str, expected: &str) {
    let head =
        "timezone = \"UTC\"\n[[meetings]]\nid = \"a\"\nstart = 2026-12-01T09:00:00\nduration = \"1h\"\n";
    tells(&format!("{head}{lines}\n"), expected);
}

/// Lines of a provider, the first of them line 2.
#[track_caller]
fn provider_tells(lines: &str, expected: &str) {
    tells(&format!("[providers.a]\n{lines}\n"), expected);
}

#[test]
fn empty() {
    tells(
        r#""#,
        r#"warning: c.toml: there are no meetings
 = help: add one with [[meetings]]"#,
    );
}

#[test]
fn only_comments() {
    tells(
        r#"# nothing"#,
        r#"warning: c.toml: there are no meetings
 = help: add one with [[meetings]]"#,
    );
}

#[test]
fn unknown_top_level_key() {
    tells(
        r#"timezon = "UTC"
[[meetings]]
id = "a"
start = 2026-12-01T09:00:00
duration = "1h""#,
        r#"error: c.toml:1:1: unknown key "timezon"
1 | timezon = "UTC"
  | ^^^^^^^
  = help: did you mean `timezone`?
warning: c.toml:2:1: no `timezone` is named: its times are taken as UTC
2 | [[meetings]]
  | ^^^^^^^^^^^^
  = help: write timezone = "Europe/Paris" at the top of the first file, for all meetings"#,
    );
}

#[test]
fn no_timezone() {
    tells(
        r#"[[meetings]]
id = "a"
start = 2026-12-01T09:00:00
duration = "1h""#,
        r#"warning: c.toml:1:1: no `timezone` is named: its times are taken as UTC
1 | [[meetings]]
  | ^^^^^^^^^^^^
  = help: write timezone = "Europe/Paris" at the top of the first file, for all meetings"#,
    );
}

#[test]
fn meetings_with_one_bracket() {
    tells(
        r#"[meetings]
id = "a""#,
        r#"error: c.toml:1:1: `meetings` must be a list of tables, not a table
1 | [meetings]
  | ^^^^^^^^^^
  = help: write for example [[meetings]], with two brackets on each side"#,
    );
}

#[test]
fn unknown_timezone_by_city() {
    tells(
        r#"timezone = "tokio""#,
        r#"error: c.toml:1:12: unknown timezone "tokio"
1 | timezone = "tokio"
  |            ^^^^^^^
  = help: did you mean "Asia/Tokyo"?"#,
    );
}

#[test]
fn unknown_timezone_abbreviation() {
    tells(
        r#"timezone = "CEST""#,
        r#"error: c.toml:1:12: unknown timezone "CEST"
1 | timezone = "CEST"
  |            ^^^^^^
  = help: did you mean "CET"?"#,
    );
}

#[test]
fn daemon() {
    tells(
        r#"[daemon]
state_dir = ""
listen = "localhost:8686"
public_url = "example.com"
horizon = 30
history = "1h"
reload_guard = { room = 5, percent = 150 }
log = "jsn""#,
        r#"error: c.toml:2:13: `state_dir` must be a path
2 | state_dir = ""
  |             ^^
error: c.toml:3:10: `listen` is not an address: "localhost:8686"
3 | listen = "localhost:8686"
  |          ^^^^^^^^^^^^^^^^
  = help: write an IP address and a port, for example listen = "127.0.0.1:8686"
error: c.toml:4:14: `public_url` must begin with https:// or http://
4 | public_url = "example.com"
  |              ^^^^^^^^^^^^^
  = help: write for example public_url = "https://meet.example.com"
error: c.toml:5:11: `horizon` must be a duration in quotes, not an integer
5 | horizon = 30
  |           ^^
  = help: a duration has a unit: write for example horizon = "30d"
error: c.toml:6:11: `history` is out of bounds: 1h
6 | history = "1h"
  |           ^^^^
  = help: it can be 1d to 3650d
error: c.toml:7:18: unknown key "room"
7 | reload_guard = { room = 5, percent = 150 }
  |                  ^^^^
  = help: did you mean `rooms`?
error: c.toml:7:38: `percent` is out of bounds: 150
7 | reload_guard = { room = 5, percent = 150 }
  |                                      ^^^
  = help: it can be 0 to 100
error: c.toml:8:7: `log` cannot be "jsn"
8 | log = "jsn"
  |       ^^^^^
  = help: did you mean "json"?"#,
    );
}

#[test]
fn daemon_is_not_a_table() {
    tells(
        r#"daemon = 5"#,
        r#"error: c.toml:1:10: `daemon` must be a table, not an integer
1 | daemon = 5
  |          ^
  = help: write for example [daemon]"#,
    );
}

#[test]
fn defaults_have_no_id() {
    tells(
        r#"[defaults]
id = "a"
zooom = {}"#,
        "error: c.toml:2:1: unknown key \"id\"\n2 | id = \"a\"\n  | ^^\n  = help: the keys are `provider`, `timezone`, `duration`, `create_ahead`, `close_delay`, `extend`, `on_removed`, `look_every`, `no_show`, `warn`, `warn_text`, `hosts`, `participants`, `settings`, `meeting-service`, `zoom`, `azure-rooms`, `agora-conference`, `vonage-meetings`, `vonage-video`\nerror: c.toml:3:1: unknown key \"zooom\"\n3 | zooom = {}\n  | ^^^^^\n  = help: did you mean `zoom`?",
    );
}

#[test]
fn defaults_extend() {
    tells(
        r#"[defaults]
extend = { step = "2h" }"#,
        r#"error: c.toml:2:10: `extend.max` is less than `extend.step`: 1h and 2h
2 | extend = { step = "2h" }
  |          ^^^^^^^^^^^^^^^
  = help: `max`, 1h by default, is how far the end moves in all"#,
    );
}

#[test]
fn several_providers_and_none_named() {
    tells(
        r#"timezone = "UTC"
[providers.a]
kind = "meeting-service"
[providers.b]
kind = "meeting-service"
[[meetings]]
id = "a"
start = 2026-12-01T09:00:00
duration = "1h""#,
        r#"error: c.toml:6:1: `provider` is missing, and there are several
6 | [[meetings]]
  | ^^^^^^^^^^^^
  = help: name one of "a", "b", here or in [defaults]"#,
    );
}

#[test]
fn unused_provider() {
    tells(
        r#"timezone = "UTC"
[providers.a]
kind = "meeting-service"
[providers.b]
kind = "meeting-service"
[defaults]
provider = "a"
[[meetings]]
id = "a"
start = 2026-12-01T09:00:00
duration = "1h""#,
        r#"warning: c.toml:4:12: no meeting uses provider "b"
4 | [providers.b]
  |            ^"#,
    );
}

#[test]
fn horizon_shorter_than_create_ahead() {
    tells(
        r#"timezone = "UTC"
[daemon]
horizon = "1h"
[defaults]
create_ahead = "2h"
[[meetings]]
id = "a"
start = 2026-12-01T09:00:00
duration = "1h"
[[meetings]]
id = "b"
start = 2026-12-01T09:00:00
duration = "1h"
[[meetings]]
id = "c"
start = 2026-12-01T09:00:00
duration = "1h"
create_ahead = "3h""#,
        r#"warning: c.toml:5:16: `create_ahead` is longer than the horizon: 2h and 1h
5 | create_ahead = "2h"
  |                ^^^^
  = help: rooms are created when their occurrence comes within `daemon.horizon`: make that longer
warning: c.toml:18:16: `create_ahead` is longer than the horizon: 3h and 1h
18 | create_ahead = "3h"
   |                ^^^^
   = help: rooms are created when their occurrence comes within `daemon.horizon`: make that longer"#,
    );
}

#[test]
fn syntax_and_meaning() {
    tells(
        r#"timezone = Europe/Paris
[daemon]
listen = "127.0.0.1:1"
[[meetings]]
id = "a
start = 2026-13-23T09:30:00
duration =
oops
[[meetings]]
id = "b"
title = "c" start = 2026-11-23T09:30:00
id = "d"
tilte = "x""#,
        r#"error: c.toml:1:12: a value is missing, or it is text without quotes
1 | timezone = Europe/Paris
  |            ^^^^^^^^^^^^
  = help: write text in quotes: key = "text"
error: c.toml:5:8: the string is not closed
5 | id = "a
  |        ^
error: c.toml:6:9: invalid date, expected month between 01 and 12
6 | start = 2026-13-23T09:30:00
  |         ^^^^^^^^^^^^^^^^^^^
error: c.toml:7:11: a value is missing, or it is text without quotes
7 | duration =
  |           ^
  = help: write text in quotes: key = "text"
error: c.toml:8:5: there is no `=` after the key
8 | oops
  |     ^
  = help: write key = value
error: c.toml:11:13: unexpected key or value, expected newline, `#`
11 | title = "c" start = 2026-11-23T09:30:00
   |             ^
error: c.toml:12:1: this is set twice in the same table
12 | id = "d"
   | ^^
error: c.toml:13:1: unknown key "tilte"
13 | tilte = "x"
   | ^^^^^
   = help: did you mean `title`?"#,
    );
}

#[test]
fn a_header_that_is_never_closed() {
    tells(
        r#"[daemon]
horizn = "1d"
[[meetings]
id = "a"
tilte = "x""#,
        r#"error: c.toml:2:1: unknown key "horizn"
2 | horizn = "1d"
  | ^^^^^^
  = help: did you mean `horizon`?
error: c.toml:3:12: unclosed array table, expected `]`
3 | [[meetings]
  |            ^"#,
    );
}

#[test]
fn an_array_that_is_never_closed() {
    tells(
        r#"[[meetings]]
id = "a"
except = [2026-12-25
duration = "1h"
[[meetings]]
id = "b""#,
        r#"error: c.toml:4:1: there is no `,` between the entries of a list, or no `]` at its end
4 | duration = "1h"
  | ^"#,
    );
}

#[test]
fn a_secret_on_a_line_that_is_not_toml() {
    tells(
        r#"[providers.a]
admin_secret: "hunter2""#,
        r#"error: c.toml:2:13: invalid unquoted key, expected letters, numbers, `-`, `_`
2 | admin_secret: ***
  |             ^"#,
    );
}

#[test]
fn a_secret_in_a_string_that_never_ends() {
    tells(
        r#"[providers.a]
admin_secret = "hunter2"#,
        r#"error: c.toml:2:24: the string is not closed
2 | admin_secret = ***
  |                   ^"#,
    );
}

#[test]
fn start_in_quotes_and_minutes() {
    tells(
        r#"timezone = "UTC"
[[meetings]]
id = "a"
duration = "1h"
start = "2026-12-01 09:00"
[[meetings]]
id = "b"
duration = "1h"
start = 2026-12-01T09:00"#,
        r#""#,
    );
}

#[test]
fn nul() {
    tells(
        "timezone = \"U\u{0}C\"",
        r#"error: c.toml:1:14: a control character cannot stand in a string
1 | timezone = "U\u{0}C"
  |              ^^^^^
  = help: write it as an escape, such as "\u0000""#,
    );
}

#[test]
fn control_characters() {
    tells(
        "\"\u{1b}[31mred\" = 1\nid = \"\\u001b[31m\"",
        r#"error: c.toml:1:2: a control character cannot stand in a string
1 | "\u{1b}[31mred" = 1
  |  ^^^^^^
  = help: write it as an escape, such as "\u0000"
error: c.toml:2:1: unknown key "id"
2 | id = "\u001b[31m"
  | ^^
  = help: the keys are `timezone`, `include`, `daemon`, `defaults`, `providers`, `meetings`"#,
    );
}

#[test]
fn no_kind() {
    provider_tells(
        r#"base_url = "https://example.com""#,
        r#"error: c.toml:1:1: `kind` is missing
1 | [providers.a]
  | ^^^^^^^^^^^^^
  = help: write for example kind = "meeting-service""#,
    );
}

#[test]
fn misspelt_kind() {
    provider_tells(
        r#"kind = "meeting-servise""#,
        r#"error: c.toml:2:8: unknown kind "meeting-servise"
2 | kind = "meeting-servise"
  |        ^^^^^^^^^^^^^^^^^
  = help: did you mean "meeting-service"?"#,
    );
}

#[test]
fn unknown_kind() {
    provider_tells(
        r#"kind = "teams""#,
        r#"error: c.toml:2:8: unknown kind "teams"
2 | kind = "teams"
  |        ^^^^^^^
  = help: this version supports "meeting-service" and "zoom""#,
    );
}

#[test]
fn unsupported_kind() {
    provider_tells(
        r#"kind = "azure-rooms"
access_key = "hunter2""#,
        r#"error: c.toml:2:8: kind "azure-rooms" is not supported by this version
2 | kind = "azure-rooms"
  |        ^^^^^^^^^^^^^
  = help: this version supports "meeting-service" and "zoom""#,
    );
}

#[test]
fn kind_is_no_string() {
    provider_tells(
        r#"kind = 5"#,
        r#"error: c.toml:2:8: `kind` must be a string, not an integer
2 | kind = 5
  |        ^
  = help: write for example kind = "meeting-service""#,
    );
}

#[test]
fn built_in_with_keys_of_a_remote() {
    provider_tells(
        r#"kind = "meeting-service"
prefix = "/x"
admin_secret = { env = "X" }"#,
        r#"error: c.toml:3:10: `prefix` has no meaning for the built-in meeting service
3 | prefix = "/x"
  |          ^^^^
  = help: add `base_url` if the service runs elsewhere, else leave this out
error: c.toml:4:16: `admin_secret` has no meaning for the built-in meeting service
4 | admin_secret = { env = "X" }
  |                ^^^^^^^^^^^^^
  = help: add `base_url` if the service runs elsewhere, else leave this out"#,
    );
}

#[test]
fn remote() {
    provider_tells(
        r#"kind = "meeting-service"
base_url = "http://example.com/api?x"
prefix = "scenario"
api = "v2"
app_id = "a/b"
customer_secret = "hunter2"
rate_limit = "10/d"
max_in_flight = 0
timeout = "10m"
user = "x""#,
        "error: c.toml:1:1: `customer_id` is missing\n1 | [providers.a]\n  | ^^^^^^^^^^^^^\n  = help: write for example customer_id = \"…\"\nerror: c.toml:1:1: `admin_secret` is missing\n1 | [providers.a]\n  | ^^^^^^^^^^^^^\n  = help: write for example admin_secret = { credential = \"name\" }\nerror: c.toml:3:12: `base_url` must not have a query\n3 | base_url = \"http://example.com/api?x\"\n  |            ^^^^^^^^^^^^^^^^^^^^^^^^^^\n  = help: write for example base_url = \"https://meetings.example.com\"\nerror: c.toml:4:10: `prefix` is not a path: \"scenario\"\n4 | prefix = \"scenario\"\n  |          ^^^^^^^^^^\n  = help: it begins with / and has letters, digits and - . _ ~ /, for example prefix = \"/scenario/meeting\"\nerror: c.toml:5:7: `api` \"v2\" is not supported by this version\n5 | api = \"v2\"\n  |       ^^^^\n  = help: write api = \"v1\"\nerror: c.toml:6:10: `app_id` cannot be \"a/b\"\n6 | app_id = \"a/b\"\n  |          ^^^^^\n  = help: it can have 1 to 64 letters, digits, `.`, `_` and `-`\nerror: c.toml:7:19: `customer_secret` is a secret: it is named here, not written here\n7 | customer_secret = ***\n  |                   ^^^\n  = help: write customer_secret = { file = \"/path/of/the/secret\" }, { env = \"NAME\" } or { credential = \"name\" }\nerror: c.toml:8:14: `rate_limit` is not a rate: \"10/d\"\n8 | rate_limit = \"10/d\"\n  |              ^^^^^^\n  = help: write 1 to 100000 requests per s, m or h, for example rate_limit = \"10/s\"\nerror: c.toml:9:17: `max_in_flight` is out of bounds: 0\n9 | max_in_flight = 0\n  |                 ^\n  = help: it can be 1 to 1024\nerror: c.toml:10:11: `timeout` is out of bounds: 10m\n10 | timeout = \"10m\"\n   |           ^^^^^\n   = help: it can be 1s to 5m\nerror: c.toml:11:1: unknown key \"user\"\n11 | user = \"x\"\n   | ^^^^\n   = help: the keys are `kind`, `rate_limit`, `max_in_flight`, `timeout`, `base_url`, `prefix`, `api`, `app_id`, `customer_id`, `customer_secret`, `admin_secret`",
    );
}

#[test]
fn base_url_with_path() {
    provider_tells(
        r#"kind = "meeting-service"
base_url = "https://example.com/api/"
admin_secret = { env = "X" }"#,
        r#"error: c.toml:3:12: `base_url` must not have a path
3 | base_url = "https://example.com/api/"
  |            ^^^^^^^^^^^^^^^^^^^^^^^^^^
  = help: write prefix = "/api""#,
    );
}

#[test]
fn base_url_with_password() {
    provider_tells(
        r#"kind = "meeting-service"
base_url = "https://me:hunter2@example.com"
admin_secret = { env = "X" }"#,
        r#"error: c.toml:3:12: `base_url` must not hold a user name or password
3 | base_url = ***
  |            ^^^
  = help: write for example base_url = "https://meetings.example.com""#,
    );
}

#[test]
fn base_url_in_the_open() {
    provider_tells(
        r#"kind = "meeting-service"
base_url = "http://example.com"
admin_secret = { env = "X" }"#,
        r#"warning: c.toml: there are no meetings
 = help: add one with [[meetings]]
warning: c.toml:3:12: `base_url` is not encrypted: secrets and links can be read on the way
3 | base_url = "http://example.com"
  |            ^^^^^^^^^^^^^^^^^^^^
  = help: use https, or make sure that nobody else is on that network"#,
    );
}

#[test]
fn remote_without_secret() {
    provider_tells(
        r#"kind = "meeting-service"
base_url = "https://example.com"
customer_id = "x""#,
        r#"error: c.toml:1:1: `customer_secret` is missing
1 | [providers.a]
  | ^^^^^^^^^^^^^
  = help: write for example customer_secret = { credential = "name" }
error: c.toml:1:1: `admin_secret` is missing
1 | [providers.a]
  | ^^^^^^^^^^^^^
  = help: write for example admin_secret = { credential = "name" }"#,
    );
}

#[test]
fn inline_secret() {
    provider_tells(
        r#"kind = "meeting-service"
base_url = "https://example.com"
admin_secret = "hunter2""#,
        r#"error: c.toml:4:16: `admin_secret` is a secret: it is named here, not written here
4 | admin_secret = ***
  |                ^^^
  = help: write admin_secret = { file = "/path/of/the/secret" }, { env = "NAME" } or { credential = "name" }"#,
    );
}

#[test]
fn a_secret_under_a_misspelt_key_is_not_shown() {
    for key in ["admin_secrt", "admn_secret", "sercet", "passwort", "Tokn"] {
        let provider = format!(
            "timezone = \"UTC\"\n[providers.a]\nkind = \"meeting-service\"\nbase_url = \"https://example.com\"\n\
             {key} = \"hunter2\"\n"
        );
        let settings = format!(
            "timezone = \"UTC\"\n[[meetings]]\nid = \"m\"\nstart = 2026-12-01T09:00:00\nduration = \"1h\"\n\
             settings = {{ {key} = 'hunter2', mute_on_entry = true }}\n"
        );
        for text in [provider, settings] {
            let told = told(&load_text(&text));
            assert!(told.contains(&format!("unknown key \"{key}\"")) && told.contains("***"), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}

#[test]
fn secret_with_two_sources() {
    provider_tells(
        r#"kind = "meeting-service"
base_url = "https://example.com"
admin_secret = { env = "X", file = "x" }"#,
        r#"error: c.toml:4:16: `admin_secret` must have exactly one of `credential`, `env` and `file`
4 | admin_secret = { env = "X", file = "x" }
  |                ^^^^^^^^^^^^^^^^^^^^^^^^^"#,
    );
}

#[test]
fn secret_without_source() {
    provider_tells(
        r#"kind = "meeting-service"
base_url = "https://example.com"
admin_secret = {}"#,
        r#"error: c.toml:4:16: `admin_secret` must have exactly one of `credential`, `env` and `file`
4 | admin_secret = ***
  |                ^^^"#,
    );
}

#[test]
fn secret_with_the_value_inside() {
    provider_tells(
        r#"kind = "meeting-service"
base_url = "https://example.com"
admin_secret = { value = "hunter2" }"#,
        r#"error: c.toml:4:18: `admin_secret` has an unknown key
4 | admin_secret = ***
  |                   ^
  = help: write admin_secret = { file = "/path/of/the/secret" }, { env = "NAME" } or { credential = "name" }"#,
    );
}

#[test]
fn secret_as_the_name_of_a_variable() {
    provider_tells(
        r#"kind = "meeting-service"
base_url = "https://example.com"
admin_secret = { env = "hunter2!" }"#,
        r#"error: c.toml:4:24: `env` must name the secret: letters, digits and `_`
4 | admin_secret = { env = *** }
  |                        ^^^"#,
    );
}

#[test]
fn credential_with_a_path() {
    provider_tells(
        r#"kind = "meeting-service"
base_url = "https://example.com"
admin_secret = { credential = "../x" }"#,
        r#"error: c.toml:4:31: `credential` must name the secret: letters, digits, `.`, `_` and `-`
4 | admin_secret = { credential = *** }
  |                               ^^^"#,
    );
}

#[test]
fn a_secret_in_a_table_of_its_own() {
    tells(
        r#"[providers.a]
kind = "meeting-service"
base_url = "https://example.com"
[providers.a.admin_secret]
value = "hunter2""#,
        r#"error: c.toml:5:1: `admin_secret` has an unknown key
5 | *** = ***
  | ^^^
  = help: write admin_secret = { file = "/path/of/the/secret" }, { env = "NAME" } or { credential = "name" }"#,
    );
}

#[test]
fn name_of_a_provider() {
    tells(
        r#"[providers."Bad Name"]
kind = "meeting-service""#,
        r#"error: c.toml:1:12: a provider cannot be named "Bad Name"
1 | [providers."Bad Name"]
  |            ^^^^^^^^^^
  = help: it can have 1 to 64 of a-z, 0-9 and -"#,
    );
}

#[test]
fn unknown_provider() {
    meeting_tells(
        r#"provider = "hause""#,
        r#"error: c.toml:6:12: unknown provider "hause"
6 | provider = "hause"
  |            ^^^^^^^
  = help: define it with [providers.NAME], or use "house", which is built in"#,
    );
}

#[test]
fn unknown_key() {
    meeting_tells(
        r#"create-ahaed = "5m""#,
        r#"error: c.toml:6:1: unknown key "create-ahaed"
6 | create-ahaed = "5m"
  | ^^^^^^^^^^^^
  = help: did you mean `create_ahead`?"#,
    );
}

#[test]
fn unknown_key_that_is_near_nothing() {
    meeting_tells(
        r#"colour = "red""#,
        "error: c.toml:6:1: unknown key \"colour\"\n6 | colour = \"red\"\n  | ^^^^^^\n  = help: the keys are `id`, `title`, `start`, `repeat`, `cron`, `except`, `also`, `overrides`, `provider`, `timezone`, `duration`, `create_ahead`, `close_delay`, `extend`, `on_removed`, `look_every`, `no_show`, `warn`, `warn_text`, `hosts`, `participants`, `settings`, `meeting-service`, `zoom`, `azure-rooms`, `agora-conference`, `vonage-meetings`, `vonage-video`",
    );
}

#[test]
fn duration_words() {
    meeting_tells(
        r#"create_ahead = "1 hour 30 minutes""#,
        r#"error: c.toml:6:16: `create_ahead` is not a duration: "1 hour 30 minutes"
6 | create_ahead = "1 hour 30 minutes"
  |                ^^^^^^^^^^^^^^^^^^^
  = help: write create_ahead = "1h30m""#,
    );
}

#[test]
fn duration_nonsense() {
    meeting_tells(
        r#"create_ahead = "soon""#,
        r#"error: c.toml:6:16: `create_ahead` is not a duration: "soon"
6 | create_ahead = "soon"
  |                ^^^^^^
  = help: write whole numbers with the units w, d, h, m, s: create_ahead = "15m""#,
    );
}

#[test]
fn duration_integer() {
    meeting_tells(
        r#"create_ahead = 15"#,
        r#"error: c.toml:6:16: `create_ahead` must be a duration in quotes, not an integer
6 | create_ahead = 15
  |                ^^
  = help: a duration has a unit: write for example create_ahead = "15m""#,
    );
}

#[test]
fn duration_list() {
    meeting_tells(
        r#"create_ahead = ["15m"]"#,
        r#"error: c.toml:6:16: `create_ahead` must be a duration, not a list
6 | create_ahead = ["15m"]
  |                ^^^^^^^
  = help: write for example create_ahead = "15m""#,
    );
}

#[test]
fn duration_bounds() {
    meeting_tells(
        r#"create_ahead = "31d"
close_delay = "25h"
look_every = "1s""#,
        r#"error: c.toml:6:16: `create_ahead` is out of bounds: 31d
6 | create_ahead = "31d"
  |                ^^^^^
  = help: it can be 0s to 30d
error: c.toml:7:15: `close_delay` is out of bounds: 25h
7 | close_delay = "25h"
  |               ^^^^^
  = help: it can be 0s to 1d
error: c.toml:8:14: `look_every` is out of bounds: 1s
8 | look_every = "1s"
  |              ^^^^
  = help: it can be 10s to 1h"#,
    );
}

#[test]
fn title() {
    meeting_tells(
        r#"title = """#,
        r#"error: c.toml:6:9: `title` must have 1 to 200 characters, not 0
6 | title = ""
  |         ^^"#,
    );
}

#[test]
fn title_bidi() {
    meeting_tells(
        "title = \"abc\u{202e}txt.exe\"",
        r#"error: c.toml:6:9: `title` must not hold control characters or marks that change the direction of text
6 | title = "abc\u{202e}txt.exe"
  |         ^^^^^^^^^^^^^^^^^^^^"#,
    );
}

#[test]
fn title_control() {
    meeting_tells(
        r#"title = "a\u0007b""#,
        r#"error: c.toml:6:9: `title` must not hold control characters or marks that change the direction of text
6 | title = "a\u0007b"
  |         ^^^^^^^^^^"#,
    );
}

#[test]
fn title_long() {
    meeting_tells(
        "title = \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"",
        r#"error: c.toml:6:9: `title` must have 1 to 200 characters, not 201
6 | title = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
  |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"#,
    );
}

#[test]
fn timezone() {
    meeting_tells(
        r#"timezone = "Europe/Pariss""#,
        r#"error: c.toml:6:12: unknown timezone "Europe/Pariss"
6 | timezone = "Europe/Pariss"
  |            ^^^^^^^^^^^^^^^
  = help: did you mean "Europe/Paris"?"#,
    );
}

#[test]
fn both_rules() {
    meeting_tells(
        r#"repeat = "FREQ=DAILY"
cron = "0 9 * * *""#,
        r#"error: c.toml:7:8: a meeting has `repeat` or `cron`, not both
7 | cron = "0 9 * * *"
  |        ^^^^^^^^^^^
  = help: take one of them out"#,
    );
}

#[test]
fn rule() {
    meeting_tells(
        r#"repeat = "FREQ=WEEKLY;BYDAY=MO,XX""#,
        r#"error: c.toml:6:32: BYDAY=XX: no such weekday
6 | repeat = "FREQ=WEEKLY;BYDAY=MO,XX"
  |                                ^^
  = help: use MO, TU, WE, TH, FR, SA, SU"#,
    );
}

#[test]
fn rule_in_a_literal_string() {
    meeting_tells(
        r#"repeat = 'FREQ=WEEKLY;BYDAY=MO,XX'"#,
        r#"error: c.toml:6:32: BYDAY=XX: no such weekday
6 | repeat = 'FREQ=WEEKLY;BYDAY=MO,XX'
  |                                ^^
  = help: use MO, TU, WE, TH, FR, SA, SU"#,
    );
}

#[test]
fn rule_with_escapes() {
    meeting_tells(
        r#"repeat = "FREQ=WEEKLY\u003bBYDAY=MO,XX""#,
        r#"error: c.toml:6:10: BYDAY=XX: no such weekday
6 | repeat = "FREQ=WEEKLY\u003bBYDAY=MO,XX"
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  = help: use MO, TU, WE, TH, FR, SA, SU"#,
    );
}

#[test]
fn rule_type() {
    meeting_tells(
        r#"repeat = true"#,
        r#"error: c.toml:6:10: `repeat` must be a string, not a boolean
6 | repeat = true
  |          ^^^^
  = help: write for example repeat = "FREQ=WEEKLY;BYDAY=MO,WE""#,
    );
}

#[test]
fn cron() {
    meeting_tells(
        r#"cron = "0 9 * *""#,
        r#"error: c.toml:6:9: a cron pattern has 5 fields, this one has 4
6 | cron = "0 9 * *"
  |         ^^^^^^^
  = help: use minute, hour, day of month, month, day of week, as in "30 9 * * 1-5""#,
    );
}

#[test]
fn except() {
    meeting_tells(
        r#"except = [2026-12-25, "christmas", 5, 2026-12-25T09:30:00Z]"#,
        r#"warning: c.toml:6:11: except 2026-12-25: the series has no start on that day
6 | except = [2026-12-25, "christmas", 5, 2026-12-25T09:30:00Z]
  |           ^^^^^^^^^^
  = help: the nearest start is 2026-12-01T09:00:00
error: c.toml:6:23: `except` is not a date and time: "christmas"
6 | except = [2026-12-25, "christmas", 5, 2026-12-25T09:30:00Z]
  |                       ^^^^^^^^^^^
  = help: write for example 2026-11-23T09:30:00
error: c.toml:6:36: `except` must be a local date and time, not an integer
6 | except = [2026-12-25, "christmas", 5, 2026-12-25T09:30:00Z]
  |                                    ^
  = help: write for example 2026-11-23T09:30:00
error: c.toml:6:39: `except` must be a local time, without an offset from UTC
6 | except = [2026-12-25, "christmas", 5, 2026-12-25T09:30:00Z]
  |                                       ^^^^^^^^^^^^^^^^^^^^
  = help: write the local time, such as 2026-12-25T09:30:00, and its zone with `timezone`"#,
    );
}

#[test]
fn also() {
    meeting_tells(
        r#"also = [2026-12-25]"#,
        r#"error: c.toml:6:9: `also` has no time of day
6 | also = [2026-12-25]
  |         ^^^^^^^^^^
  = help: write for example 2026-12-25T09:00:00"#,
    );
}

#[test]
fn extend_step() {
    meeting_tells(
        r#"extend = { step = "2h" }"#,
        r#"error: c.toml:6:10: `extend.max` is less than `extend.step`: 1h and 2h
6 | extend = { step = "2h" }
  |          ^^^^^^^^^^^^^^^
  = help: `max`, 1h by default, is how far the end moves in all"#,
    );
}

#[test]
fn extend_word() {
    meeting_tells(
        r#"extend = "yes""#,
        r#"error: c.toml:6:10: `extend` must be a table, not a string
6 | extend = "yes"
  |          ^^^^^
  = help: write for example extend = { while_occupied = true, step = "10m", max = "1h" }"#,
    );
}

#[test]
fn extend_key() {
    meeting_tells(
        r#"extend = { while_ocupied = true }"#,
        r#"error: c.toml:6:12: unknown key "while_ocupied"
6 | extend = { while_ocupied = true }
  |            ^^^^^^^^^^^^^
  = help: did you mean `while_occupied`?"#,
    );
}

#[test]
fn on_removed() {
    meeting_tells(
        r#"on_removed = "stop""#,
        r#"error: c.toml:6:14: `on_removed` cannot be "stop"
6 | on_removed = "stop"
  |              ^^^^^^
  = help: it can be "finish" or "close""#,
    );
}

#[test]
fn people() {
    meeting_tells(
        r#"hosts = "alice"
participants = ["", { id = "b", role = "boss" }, { role = "attendee" }, 5]"#,
        r#"error: c.toml:6:9: `hosts` must be a list, not a string
6 | hosts = "alice"
  |         ^^^^^^^
  = help: write for example hosts = ["alice@example.com"]
error: c.toml:7:17: `participants` holds something that is not an address or id: ""
7 | participants = ["", { id = "b", role = "boss" }, { role = "attendee" }, 5]
  |                 ^^
  = help: 1 to 320 characters, without control characters
error: c.toml:7:40: `role` cannot be "boss"
7 | participants = ["", { id = "b", role = "boss" }, { role = "attendee" }, 5]
  |                                        ^^^^^^
  = help: it can be "presenter", "attendee" or "consumer"
error: c.toml:7:50: `id` is missing
7 | participants = ["", { id = "b", role = "boss" }, { role = "attendee" }, 5]
  |                                                  ^^^^^^^^^^^^^^^^^^^^^
  = help: write for example { id = "bob@example.com" }
error: c.toml:7:73: `participants` must be a table, not an integer
7 | participants = ["", { id = "b", role = "boss" }, { role = "attendee" }, 5]
  |                                                                         ^
  = help: write for example participants = ["bob@example.com", { id = "eve@example.com", role = "presenter" }]"#,
    );
}

#[test]
fn settings() {
    meeting_tells(
        r#"settings = { mute = true, recording = "clod", password = "" }"#,
        r#"error: c.toml:6:14: unknown key "mute"
6 | settings = { mute = true, recording = "clod", password = ***
  |              ^^^^
  = help: the keys are `mute_on_entry`, `join_before_host`, `recording`, `password`
error: c.toml:6:39: `recording` cannot be "clod"
6 | settings = { mute = true, recording = "clod", password = ***
  |                                       ^^^^^^
  = help: did you mean "cloud"?
error: c.toml:6:58: `password` must have 1 to 128 characters, no control characters
6 | settings = { mute = true, recording = "clod", password = ***
  |                                                          ^^^"#,
    );
}

#[test]
fn passthrough() {
    meeting_tells(
        r#"zoom = { x = inf }
vonage-video = 5"#,
        r#"error: c.toml:6:8: `zoom` holds a number that JSON cannot have
6 | zoom = { x = inf }
  |        ^^^^^^^^^^^
  = help: integers are between -2^63 and 2^63-1, floats are finite
error: c.toml:7:16: `vonage-video` must be a table, not an integer
7 | vonage-video = 5
  |                ^
  = help: write for example vonage-video = { settings = { … } }"#,
    );
}

#[test]
fn overrides() {
    meeting_tells(
        r#"[[meetings.overrides]]
occurrence = 2026-12-01T09:00:00
[[meetings.overrides]]
start = 2026-12-01T09:00:00
[[meetings.overrides]]
occurrence = 2026-12-01T09:00:00
cancel = "yes"
time = 1"#,
        r#"warning: c.toml:6:1: the override changes nothing
6 | [[meetings.overrides]]
  | ^^^^^^^^^^^^^^^^^^^^^^
  = help: add `start`, `duration`, `title` or `cancel = true`
error: c.toml:8:1: `occurrence` is missing
8 | [[meetings.overrides]]
  | ^^^^^^^^^^^^^^^^^^^^^^
  = help: write for example occurrence = 2026-11-23T09:30:00
error: c.toml:10:1: 2026-12-01 09:00:00 is already overridden at c.toml:7:14
10 | [[meetings.overrides]]
   | ^^^^^^^^^^^^^^^^^^^^^^
error: c.toml:12:10: `cancel` must be true or false, not a string
12 | cancel = "yes"
   |          ^^^^^
   = help: write for example cancel = true
error: c.toml:13:1: unknown key "time"
13 | time = 1
   | ^^^^
   = help: the keys are `occurrence`, `start`, `duration`, `title`, `cancel`"#,
    );
}

#[test]
fn required_keys() {
    tells(
        r#"timezone = "UTC"
[[meetings]]
[[meetings]]
id = "a"
cron = "0 9 * * *""#,
        r#"error: c.toml:2:1: `duration` is missing
2 | [[meetings]]
  | ^^^^^^^^^^^^
  = help: write for example duration = "30m"
error: c.toml:2:1: `start` is missing
2 | [[meetings]]
  | ^^^^^^^^^^^^
  = help: write for example start = 2026-11-23T09:30:00
error: c.toml:2:1: `id` is missing
2 | [[meetings]]
  | ^^^^^^^^^^^^
  = help: write for example id = "standup"
error: c.toml:3:1: `duration` is missing
3 | [[meetings]]
  | ^^^^^^^^^^^^
  = help: write for example duration = "30m""#,
    );
}

#[test]
fn ids() {
    tells(
        r#"timezone = "UTC"
[defaults]
duration = "1h"
[[meetings]]
id = "standup@home"
start = 2026-12-01T09:00:00
[[meetings]]
id = "a"
start = 2026-12-01T09:00:00
[[meetings]]
id = "a"
start = 2026-12-01T09:00:00"#,
        r#"error: c.toml:5:6: `id` cannot be "standup@home"
5 | id = "standup@home"
  |      ^^^^^^^^^^^^^^
  = help: it can have 1 to 64 letters, digits, `.`, `_` and `-`
error: c.toml:11:6: meeting "a" is already defined at c.toml:8:6
11 | id = "a"
   |      ^^^"#,
    );
}

#[test]
fn start_with_offset() {
    tells(
        r#"timezone = "UTC"
[[meetings]]
id = "a"
duration = "1h"
start = 2026-12-01T09:00:00+01:00"#,
        r#"error: c.toml:5:9: `start` must be a local time, without an offset from UTC
5 | start = 2026-12-01T09:00:00+01:00
  |         ^^^^^^^^^^^^^^^^^^^^^^^^^
  = help: write the local time, such as 2026-12-01T09:00:00, and its zone with `timezone`"#,
    );
}

#[test]
fn start_in_utc() {
    tells(
        r#"timezone = "UTC"
[[meetings]]
id = "a"
duration = "1h"
start = "2026-12-01 09:00:00Z""#,
        r#"error: c.toml:5:9: `start` must be a local time, without an offset from UTC
5 | start = "2026-12-01 09:00:00Z"
  |         ^^^^^^^^^^^^^^^^^^^^^^
  = help: write the local time, such as 2026-12-01T09:00:00, and its zone with `timezone`"#,
    );
}

#[test]
fn start_day() {
    tells(
        r#"timezone = "UTC"
[[meetings]]
id = "a"
duration = "1h"
start = 2026-12-01"#,
        r#"error: c.toml:5:9: `start` has no time of day
5 | start = 2026-12-01
  |         ^^^^^^^^^^
  = help: write for example 2026-12-01T09:00:00"#,
    );
}

#[test]
fn start_time() {
    tells(
        r#"timezone = "UTC"
[[meetings]]
id = "a"
duration = "1h"
start = 09:30:00"#,
        r#"error: c.toml:5:9: `start` has no date
5 | start = 09:30:00
  |         ^^^^^^^^
  = help: write for example 2026-11-23T09:30:00"#,
    );
}

#[test]
fn start_fraction() {
    tells(
        r#"timezone = "UTC"
[[meetings]]
id = "a"
duration = "1h"
start = 2026-12-01T09:00:00.25"#,
        r#"error: c.toml:5:9: `start` must be in whole seconds, below 60
5 | start = 2026-12-01T09:00:00.25
  |         ^^^^^^^^^^^^^^^^^^^^^^
  = help: write 2026-12-01T09:00:00"#,
    );
}

#[test]
fn start_leap() {
    tells(
        r#"timezone = "UTC"
[[meetings]]
id = "a"
duration = "1h"
start = 2026-12-01T23:59:60"#,
        r#"error: c.toml:5:9: `start` must be in whole seconds, below 60
5 | start = 2026-12-01T23:59:60
  |         ^^^^^^^^^^^^^^^^^^^
  = help: write 2026-12-01T23:59:59"#,
    );
}

#[test]
fn start_text() {
    tells(
        r#"timezone = "UTC"
[[meetings]]
id = "a"
duration = "1h"
start = "tomorrow""#,
        r#"error: c.toml:5:9: `start` is not a date and time: "tomorrow"
5 | start = "tomorrow"
  |         ^^^^^^^^^^
  = help: write for example 2026-11-23T09:30:00"#,
    );
}

#[test]
fn start_year() {
    tells(
        r#"timezone = "UTC"
[[meetings]]
id = "a"
duration = "1h"
start = 1066-10-14T09:00:00"#,
        r#"error: c.toml:5:9: `start` is out of bounds: 1066-10-14
5 | start = 1066-10-14T09:00:00
  |         ^^^^^^^^^^^^^^^^^^^
  = help: it can be 1970 to 2200"#,
    );
}

#[test]
fn start_number() {
    tells(
        r#"timezone = "UTC"
[[meetings]]
id = "a"
duration = "1h"
start = 20261201"#,
        r#"error: c.toml:5:9: `start` must be a local date and time, not an integer
5 | start = 20261201
  |         ^^^^^^^^
  = help: write for example 2026-11-23T09:30:00"#,
    );
}
