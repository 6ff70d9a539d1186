//! Warns where one host would be in two meetings at the same time.

use super::diagnostic::quote;
use super::meeting::Draft;
use super::problems::Problems;
use super::{MAX_OCCURRENCES_PER_MEETING, duration};
use crate::log::counted;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use std::collections::BTreeMap;

/// Pairs of meetings that are told of for one host; the rest is counted.
const MOST_PAIRS: usize = 3;
/// Hosts that are told of.
const MOST_HOSTS: usize = 10;
/// Occurrences of one host that are looked at, the first ones: enough for anybody who is a person.
const MOST_OCCURRENCES: usize = 100_000;

/// An occurrence of one host.
#[derive(Clone, Copy)]
struct Seat {
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    /// Its place among the drafts.
    draft: usize,
}

/// Looks at what each host leads on each provider, from `now` to the horizon.
pub(super) fn double_booked<'d>(
    drafts: &'d [Draft],
    provider_of: impl Fn(&'d Draft) -> &'d str,
    horizon: TimeDelta,
    now: DateTime<Utc>,
    problems: &Problems,
) {
    let mut leads = BTreeMap::<(&str, &str), Vec<usize>>::new();
    for (n, draft) in drafts.iter().enumerate() {
        for host in draft.rules.hosts() {
            let meetings = leads.entry((provider_of(draft), host)).or_default();
            if meetings.last() != Some(&n) {
                meetings.push(n);
            }
        }
    }
    let until = now.checked_add_signed(horizon).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let mut told = 0;
    for ((provider, host), meetings) in leads.into_iter().filter(|(_, meetings)| meetings.len() > 1) {
        let pairs = overlaps(&seats(drafts, &meetings, now, until));
        for (&(first, second), &(at, count)) in pairs.iter().take(MOST_PAIRS) {
            let (first, second) = (&drafts[first], &drafts[second]);
            let message = format!(
                "host {} leads meetings {} and {} at the same time on provider {}, first at {}{}",
                quote(host),
                quote(&first.id),
                quote(&second.id),
                quote(provider),
                at.to_rfc3339_opts(SecondsFormat::Secs, true),
                if count > 1 {
                    format!(", {count} times within the horizon ({})", duration::format(horizon))
                } else {
                    String::new()
                },
            );
            let more = pairs.len().saturating_sub(MOST_PAIRS);
            let help = match more {
                0 => "if the host need not be there in person, leave it".to_owned(),
                _ => format!("and so does {} of this host", counted(more, "other pair")),
            };
            problems.warning(&second.places.meeting, message, help);
        }
        told += usize::from(!pairs.is_empty());
        if told >= MOST_HOSTS {
            return;
        }
    }
}

fn seats(drafts: &[Draft], meetings: &[usize], now: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Seat> {
    let mut seats = Vec::new();
    for &draft in meetings {
        let Some(series) = &drafts[draft].series else { continue };
        let Ok(instances) = series.expand(now..until, MAX_OCCURRENCES_PER_MEETING) else { continue };
        let instances = instances.iter();
        seats.extend(instances.map(|it| Seat { starts_at: it.starts_at, ends_at: it.ends_at, draft }));
        if seats.len() >= MOST_OCCURRENCES {
            break;
        }
    }
    seats.sort_by_key(|seat| (seat.starts_at, seat.draft));
    seats
}

/// Pairs of meetings that overlap, the earlier in the file first, with the first instant and how often. Each occurrence
/// is compared with the one before it that lasts longest: one clash of many at once is enough to be told.
fn overlaps(seats: &[Seat]) -> BTreeMap<(usize, usize), (DateTime<Utc>, usize)> {
    let mut pairs = BTreeMap::new();
    let mut longest: Option<Seat> = None;
    for seat in seats {
        if let Some(running) = longest.filter(|running| running.ends_at > seat.starts_at)
            && running.draft != seat.draft
        {
            let pair = (running.draft.min(seat.draft), running.draft.max(seat.draft));
            pairs.entry(pair).or_insert((seat.starts_at, 0)).1 += 1;
        }
        if longest.is_none_or(|running| seat.ends_at > running.ends_at) {
            longest = Some(*seat);
        }
    }
    pairs
}
