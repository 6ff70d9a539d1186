//! Pure. Recurrence, zones, expansion, identity: from a meeting's rules to its instances in time.
//!
//! Recurrence is reckoned in **local time without a zone**, the way people mean it ("every Monday at 09:30"), and
//! each start is then taken to its instant by [`to_utc`], with the zone data of `chrono-tz`. So a change of the
//! clocks never changes which starts there are, nor their identity; it only moves one on the UTC line.
//!
//! - `rule/` reads an RRULE (RFC 5545 section 3.3.10) and keeps it as written; `cron.rs` does so for a cron pattern.
//! - `days.rs` says whether a day fits the BY parts, `plan.rs` walks the periods of a rule from any point in time
//!   without walking those before it, `starts.rs` applies COUNT and UNTIL.
//! - `expand.rs` adds what is not the rule's: `except`, `also`, overrides, zones. `findings.rs` says what is odd.
//!
//! Everything else is as in python-dateutil, against which it is tested (`tests/oracle/`). What a reader may not expect:
//! - `start` counts as an occurrence only when it fits the rule (as in python-dateutil; to the RFC a DTSTART out of
//!   step with its rule is undefined). [`Finding::StartNotInRule`] tells of it.
//! - `BYDAY=MO,1TU` is every Monday and the first Tuesday: the list is a union (python-dateutil gives nothing).
//! - BYWEEKNO numbers weeks as ISO 8601 does, also around New Year: 1 January 2022 is in week 52 of 2021
//!   (python-dateutil: 53).
//! - BYSETPOS in a WEEKLY rule's first week picks from the days since `start` (as in python-dateutil).

mod chunk;
mod cron;
mod days;
mod expand;
mod findings;

mod plan;
mod resolved;
mod rule;
mod starts;
#[cfg(test)]
mod tests;

mod zone;

pub use cron::Cron;
pub use findings::Finding;

pub use rule::{Rule, RuleError};
pub use zone::{Shift, to_utc};

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::fmt;

/// When a meeting takes place: local times in a zone, and what differs from the rule.
///
/// Local times are meant in whole seconds; fractions are cut off.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The zone of every local time here.
    pub zone: Tz,
    /// The first local start (RFC 5545 section 3.8.2.4, DTSTART). May be absent with [`Repeat::Cron`] only, where it
    /// is the earliest start when present.
    pub start: Option<NaiveDateTime>,
    /// The rule that makes further starts.
    pub repeat: Repeat,
    /// Starts that the rule makes and that do not take place (RFC 5545 section 3.8.5.1, EXDATE).
    pub except: Vec<Except>,
    /// Starts besides the rule's (RFC 5545 section 3.8.5.2, RDATE).
    pub also: Vec<NaiveDateTime>,
    /// What differs for single occurrences, by their original local start (RFC 5545 section 3.8.4.4, RECURRENCE-ID).
    pub overrides: BTreeMap<NaiveDateTime, Override>,
    /// Planned length; elapsed time.
    pub duration: TimeDelta,
}

/// How a series goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum Repeat {
    /// It does not.
    Once,
    /// By an RRULE.
    Rule(Rule),
    /// By a cron pattern.
    Cron(Cron),
}

/// A start that does not take place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Except {
    /// Every start of that local day.
    Day(NaiveDate),
    /// This local start.
    At(NaiveDateTime),
}

/// What differs for one occurrence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Override {
    /// Its local start; `None`: the original one.
    pub start: Option<NaiveDateTime>,
    /// Its planned length; `None`: the meeting's.
    pub duration: Option<TimeDelta>,
    /// Its title; `None`: the meeting's.
    pub title: Option<String>,
    /// It does not take place.
    pub cancel: bool,
}

/// One instance in time of a meeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The local start by the rule, before any override: the occurrence's identity.
    pub original: NaiveDateTime,
    /// The start.
    pub starts_at: DateTime<Utc>,
    /// The planned end.
    pub ends_at: DateTime<Utc>,
    /// A title of its own.
    pub title: Option<String>,
    /// What a change of the clocks did to its local start.
    pub shift: Shift,
}

/// An expansion gave more than the caller can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// How many the caller can hold.
    pub limit: usize,
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} occurrences in the window", self.limit)
    }
}

impl std::error::Error for TooMany {}

impl Series {
    /// Whether it may have more than one start, so that an occurrence needs its start in its identity.
    pub fn is_series(&self) -> bool {
        self.repeat != Repeat::Once || !self.also.is_empty()
    }

    /// The identity of one occurrence: the meeting's id, and in a series the original local start
    /// (`standup@2026-11-23T09:30`; seconds only when there are any). Neither an override nor new zone data changes it.
    pub fn occurrence_id(&self, meeting_id: &str, original: NaiveDateTime) -> String {
        if !self.is_series() {
            return meeting_id.to_owned();
        }
        let format = if original.second() == 0 { "%Y-%m-%dT%H:%M" } else { "%Y-%m-%dT%H:%M:%S" };
        format!("{meeting_id}@{}", original.format(format))
    }
}

/// Without its fraction of a second: what the identity can tell apart.
fn whole_seconds(local: NaiveDateTime) -> NaiveDateTime {
    local.with_nanosecond(0).unwrap_or(local)
}
