//! What a meeting should be in Zoom's words, and how what it is differs from that.

use super::times;
use crate::providers::{Recording, RoomRequest};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

/// Before the marker, at the very start of `agenda`: lists show no more than its first 250 characters.
const OPEN: &str = "convened:";
/// The same once the daemon has closed the meeting and keeps it.
const CLOSED: &str = "convened-closed:";
/// Most characters of `agenda`.
pub(super) const MAX_AGENDA_CHARS: usize = 2000;
/// Most characters of `topic`.
const MAX_TOPIC_CHARS: usize = 200;
/// A scheduled meeting at most.
const MAX_MINUTES: i64 = 1440;
/// Keys of `zoom = { … }` that do not go to Zoom.
const OURS: [&str; 1] = ["user"];
/// Keys that only a create takes, and no answer shows.
const CREATE_ONLY: [&str; 3] = ["default_password", "template_id", "pre_schedule"];
/// What the schedule says stands in the schedule alone.
pub(super) const FORBIDDEN: [&str; 7] =
    ["type", "topic", "start_time", "timezone", "duration", "schedule_for", "recurrence"];

/// What a meeting should be.
pub(super) struct Wish<'a> {
    request: &'a RoomRequest,
    /// Everything but the times and `agenda`, with `settings` as one object.
    fields: Map<String, Value>,
}

/// The line by which a meeting is found again.
pub(super) fn mark(marker: &str) -> String {
    format!("{OPEN}{marker}")
}

/// Whether the meeting, as listed or got, carries the marker.
pub(super) fn carries(meeting: &Value, marker: &str) -> bool {
    !marker.is_empty() && marker_of(meeting).is_some_and(|(found, _)| found == marker)
}

/// The marker of a meeting, and whether it was closed by us.
pub(super) fn marker_of(meeting: &Value) -> Option<(&str, bool)> {
    let first = meeting.get("agenda")?.as_str()?.lines().next()?.trim_end();
    match first.strip_prefix(CLOSED) {
        Some(marker) => Some((marker, true)),
        None => first.strip_prefix(OPEN).map(|marker| (marker, false)),
    }
}

/// We closed this meeting and kept it.
pub(super) fn is_kept_closed(meeting: &Value) -> bool {
    marker_of(meeting).is_some_and(|(_, is_closed)| is_closed)
}

