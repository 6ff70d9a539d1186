//! `kind = "zoom"`: its keys, and what `check` foresees for its hosts.

mod config_support;

use config_support::{at, config, has_error, load_text, now, told};
use convened::config::{ProviderKind, ZoomConfig, ZoomGrant, ZoomLicence, foresee};
use convened::providers::zoom::AfterClose;
use std::time::Duration;

const SERVER: &str = r#"
timezone = "UTC"
[providers.acme]
kind = "zoom"
grant = "account_credentials"
account_id = "acc"
client_id = "id"
client_secret = { env = "SECRET" }
user = "host@example.com"
"#;

const USER: &str = r#"
timezone = "UTC"
[providers.acme]
kind = "zoom"
grant = "refresh_token"
client_id = "id"
client_secret = { env = "SECRET" }
"#;

const MEETING: &str = r#"
[[meetings]]
id = "m"
start = 2026-12-01T09:00:00
duration = "30m"
"#;

fn zoom(text: &str) -> ZoomConfig {
    match &config(text).providers["acme"].kind {
        ProviderKind::Zoom(zoom) => (**zoom).clone(),
        other @ ProviderKind::MeetingService(_) => panic!("{other:?}"),
    }
}

#[test]
fn defaults() {
    let user = zoom(&format!("{USER}{MEETING}"));
    assert_eq!((user.grant, user.user.as_str()), (ZoomGrant::RefreshToken, "me"));
    assert_eq!(
        (user.base_url.as_str(), user.auth_url.as_str()),
        ("https://api.zoom.us/v2", "https://zoom.us/oauth")
    );
    assert_eq!((user.daily_quota, user.kept_for_today, user.concurrent_meetings), (100, 20, 1));
    assert_eq!((user.after_close, user.licence, user.webhook_secret), (AfterClose::Delete, None, None));
    let provider = &config(&format!("{USER}{MEETING}")).providers["acme"];
    let rate = provider.rate_limit.expect("a rate");
    assert_eq!((rate.requests, rate.per), (4, Duration::from_secs(1)));
}

#[test]
fn every_key() {
    let text = format!(
        "{SERVER}base_url = \"https://api-eu.zoom.us/v2/\"\nauth_url = \"https://zoomgov.com/oauth\"\n\
         webhook_secret = {{ env = \"HOOK\" }}\ndaily_quota = 50\nconcurrent_meetings = 2\nreuse = \"occurrence\"\n\
         after_close = \"keep\"\nlicence = \"basic\"\nrate_limit = \"1/s\"\nmax_in_flight = 2\ntimeout = \"10s\"\n{MEETING}"
    );
    let zoom = zoom(&text);
    assert_eq!(zoom.grant, ZoomGrant::AccountCredentials { account_id: "acc".to_owned() });
    assert_eq!(
        (zoom.base_url.as_str(), zoom.auth_url.as_str()),
        ("https://api-eu.zoom.us/v2", "https://zoomgov.com/oauth")
    );
    assert_eq!((zoom.daily_quota, zoom.kept_for_today, zoom.concurrent_meetings), (50, 10, 2));
    assert_eq!((zoom.after_close, zoom.licence), (AfterClose::Keep, Some(ZoomLicence::Basic)));
    let keys: Vec<String> = config(&text).secrets.into_iter().map(|secret| secret.key).collect();
    assert_eq!(keys, ["providers.acme.client_secret", "providers.acme.webhook_secret"]);
}

#[test]
fn what_does_not_fit_together_is_an_error() {
    for (text, change, expected) in [
        (USER, ("grant = \"refresh_token\"\n", ""), "`grant` is missing"),
        (USER, ("client_id = \"id\"\n", ""), "`client_id` is missing"),
        (USER, ("client_secret = { env = \"SECRET\" }\n", ""), "`client_secret` is missing"),
        (USER, ("\"id\"", "\"a b\""), "`client_id` cannot be \"a b\""),
        (USER, ("\"id\"\n", "\"id\"\nuser = \"x@example.com\"\n"), "the only `user` is \"me\""),
        (USER, ("\"id\"\n", "\"id\"\naccount_id = \"x\"\n"), "`account_id` has no meaning"),
        (SERVER, ("account_id = \"acc\"\n", ""), "`account_id` is missing"),
        (SERVER, ("user = \"host@example.com\"\n", ""), "`user` is missing"),
        (SERVER, ("host@example.com", "me"), "nobody is \"me\""),
        (SERVER, ("\"id\"\n", "\"id\"\nreuse = \"series\"\n"), "not supported by this version"),
        (
            SERVER,
            ("\"id\"\n", "\"id\"\nbase_url = \"http://api.example.com\"\n"),
            "`base_url` is not encrypted",
        ),
        (SERVER, ("\"id\"\n", "\"id\"\nconcurrent_meetings = 0\n"), "`concurrent_meetings`"),
        (SERVER, ("\"id\"\n", "\"id\"\nprefix = \"/x\"\n"), "unknown key \"prefix\""),
    ] {
        assert!(text.contains(change.0), "{change:?}");
        let loaded = load_text(&format!("{}{MEETING}", text.replacen(change.0, change.1, 1)));
        assert!(has_error(&loaded) && told(&loaded).contains(expected), "{expected}: {}", told(&loaded));
    }
}

