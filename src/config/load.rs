//! Puts a configuration together from its files.

use super::diagnostic::{Diagnostic, Severity, quote};
use super::document::{Document, Reading};
use super::meeting::{self, Draft, MAX_MEETINGS, Meeting, Surroundings};
use super::problems::{Nature, Place, Problems};
use super::provider::{
    self, DEFAULT_PROVIDER, Entry, KINDS, MeetingServiceConfig, ProviderConfig, ProviderKind,
};
use super::rules::{self, Rules};
use super::secret::SecretUse;
use super::suggest::nearest;
use super::{Config, Daemon, daemon, lint, seats};
use crate::seams::Files;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What [`load`] found.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration; `None` when a diagnostic is an error.
    pub config: Option<Config>,
    /// Every problem, in the order of the files and lines; at most 100, and one more that counts the rest.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read (or tried), the first file first.
    pub sources: Vec<PathBuf>,
    /// The glob patterns of the includes, made absolute: what may bring further files.
    pub patterns: Vec<String>,
    /// SHA-256 over names and contents of all files: tells whether anything changed.
    pub digest: [u8; 32],
    /// What `daemon.state_dir` says, also where other parts are wrong: `status` needs it then, too.
    pub state_dir: Option<PathBuf>,
}

impl Loaded {
    /// Nothing but a problem.
    pub fn failed(diagnostic: Diagnostic) -> Self {
        let sources = vec![diagnostic.path.clone()];
        let (diagnostics, patterns, state_dir) = (vec![diagnostic], Vec::new(), None);
        Self { config: None, diagnostics, sources, patterns, digest: [1; 32], state_dir }
    }
}

/// Reads `path` and what it includes. `now` is for what depends on the date: a series that is over, a rule that makes
/// too many occurrences from now to the horizon.
pub fn load(path: &Path, files: &dyn Files, now: DateTime<Utc>) -> Loaded {
    let problems = Problems::default();
    let mut reading = Reading::new(files, &problems);
    let mut parts = Parts::default();
    reading.read(path, &mut |document| parts.take(document));
    let (digest, patterns) = reading.finish();
    parts.check(&problems, now);
    // Before the problems are shown: what is left out there may be an error all the same.
    let has_errors = problems.has_errors();
    let state_dir = parts.daemon.state_dir.clone();
    let mut config = parts.into_config(&problems, now);
    let diagnostics = problems.finish();
    if has_errors {
        config = None;
    }
    Loaded { config, diagnostics, sources: problems.paths(), patterns, digest, state_dir }
}

/// What was read so far.
#[derive(Default)]
struct Parts {
    timezone: Option<Tz>,
    daemon: Daemon,
    token_key_place: Option<Place>,
    defaults: Rules,
    providers: BTreeMap<String, Entry>,
    drafts: Vec<Draft>,
    ids: BTreeMap<String, Place>,
}

impl Parts {
    /// Adds one file.
    fn take(&mut self, document: &Document<'_>) {
        let Document { context, root, folder, is_first } = document;
        if *is_first {
            self.timezone = root.item("timezone").and_then(|item| rules::timezone(&item));
            let section = root.item("daemon").and_then(|item| item.section(&daemon::KEYS, "[daemon]"));
            self.token_key_place =
                section.as_ref().and_then(|section| section.item("token_key")).map(|item| item.place());
            self.daemon = section.map(|section| daemon::read(&section, folder)).unwrap_or_default();
            let keys: Vec<&'static str> = rules::KEYS.into_iter().chain(KINDS).collect();
            let section = root.item("defaults").and_then(|item| item.section(&keys, "[defaults]"));
            self.defaults = section.map(|section| Rules::read(&section)).unwrap_or_default();
            self.defaults.check_extend(context.problems);
        }
        if let Some(item) = root.item("providers") {
            provider::read_all(&item, folder, &mut self.providers);
        }
        if let Some(item) = root.item("meetings") {
            let surroundings =
                Surroundings { defaults: &self.defaults, timezone: self.defaults.timezone.or(self.timezone) };
            let (drafts, ids) = (&mut self.drafts, &mut self.ids);
            meeting::read_all(&item, &surroundings, &mut |draft| add(draft, drafts, ids, context.problems));
        }
    }

    /// Checks what concerns more than one file or part.
    fn check(&self, problems: &Problems, now: DateTime<Utc>) {
        let horizon = self.daemon.horizon;
        lint::create_ahead(&self.drafts, &self.defaults, horizon, problems);
        lint::occurrences(&self.drafts, horizon, now, problems);
        lint::rules_without_effect(&self.drafts, &self.defaults, problems);
        if let Some(draft) = self.drafts.iter().find(|draft| !draft.has_zone) {
            let help =
                "write timezone = \"Europe/Paris\" at the top of the first file, for all meetings".to_owned();
            let message = "no `timezone` is named: its times are taken as UTC";
            problems.report(&draft.places.meeting, Severity::Warning, Nature::Missing, message, Some(help));
        }
        if let Some(named) = &self.defaults.provider {
            self.check_provider(&named.value, &named.place, problems);
        }
        for draft in &self.drafts {
            let is_default =
                |place: &Place| self.defaults.provider.as_ref().is_some_and(|named| named.place == *place);
            match &draft.rules.provider {
                Some(named) if is_default(&named.place) => {}
                Some(named) => self.check_provider(&named.value, &named.place, problems),
                None if self.providers.len() > 1 => {
                    let help = format!("name one of {}, here or in [defaults]", self.provider_names());
                    let message = "`provider` is missing, and there are several";
                    let place = &draft.places.meeting;
                    problems.report(place, Severity::Error, Nature::Reference, message, Some(help));
                }
                None => {}
            }
        }
        if !problems.has_errors() {
            seats::double_booked(&self.drafts, |draft| self.provider_of(draft), horizon, now, problems);
        }
        self.check_unused(problems);
    }

