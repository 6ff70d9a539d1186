//! What is odd about a series, for whoever wrote it.

use super::resolved::Resolved;
use super::zone::to_utc;
use super::{Except, Instance, Repeat, Series, Shift, whole_seconds};
use chrono::{DateTime, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use std::fmt;
use std::ops::Range;

/// Most occurrences that are looked at for gaps, overlaps and collisions.
const MAX_INSTANCES: usize = 100_000;

/// Most findings of the kind that every occurrence can give; the first ones are told.
const MAX_SHIFTS: usize = 10;

/// Something about a series that is an error or worth a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The rule or cron pattern gives no start at all, up to the year 9999. An error.
    NeverMatches {
        /// The rule as written.
        rule: String,
    },
    /// `start` does not fit its own rule, so the meeting does not take place then.
    StartNotInRule {
        /// The start.
        start: NaiveDateTime,
        /// The first start there is.
        first: NaiveDateTime,
    },
    /// No occurrence is left: every one is over, excepted or cancelled.
    Over {
        /// The last local start by the rule, where it is known.
        last: Option<NaiveDateTime>,
    },
    /// An occurrence's local time does not exist and moves later.
    Gap {
        /// The local start: the override's, or the original one.
        local: NaiveDateTime,
        /// The local time that it takes place at.
        becomes: NaiveDateTime,
        /// The zone.
        zone: Tz,
    },
    /// An occurrence's local time exists twice; the earlier one counts.
    Overlap {
        /// The local start: the override's, or the original one.
        local: NaiveDateTime,
        /// The instant taken.
        starts_at: DateTime<Utc>,
        /// The zone.
        zone: Tz,
    },
    /// An entry of `except` that takes nothing out.
    ExceptWithoutStart {
        /// Its place in [`Series::except`].
        index: usize,
        /// The entry.
        except: Except,
        /// The start of the series that is nearest to it.
        nearest: Option<NaiveDateTime>,
    },
    /// An override of a start that the series does not have.
    OverrideWithoutStart {
        /// The override's key in [`Series::overrides`].
        original: NaiveDateTime,
        /// Whether the series would have it, and `except` takes it out.
        excepted: bool,
        /// The start of the series that is nearest to it.
        nearest: Option<NaiveDateTime>,
    },
    /// An occurrence is planned to last beyond the beginning of the next one. Told once, of the first.
    RunsIntoNext {
        /// The original local start of the one.
        original: NaiveDateTime,
        /// Its planned end.
        ends_at: DateTime<Utc>,
        /// The original local start of the next one.
        next: NaiveDateTime,
        /// When that begins.
        next_starts_at: DateTime<Utc>,
    },
}

impl Finding {
    /// Whether the series cannot be meant that way; the others are warnings.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::NeverMatches { .. })
    }

    /// What would be right, where that can be told.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::ExceptWithoutStart { nearest, .. }
            | Self::OverrideWithoutStart { nearest, excepted: false, .. } => {
                nearest.map(|nearest| format!("the nearest start is {}", Local(nearest)))
            }
            Self::OverrideWithoutStart { .. } => {
                Some("remove the override or the entry of except".to_owned())
            }
            Self::StartNotInRule { first, .. } => {
                Some(format!("let it start at {}, or change the rule", Local(*first)))
            }
            Self::RunsIntoNext { .. } => Some("shorten duration, or repeat less often".to_owned()),
            Self::NeverMatches { .. } => {
                Some("see whether its parts can be true together, and UNTIL is not before start".to_owned())
            }
            Self::Over { .. } | Self::Gap { .. } | Self::Overlap { .. } => None,
        }
    }
}

/// A local time as it is written in the schedule.
struct Local(NaiveDateTime);

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%dT%H:%M:%S"))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverMatches { rule } => write!(f, "{rule:?} never gives a start"),
            Self::StartNotInRule { start, first } => {
                write!(
                    f,
                    "the start {} does not fit the rule; the first occurrence is {}",
                    Local(*start),
                    Local(*first)
                )
            }
            Self::Over { last: Some(last) } => {
                write!(f, "no occurrence is left; the last was {}", Local(*last))
            }
            Self::Over { last: None } => f.write_str("no occurrence is left"),
            Self::Gap { local, becomes, zone } => {
                let (local, becomes) = (Local(*local), Local(*becomes));
                write!(
                    f,
                    "{local} does not exist in {zone} (the clocks go forward): it takes place at {becomes}"
                )
            }
            Self::Overlap { local, starts_at, zone } => {
                let offset = zone.offset_from_utc_datetime(&starts_at.naive_utc()).fix();
                let (local, instant) = (Local(*local), starts_at.format("%Y-%m-%dT%H:%M:%SZ"));
                write!(
                    f,
                    "{local} exists twice in {zone} (the clocks go back): the earlier counts, {instant} (UTC{offset})"
                )
            }
            Self::ExceptWithoutStart { except: Except::Day(day), .. } => {
                write!(f, "except {day}: the series has no start on that day")
            }
            Self::ExceptWithoutStart { except: Except::At(at), .. } => {
                write!(f, "except {}: the series has no such start", Local(*at))
            }
            Self::OverrideWithoutStart { original, excepted: true, .. } => {
                write!(f, "the override of {} does nothing: except takes that start out", Local(*original))
            }
            Self::OverrideWithoutStart { original, .. } => {
                write!(f, "the override of {} does nothing: the series has no such start", Local(*original))
            }
            Self::RunsIntoNext { original, ends_at, next, next_starts_at } => {
                let (ends, begins) = (ends_at.format("%H:%M:%SZ"), next_starts_at.format("%H:%M:%SZ"));
                write!(
                    f,
                    "the occurrence of {} ends at {ends}, after the next one ({}) begins at {begins}",
                    Local(*original),
                    Local(*next)
                )
            }
        }
    }
}