#[test]
fn what_zoom_cannot_do_for_a_meeting_is_told_before_it_can_hurt() {
    for (text, rest, is_error, expected) in [
        (SERVER, "zoom = { topic = \"x\" }", true, "`zoom.topic` is what the schedule says"),
        (SERVER, "zoom = { recurrence = {} }", true, "each occurrence has a meeting of its own"),
        (SERVER, "zoom = { user = 1 }", true, "`zoom.user` is no user's id"),
        (SERVER, "zoom = { user = \"me\" }", true, "must name a user"),
        (USER, "zoom = { user = \"x@example.com\" }", true, "only who has logged in can host"),
        (USER, "zoom = { settings = 1 }", true, "`zoom.settings` is no table"),
        (USER, "zoom = { settings = { use_pmi = true } }", true, "could not be told apart"),
        (USER, "zoom = { agenda = 1 }", true, "`zoom.agenda` is no text"),
        (USER, "settings = { password = \"eleven-long\" }", true, "does not take this `password`"),
        (USER, "zoom = { password = \"é\" }", true, "does not take this `password`"),
        (
            USER,
            "settings = { join_before_host = true }\nzoom = { settings = { waiting_room = true } }",
            false,
            "Zoom ignores `join_before_host`",
        ),
        (
            USER,
            "settings = { join_before_host = true }\nextend = true",
            false,
            "does not tell whether guests are in before the host",
        ),
        (USER, "zoom = { setings = { host_video = true } }", false, "did you mean `settings`?"),
        (USER, "zoom = { blue = 1 }", false, "a meeting at Zoom has no \"blue\""),
        (USER, "zoom = { agenda = \"AGENDA\" }", false, "`zoom.agenda` has 2000 characters"),
        (USER, "extend = { max = \"24h\" }", false, "cannot show more than 1d"),
    ] {
        let rest = rest.replace("AGENDA", &"x".repeat(2000));
        let loaded = load_text(&format!("{text}{MEETING}{rest}\n"));
        let told = told(&loaded);
        assert!(told.contains(expected) && has_error(&loaded) == is_error, "{expected}: {told}");
        assert!(!told.contains("eleven-long"), "a password is a secret: {told}");
    }
    let fine = load_text(&format!(
        "{SERVER}{MEETING}zoom = {{ user = \"x\", agenda = \"{}\" }}\n",
        "x".repeat(1951)
    ));
    assert_eq!(told(&fine), "");
}

#[test]
fn meetings_that_zoom_would_end_early_are_named_where_the_licence_is_told() {
    let with = |licence: &str, rest: &str| {
        told(&load_text(&format!("{USER}licence = \"{licence}\"\n{MEETING}{rest}\n")))
    };
    assert_eq!(with("basic", "close_delay = \"10m\""), "");
    let told = with("basic", "close_delay = \"11m\"");
    assert!(told.contains("it may last 41m") && told.contains("without a licence after 40m"), "{told}");
    assert_eq!(with("licensed", "close_delay = \"11m\""), "");
    assert!(with("licensed", "close_delay = \"24h\"\nextend = { max = \"6h\" }").contains("after 1d6h"));
}

#[test]
fn a_host_who_would_hold_two_meetings_at_once_is_told_with_both() {
    let two = "[[meetings]]\nid = \"n\"\nstart = 2026-12-01T09:34:59\nduration = \"1h\"\n";
    let text = format!("{SERVER}{MEETING}{two}");
    let told = told(&load_text(&text));
    assert!(
        told.contains("n starts at 2026-12-01T09:34:59Z while m goes on, until 2026-12-01T09:35:00Z"),
        "{told}"
    );
    assert_eq!(told.matches("at once").count(), 1);
    for change in [
        ("user = \"host", "concurrent_meetings = 2\nuser = \"host"),
        ("09:34:59", "09:35:00"),
        ("id = \"n\"\n", "id = \"n\"\nzoom = { user = \"other@example.com\" }\n"),
    ] {
        assert_eq!(config_support::told(&load_text(&text.replacen(change.0, change.1, 1))), "", "{change:?}");
    }
    let same = text.replacen("id = \"n\"\n", "id = \"n\"\nzoom = { user = \"HOST@example.com\" }\n", 1);
    assert!(config_support::told(&load_text(&same)).contains("at once"), "an address is one in any case");
}

#[test]
fn the_day_on_which_a_host_runs_out_is_foreseen_with_what_comes_of_it() {
    // 24 rooms a day of 50 minutes each; one day has so many more.
    let many = |quota: u32, ahead: &str| {
        let text = format!(
            "{SERVER}daily_quota = {quota}\nconcurrent_meetings = 100\n\
             [[meetings]]\nid = \"m\"\nstart = 2026-12-01T00:00:00\nduration = \"50m\"\nrepeat = \"FREQ=HOURLY\"\n\
             create_ahead = \"{ahead}\"\n"
        );
        told(&load_text(&text))
    };
    assert_eq!(many(24, "0s"), "");
    let told = many(20, "0s");
    assert!(
        told.contains("on 2026-12-01 (UTC) host@example.com of provider \"acme\" runs out: 24 rooms to make"),
        "{told}"
    );
    assert!(told.contains("4 wait until the next day, m@2026-12-01T20:00 first"), "{told}");
    assert!(told.contains("will have no room in time, m@2026-12-01T20:00 first"), "{told}");
    // Made two days ahead, rooms may wait for the next day, but not for ever.
    assert_eq!(many(30, "2d"), "", "a fifth is kept for the day's own, the rest is enough");
    let told = many(28, "2d");
    assert!(told.contains("1 wait until the next day"), "{told}");
}

#[test]
fn what_is_foreseen_concerns_the_time_asked_for() {
    let two = "[[meetings]]\nid = \"n\"\nstart = 2026-12-01T09:00:00\nduration = \"1h\"\n";
    let config = config(&format!("{SERVER}{MEETING}{two}"));
    assert_eq!(foresee(&config, now(), at("2026-12-02T00:00:00Z")).len(), 1);
    assert_eq!(foresee(&config, now(), at("2026-12-01T09:00:00Z")), []);
}
