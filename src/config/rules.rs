//! The keys of a meeting that `[defaults]` can hold as well.

use super::diagnostic::quote;
use super::problems::Place;
use super::provider::KINDS;
use super::reader::{Item, Section};
use super::suggest::nearest;
use crate::lifecycle::{Extend, OnRemoved, Policy, Warn};
use crate::providers::{Participant, Recording, Role, Settings};
use chrono::TimeDelta;
use chrono_tz::Tz;
use std::collections::BTreeMap;
use toml::de::DeValue;

/// Most entries of `hosts` and of `participants`.
const MAX_PEOPLE: usize = 10_000;
/// Most characters of somebody's address or id.
const MAX_PERSON_CHARS: usize = 320;
/// Most warnings before a room closes.
const MAX_WARNINGS: usize = 10;
/// Most characters of a warning.
const MAX_WARNING_CHARS: usize = 200;
/// Most characters of a password.
const MAX_PASSWORD_CHARS: usize = 128;

/// Keys of a meeting that can have their default in `[defaults]`, besides the tables named by kind.
pub(super) const KEYS: [&str; 14] = [
    "provider",
    "timezone",
    "duration",
    "create_ahead",
    "close_delay",
    "extend",
    "on_removed",
    "look_every",
    "no_show",
    "warn",
    "warn_text",
    "hosts",
    "participants",
    "settings",
];
pub(super) const EXTEND_KEYS: [&str; 4] = ["while_occupied", "step", "max", "yields"];
pub(super) const SETTINGS_KEYS: [&str; 4] = ["mute_on_entry", "join_before_host", "recording", "password"];
pub(super) const PARTICIPANT_KEYS: [&str; 2] = ["id", "role"];
const ROLES: [(&str, Role); 3] =
    [("presenter", Role::Presenter), ("attendee", Role::Attendee), ("consumer", Role::Consumer)];

/// A value, and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// What a meeting or `[defaults]` says; `None` is nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) provider: Option<Placed<String>>,
    pub(super) timezone: Option<Tz>,
    pub(super) duration: Option<TimeDelta>,
    pub(super) create_ahead: Option<Placed<TimeDelta>>,
    close_delay: Option<TimeDelta>,
    extend: ExtendKeys,
    on_removed: Option<OnRemoved>,
    look_every: Option<TimeDelta>,
    no_show: NoShow,
    warn: Option<Placed<Vec<TimeDelta>>>,
    warn_text: Option<String>,
    hosts: Option<Vec<String>>,
    participants: Option<Vec<Participant>>,
    settings: Settings,
    /// By kind.
    pub(super) passthrough: BTreeMap<&'static str, serde_json::Map<String, serde_json::Value>>,
}

/// `no_show`, with the word that switches it off where the defaults have it on.
#[derive(Debug, Clone, Default)]
pub(super) enum NoShow {
    /// Nothing is said.
    #[default]
    Unsaid,
    /// `false`.
    Off,
    /// After that.
    After(Placed<TimeDelta>),
}

/// `extend`, key by key.
#[derive(Debug, Clone, Default)]
struct ExtendKeys {
    while_occupied: Option<bool>,
    yields: Option<bool>,
    step: Option<TimeDelta>,
    max: Option<TimeDelta>,
    place: Option<Place>,
}

/// The lengths that a duration or an extension can have.
fn lengths() -> std::ops::RangeInclusive<TimeDelta> {
    TimeDelta::seconds(1)..=TimeDelta::hours(24)
}

/// A planned length.
pub(super) fn duration(item: &Item<'_>) -> Option<TimeDelta> {
    item.duration(lengths(), "30m")
}

