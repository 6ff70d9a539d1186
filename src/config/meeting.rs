//! `[[meetings]]`.

use super::diagnostic::quote;
use super::problems::Place;
use super::provider::KINDS;
use super::reader::{Context, DayOrTime, Item, Section};
use super::rules::{self, Rules, is_plain_line};
use crate::lifecycle::Policy;
use crate::providers::{Participant, Settings};
use crate::schedule::{Cron, Except, Override, Repeat, Rule, RuleError, Series};
use chrono::NaiveDateTime;
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// One `[[meetings]]` entry, `[defaults]` applied.
#[derive(Debug, Clone)]
pub struct Meeting {
    /// Its id: 1 to 64 letters, digits, `.`, `_`, `-`.
    pub id: String,
    /// Its title, at most 200 characters, without control characters; default the id.
    pub title: String,
    /// The provider's name.
    pub provider: String,
    /// When it takes place.
    pub series: Series,
    /// The rules.
    pub policy: Policy,
    /// Who leads it.
    pub hosts: Vec<String>,
    /// Who is invited.
    pub participants: Vec<Participant>,
    /// Portable settings.
    pub settings: Settings,
    /// The table named like the provider's kind, as JSON.
    pub passthrough: serde_json::Map<String, serde_json::Value>,
    /// `path:line:col` of the entry.
    pub location: String,
}

/// Most meetings of one configuration.
pub const MAX_MEETINGS: usize = 50_000;
/// Most entries of `except`, `also` and `overrides`.
const MAX_EXCEPTIONS: usize = 10_000;
/// Most characters of a title.
const MAX_TITLE_CHARS: usize = 200;

/// Keys that only a meeting has.
pub(super) const KEYS: [&str; 8] = ["id", "title", "start", "repeat", "cron", "except", "also", "overrides"];
pub(super) const OVERRIDE_KEYS: [&str; 5] = ["occurrence", "start", "duration", "title", "cancel"];
const START: &str = "start = 2026-11-23T09:30:00";

/// A meeting as it was read; its provider is resolved when all files are.
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) rules: Rules,
    /// `None` when something is wrong with it.
    pub(super) series: Option<Series>,
    pub(super) places: Places,
    /// Whether a zone was named for it anywhere.
    pub(super) has_zone: bool,
}

/// Where the parts of a meeting stand.
pub(super) struct Places {
    pub(super) meeting: Place,
    pub(super) id: Place,
    pub(super) repeat: Option<Place>,
    pub(super) except: Vec<Place>,
    pub(super) start: Option<Place>,
    pub(super) duration: Option<Place>,
    /// By the original start.
    pub(super) overrides: BTreeMap<NaiveDateTime, Place>,
    /// The overrides that have a start of their own, by that.
    pub(super) moved: BTreeMap<NaiveDateTime, Place>,
}

/// What meetings take from the first file.
pub(super) struct Surroundings<'d> {
    pub(super) defaults: &'d Rules,
    pub(super) timezone: Option<Tz>,
}

/// All keys of a meeting.
fn keys() -> Vec<&'static str> {
    KEYS.into_iter().chain(rules::KEYS).chain(KINDS).collect()
}

/// Reads the meetings of one file.
pub(super) fn read_all(
    item: &Item<'_>,
    surroundings: &Surroundings<'_>,
    take: &mut dyn FnMut(Draft) -> bool,
) {
    let example = "[[meetings]]";
    if item.value().as_array().is_none() {
        item.wrong_type("a list of tables", &format!("{example}, with two brackets on each side"));
        return;
    }
    let keys = keys();
    for item in item.elements(usize::MAX, example).unwrap_or_default() {
        if let Some(section) = item.section(&keys, example)
            && let Some(draft) = read(item.context, &section, surroundings)
            && !take(draft)
        {
            return;
        }
    }
}

/// `None` when it has no id: then nothing can be said about it as a whole.
fn read(context: Context<'_>, section: &Section<'_>, surroundings: &Surroundings<'_>) -> Option<Draft> {
    let rules = Rules::read(section).or(surroundings.defaults);
    rules.check_extend(context.problems);
    let mut places = Places {
        meeting: section.place().clone(),
        id: section.place().clone(),
        repeat: None,
        except: Vec::new(),
        start: section.item("start").map(|item| item.place()),
        duration: section.item("duration").map(|item| item.place()),
        overrides: BTreeMap::new(),
        moved: BTreeMap::new(),
    };
    let zone = rules.timezone.or(surroundings.timezone);
    let series = series(section, &rules, zone.unwrap_or(Tz::UTC), &mut places);
    let title = section.item("title").map(|item| title(&item));
    let item = section.require("id", "id = \"standup\"")?;
    let id = id(&item)?;
    places.id = item.place();
    Some(Draft {
        title: title.flatten().unwrap_or_else(|| id.clone()),
        id,
        has_zone: zone.is_some() || section.has("timezone"),
        rules,
        series,
        places,
    })
}

fn id(item: &Item<'_>) -> Option<String> {
    let text = item.string("id = \"standup\"")?;
    let is_id = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !is_id {
        let help = "it can have 1 to 64 letters, digits, `.`, `_` and `-`".to_owned();
        item.error(format!("`id` cannot be {}", quote(text)), help);
    }
    is_id.then(|| text.to_owned())
}

