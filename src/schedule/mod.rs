//! Pure. Recurrence, zones, expansion, identity: from a meeting's rules to its instances in time.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::ops::Range;

/// When a meeting takes place: local times in a zone, and what differs from the rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The zone of every local time here.
    pub zone: Tz,
    /// The first local start (RFC 5545 DTSTART). May be absent with [`Repeat::Cron`] only.
    pub start: Option<NaiveDateTime>,
    /// The rule that makes further starts.
    pub repeat: Repeat,
    /// Starts that the rule makes and that do not take place (EXDATE).
    pub except: Vec<Except>,
    /// Starts besides the rule's (RDATE).
    pub also: Vec<NaiveDateTime>,
    /// What differs for single occurrences, by their original local start.
    pub overrides: BTreeMap<NaiveDateTime, Override>,
    /// Planned length; elapsed time.
    pub duration: TimeDelta,
}

/// How a series goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum Repeat {
    /// It does not.
    Once,
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
}

/// An expansion gave more than the caller can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

impl Series {
    /// Instances that start in `window`.
    ///
    /// # Errors
    /// When there are more than `limit`.
    pub fn expand(&self, _window: Range<DateTime<Utc>>, _limit: usize) -> Result<Vec<Instance>, TooMany> {
        Err(TooMany)
    }
}
