//! What can be said only about a meeting as a whole, or about all of them.

mod zoom;

use super::diagnostic::{Severity, quote};
use super::duration;
use super::forecast;
use super::meeting::{Draft, Meeting};
use super::problems::{Nature, Place, Problems};
use super::provider::{ProviderConfig, ProviderKind};
use super::rules::Rules;
use super::{Config, MAX_OCCURRENCES_PER_MEETING};
use crate::log::escape;
use crate::providers::meeting_service;
use crate::schedule::Finding;
use chrono::{DateTime, TimeDelta, Utc};

/// Most occurrences of all meetings within the horizon.
pub const MAX_OCCURRENCES: usize = 2_000_000;

/// Looks at when the meetings take place, from `now` to the horizon.
pub(super) fn occurrences(drafts: &[Draft], horizon: TimeDelta, now: DateTime<Utc>, problems: &Problems) {
    let until = now.checked_add_signed(horizon).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let mut total = 0_usize;
    for draft in drafts {
        let Some(series) = &draft.series else { continue };
        match series.expand(now..until, MAX_OCCURRENCES_PER_MEETING) {
            Ok(instances) => total = total.saturating_add(instances.len()),
            Err(_) => {
                let message = format!(
                    "more than {MAX_OCCURRENCES_PER_MEETING} occurrences within the horizon ({})",
                    duration::format(horizon)
                );
                problems.error(draft.places.rule(), message, shorten());
                continue;
            }
        }
        if total > MAX_OCCURRENCES {
            let message = format!(
                "more than {MAX_OCCURRENCES} occurrences of all meetings within the horizon ({})",
                duration::format(horizon)
            );
            problems.error(&draft.places.meeting, message, shorten());
            return;
        }
        report(draft, &series.findings(now..until, now), problems);
    }
}

fn report(draft: &Draft, findings: &[Finding], problems: &Problems) {
    let is_shift = |finding: &Finding| matches!(finding, Finding::Gap { .. } | Finding::Overlap { .. });
    let mut told: Option<&Place> = None;
    for finding in findings {
        let place = place_of(draft, finding);
        let mut help = finding.help().map(|help| escape(&help));
        // A rule that meets a change of the clocks more than once is told of once.
        if is_shift(finding) {
            if told == Some(place) {
                continue;
            }
            told = Some(place);
            let alike = |other: &&Finding| is_shift(other) && place_of(draft, other) == place;
            let more = findings.iter().filter(alike).count() - 1;
            help = (more > 0).then(|| format!("and so do {more} more at least, up to the horizon"));
        }
        let text = escape(&finding.to_string());
        if finding.is_error() {
            problems.error(place, text, help);
        } else {
            problems.warning(place, text, help);
        }
    }
}

/// Warns where a meeting asks of its provider what that cannot do.
pub(super) fn unsupported(meeting: &Meeting, draft: &Draft, provider: &ProviderConfig, problems: &Problems) {
    let unsupported = match &provider.kind {
        ProviderKind::MeetingService(_) => meeting_service::capabilities().unsupported_settings,
        ProviderKind::Zoom(settings) => return zoom::check(meeting, draft, settings, problems),
    };
    for (setting, consequence) in unsupported {
        if meeting.settings.has(setting) {
            let message = format!("provider {} has no `{setting}`: it {consequence}", quote(&provider.name));
            let place = &draft.places.meeting;
            problems.report(place, Severity::Warning, Nature::Reference, message, None);
        }
    }
}

/// Warns of what the schedule will run into on its providers, from `now` to the horizon.
pub(super) fn foresee(config: &Config, drafts: &[Draft], now: DateTime<Utc>, problems: &Problems) {
    let until = now.checked_add_signed(config.daemon.horizon).unwrap_or(DateTime::<Utc>::MAX_UTC);
    for foreseen in forecast::foresee(config, now, until) {
        let Some(draft) = drafts.iter().find(|draft| draft.id == foreseen.meeting) else { continue };
        let help = Some(foreseen.help.to_owned());
        problems.report(&draft.places.meeting, Severity::Warning, Nature::Reference, foreseen.message, help);
    }
}

fn shorten() -> String {
    "let it repeat less often, or shorten `daemon.horizon`".to_owned()
}

/// The key that a finding is about.
fn place_of<'d>(draft: &'d Draft, finding: &Finding) -> &'d Place {
    let places = &draft.places;
    let place = match finding {
        Finding::NeverMatches { .. } => Some(places.rule()),
        Finding::StartNotInRule { .. } => places.start.as_ref(),
        Finding::ExceptWithoutStart { index, .. } => places.except.get(*index),
        Finding::OverrideWithoutStart { original, .. } => places.overrides.get(original),
        // The local time is the override's where that moves it, and then the override is the one to change.
        Finding::Gap { local, .. } | Finding::Overlap { local, .. } => {
            places.moved.get(local).or(places.start.as_ref()).or(places.repeat.as_ref())
        }
        Finding::RunsIntoNext { original, .. } => places.overrides.get(original).or(places.duration.as_ref()),
        Finding::Over { .. } => None,
    };
    place.unwrap_or(&places.meeting)
}

/// Warns where rooms should be created before their occurrences are known of.
pub(super) fn create_ahead(drafts: &[Draft], defaults: &Rules, horizon: TimeDelta, problems: &Problems) {
    let mut told: Option<&Place> = None;
    let all = std::iter::once(defaults).chain(drafts.iter().map(|draft| &draft.rules));
    for ahead in all.filter_map(|rules| rules.create_ahead.as_ref()) {
        // The default is told once, where it stands.
        let is_default = told.is_some_and(|place| *place == ahead.place);
        if ahead.value > horizon && !is_default {
            let message = format!(
                "`create_ahead` is longer than the horizon: {} and {}",
                duration::format(ahead.value),
                duration::format(horizon)
            );
            let help =
                "rooms are created when their occurrence comes within `daemon.horizon`: make that longer";
            problems.warning(&ahead.place, message, help.to_owned());
            told = told.or(Some(&ahead.place));
        }
    }
}