fn title(item: &Item<'_>) -> Option<String> {
    let text = item.string("title = \"Daily stand-up\"")?;
    let count = text.chars().count();
    if text.trim().is_empty() || count > MAX_TITLE_CHARS {
        let message = format!("`title` must have 1 to {MAX_TITLE_CHARS} characters, not {count}");
        item.error(message, None);
        return None;
    }
    if !is_plain_line(text) {
        let message = "`title` must not hold control characters or marks that change the direction of text";
        item.error(message, None);
        return None;
    }
    Some(text.to_owned())
}

fn series(section: &Section<'_>, rules: &Rules, zone: Tz, places: &mut Places) -> Option<Series> {
    let start = section.item("start").map(|item| item.local_time());
    let repeat = repeat(section, places);
    let mut except = Vec::new();
    for item in list(section, "except", "except = [2026-12-25, 2027-01-01T09:30:00]") {
        if let Some(day_or_time) = item.day_or_time() {
            except.push(match day_or_time {
                DayOrTime::Day(day) => Except::Day(day),
                DayOrTime::Time(time) => Except::At(time),
            });
            places.except.push(item.place());
        }
    }
    let mut also = Vec::new();
    for item in list(section, "also", "also = [2026-12-28T10:00:00]") {
        if let Some(time) = item.local_time() {
            also.push(time);
        }
    }
    let overrides = overrides(section, places);
    if rules.duration.is_none() && !section.has("duration") {
        section.missing("duration", "duration = \"30m\"");
    }
    let is_cron = section.has("cron") || matches!(repeat, Some(Repeat::Cron(_)));
    if start.is_none() && !is_cron {
        section.missing("start", START);
    }
    let start = match start {
        Some(start) => Some(start?),
        None => None,
    };
    Some(Series { zone, start, repeat: repeat?, except, also, overrides, duration: rules.duration? })
}

fn list<'t>(section: &Section<'t>, key: &'static str, example: &str) -> Vec<Item<'t>> {
    section.item(key).and_then(|item| item.elements(MAX_EXCEPTIONS, example)).unwrap_or_default()
}

/// `repeat`, which is a rule or a cron pattern, or `cron`; neither is once.
fn repeat(section: &Section<'_>, places: &mut Places) -> Option<Repeat> {
    let (rule, cron) = (section.item("repeat"), section.item("cron"));
    if let (Some(_), Some(cron)) = (&rule, &cron) {
        cron.error("a meeting has `repeat` or `cron`, not both", "take one of them out".to_owned());
    }
    let Some(item) = rule.or(cron) else { return Some(Repeat::Once) };
    places.repeat = Some(item.place());
    let parsed = match item.name {
        "repeat" => match item.string("repeat = \"FREQ=WEEKLY;BYDAY=MO,WE\"")? {
            text if looks_like_cron(text) => Cron::parse(text).map(Repeat::Cron),
            text => Rule::parse(text).map(Repeat::Rule),
        },
        _ => Cron::parse(item.string("cron = \"30 9 * * 1-5\"")?).map(Repeat::Cron),
    };
    match parsed {
        Ok(repeat) => Some(repeat),
        Err(RuleError { span, message, help }) => {
            let help = help.map(|help| crate::log::escape(&help));
            item.context.problems.error(&item.place_within(&span), crate::log::escape(&message), help);
            None
        }
    }
}

/// Every part of a rule has a `=`, which no cron pattern has.
fn looks_like_cron(text: &str) -> bool {
    !text.contains('=') && (text.trim_start().starts_with('@') || text.split_whitespace().count() >= 5)
}

fn overrides(section: &Section<'_>, places: &mut Places) -> BTreeMap<NaiveDateTime, Override> {
    const EXAMPLE: &str = "[[meetings.overrides]]";
    let mut overrides = BTreeMap::new();
    for item in list(section, "overrides", EXAMPLE) {
        let Some(section) = item.section(&OVERRIDE_KEYS, EXAMPLE) else { continue };
        let change = Override {
            start: section.item("start").and_then(|item| item.local_time()),
            duration: section.item("duration").and_then(|item| rules::duration(&item)),
            title: section.item("title").and_then(|item| title(&item)),
            cancel: section.item("cancel").and_then(|item| item.boolean()).unwrap_or(false),
        };
        let occurrence = section.require("occurrence", "occurrence = 2026-11-23T09:30:00");
        let Some(original) = occurrence.and_then(|item| item.local_time()) else { continue };
        if OVERRIDE_KEYS.into_iter().skip(1).all(|key| !section.has(key)) {
            let help = "add `start`, `duration`, `title` or `cancel = true`".to_owned();
            item.warning("the override changes nothing", help);
        }
        if let Some(other) = places.overrides.get(&original) {
            let other = item.context.problems.location(other);
            item.error(format!("{original} is already overridden at {other}"), None);
            continue;
        }
        let place = occurrence.map_or_else(|| item.place(), |item| item.place());
        if let Some(moved) = change.start {
            places
                .moved
                .insert(moved, section.item("start").map_or_else(|| place.clone(), |item| item.place()));
        }
        places.overrides.insert(original, place);
        overrides.insert(original, change);
    }
    overrides
}

impl Places {
    /// Where the rule stands, or the meeting.
    pub(super) fn rule(&self) -> &Place {
        self.repeat.as_ref().unwrap_or(&self.meeting)
    }
}
