//! What a schedule will run into on its providers, worked out before it does: hosts that run out of a day's quota, and
//! hosts who would have to hold more meetings at once than they can.

use super::provider::ProviderKind;
use super::{Config, MAX_OCCURRENCES_PER_MEETING, Meeting};
use crate::log::counted;
use crate::providers::zoom;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Clashes of one host that are told; the rest is counted.
const MOST_CLASHES: usize = 5;

/// Something that will happen, and that nobody will want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// A meeting that is concerned.
    pub meeting: String,
    /// What will happen.
    pub message: String,
    /// What helps.
    pub help: &'static str,
}

/// A room that will be made.
#[derive(Debug)]
struct Wanted<'a> {
    starts_at: DateTime<Utc>,
    closes_at: DateTime<Utc>,
    create_at: DateTime<Utc>,
    id: String,
    meeting: &'a Meeting,
}

/// What a host can do.
#[derive(Debug, Clone, Copy)]
struct Host<'a> {
    provider: &'a str,
    user: &'a str,
    quota: usize,
    kept_for_today: usize,
    at_once: usize,
}

/// What will happen to the occurrences that start between `from` and `until`.
pub fn foresee(config: &Config, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Foreseen> {
    let mut found = Vec::new();
    for provider in config.providers.values() {
        let ProviderKind::Zoom(settings) = &provider.kind else { continue };
        let mut by_host: BTreeMap<String, (Host<'_>, Vec<Wanted<'_>>)> = BTreeMap::new();
        for meeting in config.meetings.values().filter(|meeting| meeting.provider == provider.name) {
            let user = meeting.passthrough.get("user").and_then(serde_json::Value::as_str);
            let user = user.filter(|user| !user.is_empty()).unwrap_or(&settings.user);
            // More than that is told elsewhere.
            let Ok(instances) = meeting.series.expand(from..until, MAX_OCCURRENCES_PER_MEETING) else {
                continue;
            };
            let host = Host {
                provider: &provider.name,
                user,
                quota: settings.daily_quota as usize,
                kept_for_today: settings.kept_for_today as usize,
                at_once: settings.concurrent_meetings,
            };
            let closing = match settings.after_close {
                zoom::AfterClose::Delete => 1,
                zoom::AfterClose::Keep => 2,
            };
            let host =
                Host { quota: host.quota / closing, kept_for_today: host.kept_for_today / closing, ..host };
            let (_, wanted) = by_host.entry(user.to_lowercase()).or_insert_with(|| (host, Vec::new()));
            wanted.extend(instances.into_iter().map(|instance| Wanted {
                starts_at: instance.starts_at,
                closes_at: instance.ends_at + meeting.policy.close_delay,
                create_at: instance.starts_at - meeting.policy.create_ahead,
                id: meeting.series.occurrence_id(&meeting.id, instance.original),
                meeting,
            }));
        }
        for (host, mut wanted) in by_host.into_values() {
            wanted.sort_by(|a, b| (a.starts_at, &a.id).cmp(&(b.starts_at, &b.id)));
            found.extend(quota(host, &wanted));
            found.extend(clashes(host, &wanted));
        }
    }
    found
}

/// Lets the days pass as the engine would: the earliest starts first, a part of each day kept for the day's own. Tells of
/// the first day on which rooms must wait, and of what gets none in time.
fn quota(host: Host<'_>, wanted: &[Wanted<'_>]) -> Option<Foreseen> {
    let mut days: BTreeMap<NaiveDate, Vec<&Wanted<'_>>> = BTreeMap::new();
    for wanted in wanted {
        days.entry(wanted.create_at.date_naive()).or_default().push(wanted);
    }
    let mut day = *days.keys().next()?;
    let mut waiting: Vec<&Wanted<'_>> = Vec::new();
    let mut first: Option<(NaiveDate, usize, usize, &Wanted<'_>)> = None;
    let (mut lost, mut first_lost): (usize, Option<&Wanted<'_>>) = (0, None);
    loop {
        waiting.extend(days.remove(&day).unwrap_or_default());
        waiting.sort_by(|a, b| (a.starts_at, &a.id).cmp(&(b.starts_at, &b.id)));
        let asked = waiting.len();
        let mut used = 0;
        waiting.retain(|wanted| {
            let is_today = wanted.starts_at.date_naive() <= day;
            let limit = if is_today { host.quota } else { host.quota.saturating_sub(host.kept_for_today) };
            let is_made = used < limit;
            used += usize::from(is_made);
            !is_made
        });
        if let (None, Some(next)) = (first, waiting.first()) {
            first = Some((day, asked, waiting.len(), next));
        }
        waiting.retain(|wanted| {
            let is_lost = wanted.starts_at.date_naive() <= day;
            lost += usize::from(is_lost);
            if is_lost && first_lost.is_none() {
                first_lost = Some(wanted);
            }
            !is_lost
        });
        let next = match waiting.is_empty() {
            true => days.keys().next().copied(),
            false => day.succ_opt(),
        };
        match next {
            Some(next) => day = next,
            None => break,
        }
    }
    let (day, asked, late, next) = first?;
    let mut message = format!(
        "on {day} (UTC) {} of provider {:?} runs out: {} to make, {} a day ({} of them for the day's own), {late} wait until the \
         next day, {} first",
        host.user,
        host.provider,
        counted(asked, "room"),
        host.quota,
        host.kept_for_today,
        next.id
    );
    if let Some(wanted) = first_lost {
        message.push_str(&format!(
            "; {} will have no room in time, {} first",
            counted(lost, "meeting"),
            wanted.id
        ));
    }
    let concerned = first_lost.unwrap_or(next);
    Some(Foreseen {
        meeting: concerned.meeting.id.clone(),
        message,
        help: "share the meetings among several hosts, or make their rooms earlier with a longer `create_ahead`",
    })
}

/// Meetings of one host that would go on at the same time, more than can.
fn clashes(host: Host<'_>, wanted: &[Wanted<'_>]) -> Vec<Foreseen> {
    let mut going_on: Vec<&Wanted<'_>> = Vec::new();
    let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut found = Vec::new();
    for next in wanted {
        going_on.retain(|other| other.closes_at > next.starts_at);
        if going_on.len() >= host.at_once
            && let Some(other) = going_on.first()
            && told.insert((&other.meeting.id, &next.meeting.id))
            && told.len() <= MOST_CLASHES
        {
            let utc = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
            let with: Vec<&str> = going_on.iter().map(|other| other.id.as_str()).collect();
            found.push(Foreseen {
                meeting: next.meeting.id.clone(),
                message: format!(
                    "{} of provider {:?} can have {} at once: {} starts at {} while {} goes on, until {} at least",
                    host.user,
                    host.provider,
                    counted(host.at_once, "meeting"),
                    next.id,
                    utc(next.starts_at),
                    with.join(", "),
                    utc(other.closes_at)
                ),
                help: "give one of them another host with zoom = { user = … }, or tell with `concurrent_meetings` that \
                       the licence allows it",
            });
        }
        going_on.push(next);
    }
    if told.len() > MOST_CLASHES
        && let Some(last) = found.last_mut()
    {
        last.message.push_str(&format!("; and {} more like it", told.len() - MOST_CLASHES));
    }
    found
}