/// The change that closes a meeting which is kept: nobody gets in without a host who lets them, and it is marked as closed.
pub(super) fn closing(meeting: &Value) -> Value {
    let agenda = meeting.get("agenda").and_then(Value::as_str).unwrap_or_default();
    let agenda = match agenda.strip_prefix(OPEN) {
        Some(rest) => format!("{CLOSED}{rest}"),
        None => format!("{CLOSED}\n{agenda}"),
    };
    json!({ "agenda": cut(&agenda, MAX_AGENDA_CHARS), "settings": { "join_before_host": false, "waiting_room": true } })
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

impl<'a> Wish<'a> {
    pub(super) fn of(request: &'a RoomRequest) -> Self {
        let spec = &request.spec;
        let mut settings = Map::new();
        // With the host's personal number, events would come under that number.
        settings.insert("use_pmi".to_owned(), json!(false));
        if let Some(mute) = spec.settings.mute_on_entry {
            settings.insert("mute_upon_entry".to_owned(), json!(mute));
        }
        match spec.settings.join_before_host {
            Some(true) => {
                settings.insert("join_before_host".to_owned(), json!(true));
                settings.insert("jbh_time".to_owned(), json!(0));
                // A waiting room would switch it off.
                settings.insert("waiting_room".to_owned(), json!(false));
            }
            Some(false) => {
                settings.insert("join_before_host".to_owned(), json!(false));
            }
            None => {}
        }
        if let Some(recording) = spec.settings.recording {
            let word = match recording {
                Recording::None => "none",
                Recording::Cloud => "cloud",
                Recording::Local => "local",
            };
            settings.insert("auto_recording".to_owned(), json!(word));
        }
        let mut fields = Map::new();
        if let Some(password) = &spec.settings.password {
            fields.insert("password".to_owned(), json!(password));
        }
        fields.insert("settings".to_owned(), Value::Object(settings));
        for (key, value) in &spec.passthrough {
            let is_ours =
                OURS.contains(&key.as_str()) || FORBIDDEN.contains(&key.as_str()) || key == "agenda";
            if !is_ours {
                merge(fields.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        fields.insert("topic".to_owned(), json!(cut(&request.title, MAX_TOPIC_CHARS)));
        Self { request, fields }
    }

    /// The fields that a meeting has and keeps.
    fn lasting(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.fields.iter().filter(|(key, _)| !CREATE_ONLY.contains(&key.as_str()))
    }

    /// The operator's own words for `agenda`.
    fn words(&self) -> Option<&str> {
        self.request.spec.passthrough.get("agenda").and_then(Value::as_str)
    }

    fn agenda(&self) -> String {
        let mark = mark(&self.request.marker);
        match self.words() {
            Some(words) => cut(&format!("{mark}\n{words}"), MAX_AGENDA_CHARS),
            None => mark,
        }
    }

    fn minutes(&self) -> i64 {
        let length = self.request.ends_at - self.request.starts_at;
        let minutes = (length + TimeDelta::seconds(59)).num_minutes();
        minutes.clamp(1, MAX_MINUTES)
    }

    /// The body of a create.
    pub(super) fn create(&self) -> Value {
        let (start_time, timezone) =
            times::start(self.request.starts_at, self.request.spec.timezone.as_deref());
        let mut body = self.fields.clone();
        body.insert("type".to_owned(), json!(2));
        body.insert("agenda".to_owned(), json!(self.agenda()));
        body.insert("start_time".to_owned(), json!(start_time));
        body.insert("timezone".to_owned(), json!(timezone));
        body.insert("duration".to_owned(), json!(self.minutes()));
        Value::Object(body)
    }

    /// A change that sets the times in the form that depends on nobody's zone data.
    pub(super) fn times_utc(&self) -> Value {
        let (start_time, timezone) = times::start_utc(self.request.starts_at);
        json!({ "start_time": start_time, "timezone": timezone, "duration": self.minutes() })
    }

    /// Whether the meeting has the times that it should have.
    pub(super) fn has_times(&self, meeting: &Value) -> bool {
        self.has_start(meeting) && meeting.get("duration").and_then(Value::as_i64) == Some(self.minutes())
    }

    fn has_start(&self, meeting: &Value) -> bool {
        start_of(meeting).is_some_and(|start| times::is_same_minute(start, self.request.starts_at))
    }

    /// The start can be set: Zoom ignores one in the past without a word.
    pub(super) fn is_ahead(&self, now: DateTime<Utc>) -> bool {
        self.request.starts_at > now
    }

    /// What must be sent so that `meeting` becomes as wished: only what differs. Empty: nothing does.
    pub(super) fn patch(&self, meeting: &Value, now: DateTime<Utc>) -> Map<String, Value> {
        let mut patch = Map::new();
        for (key, wanted) in self.lasting() {
            let found = meeting.get(key).unwrap_or(&Value::Null);
            if let Some(difference) = difference(wanted, found) {
                patch.insert(key.clone(), difference);
            }
        }
        // Other words than ours, below our mark, are somebody's, unless the schedule has its own.
        let has_mark = carries(meeting, &self.request.marker) && !is_kept_closed(meeting);
        let agenda = self.agenda();
        let is_as_worded = meeting.get("agenda").and_then(Value::as_str).is_some_and(|found| found == agenda);
        if !has_mark || (self.words().is_some() && !is_as_worded) {
            patch.insert("agenda".to_owned(), json!(agenda));
        }
        if meeting.get("duration").and_then(Value::as_i64) != Some(self.minutes()) {
            patch.insert("duration".to_owned(), json!(self.minutes()));
        }
        let is_live = meeting.get("status").and_then(Value::as_str) == Some("started");
        if !self.has_start(meeting) && self.is_ahead(now) && !is_live {
            let (start_time, timezone) =
                times::start(self.request.starts_at, self.request.spec.timezone.as_deref());
            patch.insert("start_time".to_owned(), json!(start_time));
            patch.insert("timezone".to_owned(), json!(timezone));
        }
        patch
    }

    /// What of the wish `meeting` does not show, by name.
    pub(super) fn missing(&self, meeting: &Value) -> Vec<String> {
        let mut missing = Vec::new();
        for (key, wanted) in self.lasting() {
            // What an answer leaves out as a whole is not told, except for a password: that is left out where there is none.
            let Some(found) = meeting.get(key).or((key == "password").then_some(&Value::Null)) else {
                continue;
            };
            match difference(wanted, found) {
                Some(Value::Object(parts)) if wanted.is_object() => {
                    missing.extend(parts.keys().map(|part| format!("{key}.{part}")));
                }
                Some(_) => missing.push(key.clone()),
                None => {}
            }
        }
        if !carries(meeting, &self.request.marker) {
            missing.push("agenda".to_owned());
        }
        if !self.has_start(meeting) {
            let is = meeting.get("start_time").and_then(Value::as_str).unwrap_or("none");
            missing.push(format!("start_time (is {is:.40})"));
        }
        if meeting.get("duration").and_then(Value::as_i64) != Some(self.minutes()) {
            missing.push("duration".to_owned());
        }
        missing
    }
}

fn start_of(meeting: &Value) -> Option<DateTime<Utc>> {
    meeting.get("start_time")?.as_str()?.parse().ok()
}

/// Lays `over` on `base`: tables are merged, everything else is replaced.
fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// What of `wanted` is not in `found`: of a table its entries that differ (nested ones as a whole), else the value.
fn difference(wanted: &Value, found: &Value) -> Option<Value> {
    if let (Value::Object(wanted), Value::Object(found)) = (wanted, found) {
        let parts: Map<String, Value> = wanted
            .iter()
            .filter(|(key, value)| !is_shown(value, found.get(*key).unwrap_or(&Value::Null)))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        return (!parts.is_empty()).then_some(Value::Object(parts));
    }
    (!is_shown(wanted, found)).then(|| wanted.clone())
}

/// `found` shows what is wanted. Zoom adds to tables, and leaves out what is empty or off.
fn is_shown(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.iter().all(|(key, value)| is_shown(value, found.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len() && wanted.iter().zip(found).all(|(a, b)| is_shown(a, b))
        }
        (Value::Bool(false), Value::Null) => true,
        (Value::Number(number), Value::Null) => number.as_i64() == Some(0),
        (Value::String(text), Value::Null) => text.is_empty(),
        (Value::Array(list), Value::Null) => list.is_empty(),
        (wanted, found) => wanted == found,
    }
}