impl Rules {
    /// Reads the keys of `section`.
    pub(super) fn read(section: &Section<'_>) -> Self {
        let between = |key, bounds, example| {
            section.item(key).and_then(|item: Item<'_>| {
                let value = item.duration(bounds, example)?;
                Some(Placed { value, place: item.place() })
            })
        };
        let day = TimeDelta::hours(24);
        let look_every = TimeDelta::seconds(10)..=TimeDelta::hours(1);
        let removed = [("finish", OnRemoved::Finish), ("close", OnRemoved::Close)];
        let mut rules = Self {
            provider: section.item("provider").and_then(|item| {
                let value = item.string("provider = \"house\"")?.to_owned();
                Some(Placed { value, place: item.place() })
            }),
            timezone: section.item("timezone").and_then(|item| timezone(&item)),
            duration: section.item("duration").and_then(|item| duration(&item)),
            create_ahead: between("create_ahead", TimeDelta::zero()..=TimeDelta::days(30), "15m"),
            close_delay: between("close_delay", TimeDelta::zero()..=day, "5m").map(|placed| placed.value),
            extend: section.item("extend").map(|item| ExtendKeys::read(&item)).unwrap_or_default(),
            on_removed: section.item("on_removed").and_then(|item| item.choice(&removed)),
            look_every: between("look_every", look_every, "5m").map(|placed| placed.value),
            no_show: section.item("no_show").and_then(|item| no_show(&item)).unwrap_or_default(),
            warn: section.item("warn").and_then(|item| warn(&item)),
            warn_text: section.item("warn_text").and_then(|item| warn_text(&item)),
            hosts: section.item("hosts").and_then(|item| hosts(&item)),
            participants: section.item("participants").and_then(|item| participants(&item)),
            settings: section.item("settings").map(|item| settings(&item)).unwrap_or_default(),
            passthrough: BTreeMap::new(),
        };
        for kind in KINDS {
            if let Some(item) = section.item(kind)
                && let Some(table) = passthrough(&item)
            {
                rules.passthrough.insert(kind, table);
            }
        }
        rules
    }

    /// These, and `defaults` for what they do not say. `extend` and `settings` are filled up key by key; lists and the
    /// tables by kind are taken as a whole.
    pub(super) fn or(mut self, defaults: &Self) -> Self {
        fn fill<T: Clone>(slot: &mut Option<T>, default: Option<&T>) {
            if slot.is_none() {
                *slot = default.cloned();
            }
        }
        fill(&mut self.provider, defaults.provider.as_ref());
        fill(&mut self.timezone, defaults.timezone.as_ref());
        fill(&mut self.duration, defaults.duration.as_ref());
        fill(&mut self.create_ahead, defaults.create_ahead.as_ref());
        fill(&mut self.close_delay, defaults.close_delay.as_ref());
        fill(&mut self.extend.step, defaults.extend.step.as_ref());
        fill(&mut self.extend.max, defaults.extend.max.as_ref());
        fill(&mut self.extend.while_occupied, defaults.extend.while_occupied.as_ref());
        fill(&mut self.extend.yields, defaults.extend.yields.as_ref());
        fill(&mut self.on_removed, defaults.on_removed.as_ref());
        fill(&mut self.look_every, defaults.look_every.as_ref());
        if matches!(self.no_show, NoShow::Unsaid) {
            self.no_show = defaults.no_show.clone();
        }
        fill(&mut self.warn, defaults.warn.as_ref());
        fill(&mut self.warn_text, defaults.warn_text.as_ref());
        fill(&mut self.hosts, defaults.hosts.as_ref());
        fill(&mut self.participants, defaults.participants.as_ref());
        fill(&mut self.settings.mute_on_entry, defaults.settings.mute_on_entry.as_ref());
        fill(&mut self.settings.join_before_host, defaults.settings.join_before_host.as_ref());
        fill(&mut self.settings.recording, defaults.settings.recording.as_ref());
        fill(&mut self.settings.password, defaults.settings.password.as_ref());
        for (kind, table) in &defaults.passthrough {
            self.passthrough.entry(kind).or_insert_with(|| table.clone());
        }
        self
    }

    /// Reports an extension that cannot be, where these rules themselves say something about it.
    pub(super) fn check_extend(&self, problems: &super::problems::Problems) {
        let Some(place) = &self.extend.place else { return };
        let Some(Extend { step, max, .. }) = self.extend.resolve() else { return };
        if max < step {
            let (step, max) = (super::duration::format(step), super::duration::format(max));
            let message = format!("`extend.max` is less than `extend.step`: {max} and {step}");
            problems.error(
                place,
                message,
                "`max`, 1h by default, is how far the end moves in all".to_owned(),
            );
        }
    }

    /// The policy, with the built-in defaults for what is still not said.
    pub(super) fn policy(&self) -> Policy {
        Policy {
            create_ahead: self.create_ahead.as_ref().map_or(TimeDelta::minutes(15), |placed| placed.value),
            close_delay: self.close_delay.unwrap_or(TimeDelta::minutes(5)),
            extend: self.extend.resolve(),
            on_removed: self.on_removed.unwrap_or_default(),
            look_every: self.look_every.unwrap_or(TimeDelta::minutes(5)),
            no_show: self.no_show().map(|placed| placed.value),
            warn: Warn {
                before: self.warn.as_ref().map(|placed| placed.value.clone()).unwrap_or_default(),
                text: self.warn_text.clone().unwrap_or_else(|| Warn::DEFAULT_TEXT.to_owned()),
            },
        }
    }

    /// `no_show`, where it is on.
    pub(super) fn no_show(&self) -> Option<&Placed<TimeDelta>> {
        match &self.no_show {
            NoShow::After(placed) => Some(placed),
            NoShow::Off | NoShow::Unsaid => None,
        }
    }

    /// `warn`, where there is any.
    pub(super) fn warn(&self) -> Option<&Placed<Vec<TimeDelta>>> {
        self.warn.as_ref().filter(|placed| !placed.value.is_empty())
    }

    /// Who leads.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().flatten().map(String::as_str)
    }

    /// Hosts, participants and settings.
    pub(super) fn people_and_settings(&self) -> (Vec<String>, Vec<Participant>, Settings) {
        let people = self.participants.clone().unwrap_or_default();
        (self.hosts.clone().unwrap_or_default(), people, self.settings.clone())
    }
}

