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
use crate::lifecycle::Policy;
use crate::log::escape;
use crate::providers::{self, Capabilities, meeting_service};
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
    let capabilities = match &provider.kind {
        ProviderKind::MeetingService(_) => meeting_service::capabilities(),
        ProviderKind::Zoom(settings) => {
            zoom::check(meeting, draft, settings, problems);
            providers::zoom::capabilities(settings.quota())
        }
    };
    let name = quote(&provider.name);
    let warn = |place: &Place, message: String| {
        problems.report(place, Severity::Warning, Nature::Reference, message, None);
    };
    for (setting, consequence) in &capabilities.unsupported_settings {
        if meeting.settings.has(setting) {
            warn(&draft.places.meeting, format!("provider {name} has no `{setting}`: it {consequence}"));
        }
    }
    for message in unsupported_rules(&meeting.policy, &name, &capabilities) {
        warn(&draft.places.meeting, message);
    }
}

/// What the rules ask in vain of a provider that can do no more than this.
fn unsupported_rules(policy: &Policy, provider: &str, capabilities: &Capabilities) -> Vec<String> {
    let mut messages = Vec::new();
    if policy.no_show.is_some() && !capabilities.reports_occupancy {
        messages.push(format!(
            "provider {provider} does not count people: `no_show` closes only a room that it knows to be empty"
        ));
    }
    if !policy.warn.before.is_empty() && !capabilities.can_announce {
        messages
            .push(format!("provider {provider} shows no messages in a room: `warn` is told in the log only"));
    }
    messages
}

/// Warns of rules that never come to anything, as the room is closed by then, where a meeting itself has them: a default
/// need not suit every one.
pub(super) fn rules_without_effect(drafts: &[Draft], defaults: &Rules, problems: &Problems) {
    let default_places = [defaults.no_show().map(|it| &it.place), defaults.warn().map(|it| &it.place)];
    for draft in drafts {
        let Some(series) = &draft.series else { continue };
        let policy = draft.rules.policy();
        let most = policy.extend.map_or(TimeDelta::zero(), |extend| extend.max);
        let is_open_for = series.duration + policy.close_delay + most;
        let no_show = draft.rules.no_show().map(|it| (&it.place, "no_show", it.value));
        let longest = policy.warn.before.first().copied();
        let warn = draft.rules.warn().zip(longest).map(|(it, longest)| (&it.place, "warn", longest));
        for (place, key, value) in no_show.into_iter().chain(warn) {
            if value < is_open_for || default_places.contains(&Some(place)) {
                continue;
            }
            let (value, open) = (duration::format(value), duration::format(is_open_for));
            let message =
                format!("`{key}` comes to nothing: {value}, and the room closes {open} after the start");
            problems.warning(place, message, None);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{OnRemoved, Warn};

    #[test]
    fn rules_that_a_provider_cannot_serve_are_told() {
        let mut capabilities = meeting_service::capabilities();
        let policy = Policy {
            create_ahead: TimeDelta::minutes(15),
            close_delay: TimeDelta::minutes(5),
            extend: None,
            on_removed: OnRemoved::Finish,
            look_every: TimeDelta::minutes(5),
            no_show: Some(TimeDelta::minutes(20)),
            warn: Warn { before: vec![TimeDelta::minutes(5)], ..Warn::default() },
        };
        assert!(unsupported_rules(&policy, "\"p\"", &capabilities).is_empty());
        (capabilities.reports_occupancy, capabilities.can_announce) = (false, false);
        assert_eq!(
            unsupported_rules(&policy, "\"p\"", &capabilities),
            [
                "provider \"p\" does not count people: `no_show` closes only a room that it knows to be empty",
                "provider \"p\" shows no messages in a room: `warn` is told in the log only",
            ]
        );
        let policy = Policy { no_show: None, warn: Warn::default(), ..policy };
        assert!(unsupported_rules(&policy, "\"p\"", &capabilities).is_empty());
    }
}
