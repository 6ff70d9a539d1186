//! Warnings before a room closes.
//!
//! They count back from the last close that is possible ([`Occurrence::last_close`]): the instant at which people who
//! are in the room are thrown out. A room that is extended while people are in it is not warned at each step.
//!
//! Each is given once: that it is dealt with is noted before it leaves. Only the shortest that is due is given, and none
//! that is late by more than half of its own notice: "closes in five minutes" would be wrong by then.

use super::step::Now;
use super::{Occurrence, Policy, State};
use chrono::{DateTime, TimeDelta, Utc};

/// A warning that was dealt with by the clock alone. One that the room is told of is a [`Call`](super::Call) instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warning {
    /// When the room closes.
    pub closes_at: DateTime<Utc>,
    /// How long before that the warning was to be given.
    pub before: TimeDelta,
    /// What became of it.
    pub warned: Warned,
}

/// What became of a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warned {
    /// It is told in the log only: the provider cannot show a message in a room.
    InLog,
    /// It could not be given in time, and is not given any more.
    TooLate,
}

/// A warning whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DueWarning {
    /// When it was due.
    pub(super) at: DateTime<Utc>,
    pub(super) before: TimeDelta,
}

impl DueWarning {
    /// From when on it is too late for it.
    pub(super) fn late_at(self) -> DateTime<Utc> {
        self.at + self.before / 2
    }
}

/// The warnings of an open room that are not dealt with, each with its time.
fn open(occurrence: &Occurrence, policy: &Policy) -> impl Iterator<Item = DueWarning> {
    let is_open = matches!(occurrence.state, State::Live | State::Ended);
    let warned_at = occurrence.warned_at;
    let all = if is_open { policy.warn.before.as_slice() } else { &[] };
    // Not worked out where there is nothing to warn of: this is asked at every step.
    let close = if all.is_empty() { DateTime::UNIX_EPOCH } else { occurrence.last_close(policy) };
    all.iter()
        .map(move |before| DueWarning { at: close - *before, before: *before })
        .filter(move |due| warned_at.is_none_or(|warned_at| due.at > warned_at))
}

/// The warning that is due: of several the last one.
pub(super) fn due(occurrence: &Occurrence, policy: &Policy, now: Now) -> Option<DueWarning> {
    open(occurrence, policy).filter(|due| due.at <= now.settled).max_by_key(|due| due.at)
}

/// When the next one is due, by the settled clock.
pub(super) fn next_at(occurrence: &Occurrence, policy: &Policy, now: Now) -> Option<DateTime<Utc>> {
    // The last close may come nearer when the next occurrence is asked for: early enough for the first warning.
    let asks_at = asks_at(occurrence, policy).filter(|at| *at > now.settled);
    let next = open(occurrence, policy).map(|due| due.at).filter(|at| *at > now.settled).min();
    [asks_at, next].into_iter().flatten().min()
}

/// From when on the last close must be known, where the next occurrence may bring it forward.
pub(super) fn asks_at(occurrence: &Occurrence, policy: &Policy) -> Option<DateTime<Utc>> {
    let is_open = matches!(occurrence.state, State::Live | State::Ended);
    let longest =
        policy.warn.before.first().filter(|_| is_open && policy.extend.is_some_and(|it| it.yields))?;
    Some(occurrence.closes_at(policy) - *longest)
}
