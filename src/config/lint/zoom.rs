//! What a meeting asks of Zoom in vain.

use super::super::diagnostic::{Severity, quote};
use super::super::duration;
use super::super::meeting::{Draft, Meeting};
use super::super::problems::{Nature, Problems};
use super::super::provider::{ZoomConfig, ZoomGrant, ZoomLicence};
use super::super::suggest::nearest;
use crate::providers::zoom::{MARK_CHARS, MAX_AGENDA_CHARS, SCHEDULED_KEYS};
use chrono::TimeDelta;
use serde_json::Value;

/// What a meeting at Zoom has besides what the schedule says, and `user`, which is ours.
const KEYS: [&str; 8] = [
    "user",
    "agenda",
    "settings",
    "password",
    "default_password",
    "template_id",
    "tracking_fields",
    "pre_schedule",
];
/// Most characters of a meeting's password.
const MAX_PASSWORD_CHARS: usize = 10;

pub(super) fn check(meeting: &Meeting, draft: &Draft, zoom: &ZoomConfig, problems: &Problems) {
    let report = |severity, message: String, help: Option<String>| {
        problems.report(&draft.places.meeting, severity, Nature::Reference, message, help);
    };
    let passed = &meeting.passthrough;
    for key in passed.keys().filter(|key| SCHEDULED_KEYS.contains(&key.as_str())) {
        let help = match key.as_str() {
            "topic" => "write `title`".to_owned(),
            "start_time" | "duration" | "timezone" => format!("write `{}`", key.trim_end_matches("_time")),
            "recurrence" | "type" => "write `repeat`: each occurrence has a meeting of its own".to_owned(),
            _ => "write zoom = { user = \"alice@example.com\" }".to_owned(),
        };
        report(Severity::Error, format!("`zoom.{key}` is what the schedule says"), Some(help));
    }
    for key in
        passed.keys().filter(|key| !KEYS.contains(&key.as_str()) && !SCHEDULED_KEYS.contains(&key.as_str()))
    {
        let help = match nearest(key, KEYS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "it is sent as it is; Zoom may refuse the meeting for it".to_owned(),
        };
        report(Severity::Warning, format!("a meeting at Zoom has no {}", quote(key)), Some(help));
    }
    match passed.get("user") {
        None => {}
        Some(Value::String(user)) if !user.is_empty() => {
            if zoom.grant == ZoomGrant::RefreshToken && user != "me" {
                let help = "leave it out, or use a provider with grant = \"account_credentials\"".to_owned();
                let message =
                    "with grant \"refresh_token\" only who has logged in can host: `zoom.user` is another";
                report(Severity::Error, message.to_owned(), Some(help));
            } else if zoom.grant != ZoomGrant::RefreshToken && user == "me" {
                let message =
                    "with grant \"account_credentials\" nobody is \"me\": `zoom.user` must name a user";
                report(Severity::Error, message.to_owned(), None);
            }
        }
        Some(_) => report(Severity::Error, "`zoom.user` is no user's id or address".to_owned(), None),
    }
    let settings = passed.get("settings");
    if settings.is_some_and(|settings| !settings.is_object()) {
        report(Severity::Error, "`zoom.settings` is no table".to_owned(), None);
    }
    let flag = |key: &str| settings.and_then(|settings| settings.get(key)).and_then(Value::as_bool);
    if flag("use_pmi") == Some(true) {
        let message =
            "`zoom.settings.use_pmi` gives all meetings of a host one room: they could not be told apart";
        report(Severity::Error, message.to_owned(), None);
    }
    if meeting.settings.join_before_host == Some(true) && flag("waiting_room") == Some(true) {
        let help = "leave out one of the two".to_owned();
        let message = "with `zoom.settings.waiting_room` Zoom ignores `join_before_host`";
        report(Severity::Warning, message.to_owned(), Some(help));
    }
    let may_be_let_in =
        meeting.settings.join_before_host == Some(true) || flag("join_before_host") == Some(true);
    if may_be_let_in && meeting.policy.extend.is_some() && zoom.webhook_secret.is_none() {
        let help = "with webhooks (`webhook_secret`) it is known when nobody is in it".to_owned();
        let message = "Zoom does not tell whether guests are in before the host: unless a host comes and goes, it is extended \
                       as far as `extend.max`, whoever is there";
        report(Severity::Warning, message.to_owned(), Some(help));
    }
    match passed.get("agenda") {
        None => {}
        Some(Value::String(text)) => {
            let most = MAX_AGENDA_CHARS - MARK_CHARS;
            let count = text.chars().count();
            if count > most {
                let message = format!(
                    "`zoom.agenda` has {count} characters: what is after the first {most} is cut off"
                );
                report(Severity::Warning, message, None);
            }
        }
        Some(_) => report(Severity::Error, "`zoom.agenda` is no text".to_owned(), None),
    }
    let of_zoom = passed.get("password").and_then(Value::as_str);
    for password in [meeting.settings.password.as_deref(), of_zoom].into_iter().flatten() {
        let is_fit = password.len() <= MAX_PASSWORD_CHARS
            && password.bytes().all(|b| b.is_ascii_alphanumeric() || b"@-_*".contains(&b));
        if !is_fit {
            let help = format!("1 to {MAX_PASSWORD_CHARS} of a-z, A-Z, 0-9 and @ - _ *");
            report(Severity::Error, "Zoom does not take this `password`".to_owned(), Some(help));
        }
    }
    let most = match zoom.licence {
        Some(ZoomLicence::Basic) => Some((TimeDelta::minutes(40), "without a licence")),
        Some(ZoomLicence::Licensed) => Some((TimeDelta::hours(30), "with a licence")),
        None => None,
    };
    let policy = &meeting.policy;
    let length = meeting.series.duration + policy.extend.map_or(TimeDelta::zero(), |extend| extend.max);
    if let Some((most, with)) = most
        && length + policy.close_delay > most
    {
        let message = format!(
            "it may last {}, extensions and close delay included: Zoom ends a meeting {with} after {}",
            duration::format(length + policy.close_delay),
            duration::format(most)
        );
        report(Severity::Warning, message, None);
    }
    let longest = TimeDelta::hours(24);
    if length > longest {
        let message = format!(
            "provider {} cannot show more than {} as the length of a meeting",
            quote(&meeting.provider),
            duration::format(longest)
        );
        report(Severity::Warning, message, None);
    }
}
