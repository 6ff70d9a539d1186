//! What a meeting is, as one number: equal as long as nothing that matters has changed.

use super::Meeting;
use crate::lifecycle::Policy;
use crate::providers::{Participant, Settings};
use crate::schedule::{Except, Repeat};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The form that is hashed, as JSON with its fields in this order. Fingerprints are stored: whoever changes this form
/// makes every meeting of every user look changed once.
#[derive(Serialize)]
struct Canonical<'m> {
    version: u8,
    id: &'m str,
    title: &'m str,
    provider: &'m str,
    zone: &'m str,
    start: Option<String>,
    repeat: String,
    except: Vec<String>,
    also: Vec<String>,
    overrides: Vec<CanonicalOverride<'m>>,
    duration_s: i64,
    policy: &'m Policy,
    hosts: &'m [String],
    participants: &'m [Participant],
    settings: &'m Settings,
    passthrough: BTreeMap<&'m str, Value>,
}

#[derive(Serialize)]
struct CanonicalOverride<'m> {
    occurrence: String,
    start: Option<String>,
    duration_s: Option<i64>,
    title: Option<&'m str>,
    cancel: bool,
}

impl Meeting {
    /// SHA-256 over everything here but the location: equal when nothing that matters has changed. The same in every
    /// process and release, whatever the order of keys, exceptions and overrides; the order of people counts.
    pub fn fingerprint(&self) -> [u8; 32] {
        let series = &self.series;
        let sorted = |mut texts: Vec<String>| {
            texts.sort();
            texts.dedup();
            texts
        };
        let except = series.except.iter().map(|except| match except {
            Except::Day(day) => day.to_string(),
            Except::At(time) => time.to_string(),
        });
        let canonical = Canonical {
            version: 1,
            id: &self.id,
            title: &self.title,
            provider: &self.provider,
            zone: series.zone.name(),
            start: series.start.map(|start| start.to_string()),
            // The kind as well: the text alone could be either.
            repeat: match &series.repeat {
                Repeat::Once => "once".to_owned(),
                Repeat::Rule(rule) => format!("rule {rule}"),
                Repeat::Cron(cron) => format!("cron {cron}"),
            },
            except: sorted(except.collect()),
            also: sorted(series.also.iter().map(ToString::to_string).collect()),
            overrides: series
                .overrides
                .iter()
                .map(|(occurrence, change)| CanonicalOverride {
                    occurrence: occurrence.to_string(),
                    start: change.start.map(|start| start.to_string()),
                    duration_s: change.duration.map(|duration| duration.num_seconds()),
                    title: change.title.as_deref(),
                    cancel: change.cancel,
                })
                .collect(),
            duration_s: series.duration.num_seconds(),
            policy: &self.policy,
            hosts: &self.hosts,
            participants: &self.participants,
            settings: &self.settings,
            passthrough: self
                .passthrough
                .iter()
                .map(|(key, value)| (key.as_str(), sorted_keys(value)))
                .collect(),
        };
        let mut hash = Sha256::new();
        // Nothing in it can fail to be JSON: its keys are strings, its numbers are JSON's already.
        hash.update(serde_json::to_vec(&canonical).unwrap_or_default());
        hash.finalize().into()
    }
}

/// `value` with its keys in order, whichever map `serde_json` was built with. The parser bounds how deep this goes.
fn sorted_keys(value: &Value) -> Value {
    match value {
        Value::Object(table) => {
            let sorted: BTreeMap<&String, Value> =
                table.iter().map(|(key, value)| (key, sorted_keys(value))).collect();
            Value::Object(sorted.into_iter().map(|(key, value)| (key.clone(), value)).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(sorted_keys).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