impl Series {
    /// What is odd about it: in itself, as of `now`, and about the occurrences in `window`.
    pub fn findings(&self, window: Range<DateTime<Utc>>, now: DateTime<Utc>) -> Vec<Finding> {
        // Nothing bounds the search for what never comes but the last year.
        let resolved = Resolved::new(self, &(DateTime::<Utc>::MIN_UTC..DateTime::<Utc>::MAX_UTC));
        let mut findings = Vec::new();
        let first = resolved.first_by_rule();
        match (&self.repeat, first) {
            (Repeat::Rule(rule), None) => findings.push(Finding::NeverMatches { rule: rule.to_string() }),
            (Repeat::Cron(cron), None) => findings.push(Finding::NeverMatches { rule: cron.to_string() }),
            (Repeat::Rule(_), Some(first)) => {
                let start = self.start.map(whole_seconds).filter(|start| *start != first);
                findings.extend(start.map(|start| Finding::StartNotInRule { start, first }));
            }
            (Repeat::Once, _) | (Repeat::Cron(_), Some(_)) => {}
        }
        if findings.iter().any(Finding::is_error) {
            return findings;
        }
        if self.is_over(&resolved, now) {
            findings.push(Finding::Over { last: resolved.last_before(now.naive_utc()) });
        }
        findings.extend(self.without_start(&resolved));
        if let Ok(instances) = self.expand(window, MAX_INSTANCES) {
            findings.extend(self.shifts(&instances));
            findings.extend(runs_into_next(&instances));
        }
        findings
    }

    /// Whether every occurrence has ended.
    fn is_over(&self, resolved: &Resolved<'_>, now: DateTime<Utc>) -> bool {
        let longest = self
            .overrides
            .values()
            .filter_map(|differs| differs.duration)
            .fold(self.duration, TimeDelta::max);
        let from = now.checked_sub_signed(longest).unwrap_or(DateTime::<Utc>::MIN_UTC);
        !resolved.any_from(from, &|instance| instance.ends_at > now)
    }

    /// Exceptions and overrides that mean no start.
    fn without_start(&self, resolved: &Resolved<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (index, except) in self.except.iter().enumerate() {
            let (from, length) = match except {
                Except::Day(day) => (day.and_time(NaiveTime::MIN), TimeDelta::days(1)),
                Except::At(at) => (whole_seconds(*at), TimeDelta::seconds(1)),
            };
            if !resolved.has_unexcepted(from, length) {
                let nearest = resolved.nearest(from);
                findings.push(Finding::ExceptWithoutStart { index, except: *except, nearest });
            }
        }
        for original in self.overrides.keys() {
            let start = whole_seconds(*original);
            if !resolved.has(start) {
                let excepted = resolved.has_unexcepted(start, TimeDelta::seconds(1));
                let nearest = resolved.nearest(start);
                findings.push(Finding::OverrideWithoutStart { original: *original, excepted, nearest });
            }
        }
        findings
    }

    /// The occurrences that meet a change of the clocks.
    fn shifts(&self, instances: &[Instance]) -> Vec<Finding> {
        let zone = self.zone;
        let shifted = instances.iter().filter_map(|instance| {
            let differs = self.overrides.get(&instance.original).and_then(|differs| differs.start);
            let local = differs.unwrap_or(instance.original);
            let starts_at = instance.starts_at;
            match to_utc(zone, whole_seconds(local)).1 {
                Shift::None => None,
                Shift::Gap(_) => {
                    let becomes = starts_at.with_timezone(&zone).naive_local();
                    Some(Finding::Gap { local, becomes, zone })
                }
                Shift::Overlap => Some(Finding::Overlap { local, starts_at, zone }),
            }
        });
        shifted.take(MAX_SHIFTS).collect()
    }
}

/// The first occurrence that lasts beyond the beginning of the next.
fn runs_into_next(instances: &[Instance]) -> Option<Finding> {
    let pair =
        instances.windows(2).find(|pair| matches!(pair, [one, next] if one.ends_at > next.starts_at))?;
    let [one, next] = pair else { return None };
    Some(Finding::RunsIntoNext {
        original: one.original,
        ends_at: one.ends_at,
        next: next.original,
        next_starts_at: next.starts_at,
    })
}