    fn check_provider(&self, name: &str, place: &Place, problems: &Problems) {
        let is_implied = self.providers.is_empty() && name == DEFAULT_PROVIDER;
        if self.providers.contains_key(name) || is_implied {
            return;
        }
        let help = match nearest(name, self.providers.keys().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if self.providers.is_empty() => {
                format!("define it with [providers.NAME], or use \"{DEFAULT_PROVIDER}\", which is built in")
            }
            None => format!("the providers are {}", self.provider_names()),
        };
        let message = format!("unknown provider {}", quote(name));
        problems.report(place, Severity::Error, Nature::Reference, message, Some(help));
    }

    fn provider_names(&self) -> String {
        let names: Vec<String> = self.providers.keys().take(20).map(|name| quote(name)).collect();
        let more = if self.providers.len() > names.len() { ", …" } else { "" };
        format!("{}{more}", names.join(", "))
    }

    fn check_unused(&self, problems: &Problems) {
        // They follow from errors that are told already: a misspelt provider, meetings that cannot be read.
        if problems.has_errors() {
            return;
        }
        if self.drafts.is_empty() {
            let help = "add one with [[meetings]]".to_owned();
            problems.warning(&Place { file: 0, span: None }, "there are no meetings", help);
            return;
        }
        for (name, entry) in &self.providers {
            if !self.drafts.iter().any(|draft| self.provider_of(draft) == name) {
                let message = format!("no meeting uses provider {}", quote(name));
                problems.report(&entry.place, Severity::Warning, Nature::Reference, message, None);
            }
        }
    }

    /// The provider of a meeting: its own, the default, the only one, the built-in one.
    fn provider_of<'p>(&'p self, draft: &'p Draft) -> &'p str {
        match (&draft.rules.provider, self.providers.keys().next()) {
            (Some(named), _) => &named.value,
            (None, Some(only)) => only,
            (None, None) => DEFAULT_PROVIDER,
        }
    }

    /// The configuration, if all its parts are there.
    fn into_config(mut self, problems: &Problems, now: DateTime<Utc>) -> Option<Config> {
        let mut providers = BTreeMap::new();
        let mut secrets = Vec::new();
        if let (Some(secret), Some(place)) = (&self.daemon.token_key, &self.token_key_place) {
            let (secret, key) = (secret.clone(), "daemon.token_key".to_owned());
            secrets.push(SecretUse { secret, key, place: problems.point_at(place) });
        }
        for (name, entry) in &mut self.providers {
            providers.insert(name.clone(), entry.config.take()?);
            for (key, secret, place) in entry.secrets.drain(..) {
                secrets.push(SecretUse { secret, key, place: problems.point_at(&place) });
            }
        }
        if providers.is_empty() {
            providers.insert(DEFAULT_PROVIDER.to_owned(), built_in());
        }
        let mut meetings = BTreeMap::new();
        for draft in &self.drafts {
            let provider = self.provider_of(draft);
            let provider_config = providers.get(provider)?;
            let kind = provider_config.kind.name();
            let (hosts, participants, settings) = draft.rules.people_and_settings();
            let meeting = Meeting {
                id: draft.id.clone(),
                title: draft.title.clone(),
                provider: provider.to_owned(),
                series: draft.series.clone()?,
                policy: draft.rules.policy(),
                hosts,
                participants,
                settings,
                passthrough: draft.rules.passthrough.get(kind).cloned().unwrap_or_default(),
                location: problems.location(&draft.places.meeting),
            };
            lint::unsupported(&meeting, draft, provider_config, problems);
            meetings.insert(draft.id.clone(), Arc::new(meeting));
        }
        let timezone = self.defaults.timezone.or(self.timezone).unwrap_or(Tz::UTC);
        let config = Config { timezone, daemon: self.daemon, providers, meetings, secrets };
        lint::foresee(&config, &self.drafts, now, problems);
        Some(config)
    }
}

/// Adds a meeting; `false` when there are too many.
fn add(
    draft: Draft,
    drafts: &mut Vec<Draft>,
    ids: &mut BTreeMap<String, Place>,
    problems: &Problems,
) -> bool {
    let place = &draft.places.id;
    if let Some(other) = ids.get(&draft.id) {
        let other = problems.location(other);
        problems.error(place, format!("meeting {} is already defined at {other}", quote(&draft.id)), None);
        return true;
    }
    if drafts.len() >= MAX_MEETINGS {
        problems.error(place, format!("more than {MAX_MEETINGS} meetings"), None);
        return false;
    }
    ids.insert(draft.id.clone(), place.clone());
    drafts.push(draft);
    true
}

/// The provider that there is when none is configured.
fn built_in() -> ProviderConfig {
    ProviderConfig {
        name: DEFAULT_PROVIDER.to_owned(),
        rate_limit: None,
        max_in_flight: 32,
        timeout: Duration::from_secs(30),
        kind: ProviderKind::MeetingService(MeetingServiceConfig::BuiltIn),
    }
}