impl ExtendKeys {
    /// `extend = { … }`, or `extend = true | false`.
    fn read(item: &Item<'_>) -> Self {
        const EXAMPLE: &str = "extend = { while_occupied = true, step = \"10m\", max = \"1h\" }";
        let place = Some(item.place());
        if let Some(is_on) = item.value().as_bool() {
            return Self { while_occupied: Some(is_on), place, ..Self::default() };
        }
        let Some(section) = item.section(&EXTEND_KEYS, EXAMPLE) else { return Self::default() };
        Self {
            // A table without the word is there for its step or limit.
            while_occupied: Some(
                section.item("while_occupied").and_then(|item| item.boolean()).unwrap_or(true),
            ),
            step: section.item("step").and_then(|item| item.duration(lengths(), "10m")),
            max: section.item("max").and_then(|item| item.duration(lengths(), "1h")),
            yields: section.item("yields").and_then(|item| item.boolean()),
            place,
        }
    }

    /// Nothing said is no extension.
    fn resolve(&self) -> Option<Extend> {
        self.while_occupied.unwrap_or(false).then(|| {
            let step = self.step.unwrap_or(TimeDelta::minutes(10));
            let max = self.max.unwrap_or(TimeDelta::hours(1));
            Extend { step, max, yields: self.yields.unwrap_or(true) }
        })
    }
}

/// `no_show = "20m"`, or `false`.
fn no_show(item: &Item<'_>) -> Option<NoShow> {
    if item.value().as_bool() == Some(false) {
        return Some(NoShow::Off);
    }
    let value = item.duration(TimeDelta::minutes(1)..=TimeDelta::hours(24), "20m")?;
    Some(NoShow::After(Placed { value, place: item.place() }))
}

/// `warn = ["5m", "1m"]`: the longest first, none twice.
fn warn(item: &Item<'_>) -> Option<Placed<Vec<TimeDelta>>> {
    let entries = item.elements(MAX_WARNINGS, "warn = [\"5m\", \"1m\"]")?;
    let bounds = TimeDelta::minutes(1)..=TimeDelta::hours(24);
    let mut value: Vec<_> = entries.iter().filter_map(|entry| entry.duration(bounds.clone(), "5m")).collect();
    value.sort_unstable_by(|a, b| b.cmp(a));
    value.dedup();
    Some(Placed { value, place: item.place() })
}

/// One plain line, in which only the minutes can be filled in.
fn warn_text(item: &Item<'_>) -> Option<String> {
    let text = item.string("warn_text = \"This room closes in {minutes} min.\"")?;
    let count = text.chars().count();
    if text.trim().is_empty() || count > MAX_WARNING_CHARS {
        let message = format!("`warn_text` must have 1 to {MAX_WARNING_CHARS} characters, not {count}");
        item.error(message, None);
        return None;
    }
    if !is_plain_line(text) {
        let message =
            "`warn_text` must not hold control characters or marks that change the direction of text";
        item.error(message, None);
        return None;
    }
    if text.replace(Warn::MINUTES, "").contains(['{', '}']) {
        let help = format!("{} is the only thing that can be filled in", Warn::MINUTES);
        item.error("`warn_text` holds braces that stand for nothing", help);
        return None;
    }
    Some(text.to_owned())
}

/// An IANA zone.
pub(super) fn timezone(item: &Item<'_>) -> Option<Tz> {
    const EXAMPLE: &str = "timezone = \"Europe/Paris\"";
    let text = item.string(EXAMPLE)?;
    let zone = text.parse().ok();
    if zone.is_none() {
        let names = || chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        let cities = names().filter_map(|name| name.rsplit_once('/').map(|(_, city)| (city, name)));
        let city = nearest(text, cities.clone().map(|(city, _)| city));
        let near = nearest(text, names()).or_else(|| {
            cities.into_iter().find(|(candidate, _)| Some(*candidate) == city).map(|(_, name)| name)
        });
        let help = match near {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("write a zone of the IANA database, for example {EXAMPLE}"),
        };
        item.error(format!("unknown timezone {}", quote(text)), help);
    }
    zone
}

/// Whether `text` can stand in one line of a message or page: no control characters, none that change its direction.
pub(super) fn is_plain_line(text: &str) -> bool {
    !text.contains(|c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    })
}

fn person(item: &Item<'_>, text: &str) -> Option<String> {
    let is_person =
        !text.trim().is_empty() && text.chars().count() <= MAX_PERSON_CHARS && is_plain_line(text);
    if !is_person {
        let message =
            format!("`{}` holds something that is not an address or id: {}", item.name, quote(text));
        item.error(message, format!("1 to {MAX_PERSON_CHARS} characters, without control characters"));
    }
    is_person.then(|| text.to_owned())
}

fn hosts(item: &Item<'_>) -> Option<Vec<String>> {
    const EXAMPLE: &str = "hosts = [\"alice@example.com\"]";
    let people = item.elements(MAX_PEOPLE, EXAMPLE)?;
    Some(people.iter().filter_map(|item| person(item, item.string(EXAMPLE)?)).collect())
}

fn participants(item: &Item<'_>) -> Option<Vec<Participant>> {
    const EXAMPLE: &str =
        "participants = [\"bob@example.com\", { id = \"eve@example.com\", role = \"presenter\" }]";
    let people = item.elements(MAX_PEOPLE, EXAMPLE)?;
    let one = |item: &Item<'_>| {
        if let Some(text) = item.value().as_str() {
            return Some(Participant { id: person(item, text)?, role: None });
        }
        let section = item.section(&PARTICIPANT_KEYS, EXAMPLE)?;
        let id = section.require("id", "{ id = \"bob@example.com\" }");
        let id = id.and_then(|item| person(&item, item.string(EXAMPLE)?));
        let role = section.item("role").and_then(|item| item.choice(&ROLES));
        Some(Participant { id: id?, role })
    };
    Some(people.iter().filter_map(one).collect())
}

fn settings(item: &Item<'_>) -> Settings {
    let example = "settings = { mute_on_entry = true }";
    let Some(section) = item.section(&SETTINGS_KEYS, example) else { return Settings::default() };
    let recordings = [("none", Recording::None), ("cloud", Recording::Cloud), ("local", Recording::Local)];
    Settings {
        mute_on_entry: section.item("mute_on_entry").and_then(|item| item.boolean()),
        join_before_host: section.item("join_before_host").and_then(|item| item.boolean()),
        recording: section.item("recording").and_then(|item| item.choice(&recordings)),
        password: section.item("password").and_then(|item| password(&item)),
    }
}

fn password(item: &Item<'_>) -> Option<String> {
    let text = item.string("password = \"…\"")?;
    let is_password = !text.is_empty() && text.chars().count() <= MAX_PASSWORD_CHARS && is_plain_line(text);
    if !is_password {
        let message =
            format!("`password` must have 1 to {MAX_PASSWORD_CHARS} characters, no control characters");
        item.error(message, None);
    }
    is_password.then(|| text.to_owned())
}

/// A table that is handed to the driver as it is.
fn passthrough(item: &Item<'_>) -> Option<serde_json::Map<String, serde_json::Value>> {
    if item.value().as_table().is_none() {
        item.wrong_type("a table", &format!("{} = {{ settings = {{ … }} }}", item.name));
        return None;
    }
    match json(item.value()) {
        Some(serde_json::Value::Object(table)) => Some(table),
        _ => {
            let message = format!("`{}` holds a number that JSON cannot have", item.name);
            item.error(message, "integers are between -2^63 and 2^63-1, floats are finite".to_owned());
            None
        }
    }
}

/// As JSON; dates and times become strings. The parser bounds how deep this goes.
fn json(value: &DeValue<'_>) -> Option<serde_json::Value> {
    use serde_json::Value;
    Some(match value {
        DeValue::String(text) => Value::String(text.as_ref().to_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok()?.into(),
        DeValue::Float(number) => serde_json::Number::from_f64(number.as_str().parse().ok()?)?.into(),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(datetime) => Value::String(datetime.to_string()),
        DeValue::Array(array) => array.iter().map(|value| json(value.get_ref())).collect::<Option<_>>()?,
        DeValue::Table(table) => {
            let entries =
                table.iter().map(|(key, value)| Some((key.get_ref().to_string(), json(value.get_ref())?)));
            Value::Object(entries.collect::<Option<_>>()?)
        }
    })
}
