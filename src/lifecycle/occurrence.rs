//! The value that [`step()`](super::step()) works on.

use super::time_rules::LATEST_DEED;
use super::{CONFIRM_AFTER, Policy, Reason, State};
use chrono::{DateTime, TimeDelta, Utc};

/// The scheduled times of an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The scheduled start.
    pub starts_at: DateTime<Utc>,
    /// The scheduled end: the start and the duration.
    pub ends_at: DateTime<Utc>,
}

/// A room as the service made it.
#[derive(Clone, PartialEq, Eq)]
pub struct Room {
    /// The provider's id.
    pub id: String,
    /// The link for everybody. Whoever has it can join: it is in few events of the log.
    pub join_url: String,
    /// The link that gives the host's rights: always a secret.
    pub host_url: Option<String>,
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Where closing leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// To [`State::Closed`]: the meeting took place.
    Closed,
    /// To [`State::Cancelled`].
    Cancelled,
    /// To [`State::Failed`]: a create whose outcome was never learned.
    Failed,
    /// Back to [`State::Planned`]: the schedule gave a new time while the old room was being closed.
    PlannedAgain,
    /// To [`State::Closed`], of a record of its own: a room that was gone and for which another one was made. It is
    /// looked for as long as its occurrence could last, and closed if it turns up.
    Stray,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Self; 5] = [Self::Closed, Self::Cancelled, Self::Failed, Self::PlannedAgain, Self::Stray];

    /// The name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::PlannedAgain => "planned",
            Self::Stray => "stray",
        }
    }

    /// The verdict of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == name)
    }
}

/// One occurrence, as far as its life goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// Where it stands.
    pub state: State,
    /// Why it stands there.
    pub reason: Reason,
    /// Counts its rooms: up by one each time another room is made for it.
    pub generation: u32,
    /// The times that the schedule gives.
    pub times: Times,
    /// How far extensions have moved the end.
    pub extended_by: TimeDelta,
    /// When a create was sent whose outcome is not known: find the room before another create.
    pub asked_at: Option<DateTime<Utc>>,
    /// When a create was sent whose outcome was not known, and whose room was not found: it may still come.
    pub doubted_at: Option<DateTime<Utc>>,
    /// The room.
    pub room: Option<Room>,
    /// The room does not show yet what the schedule says.
    pub is_outdated: bool,
    /// An update is on its way that shows what the schedule says now. Not kept over a restart.
    pub is_update_sent: bool,
    /// The meeting was taken out of the schedule while people may be in its room.
    pub is_removed: bool,
    /// Where [`State::Closing`] leads; `None` in every other state.
    pub verdict: Option<Verdict>,
    /// In [`State::Closing`]: the provider took the close; what is left is to see it closed.
    pub is_close_sent: bool,
    /// How many people were in the room when last looked at; `None` is unknown.
    pub occupancy: Option<u32>,
    /// When the room was last looked at, successfully or not.
    pub looked_at: Option<DateTime<Utc>>,
    /// Since when every look found nobody in the room.
    pub empty_since: Option<DateTime<Utc>>,
    /// Somebody was seen in a room of this occurrence since its start was last set, before the start included.
    pub was_occupied: bool,
    /// Since when the room has been looked at without a gap, and every look found nobody.
    pub watched_since: Option<DateTime<Utc>>,
    /// Warnings that were due up to here are dealt with: given, or too late to be given.
    pub warned_at: Option<DateTime<Utc>>,
    /// When the next occurrence of the same series or host starts, as last asked: an extension ends the room by then.
    pub yields_at: Option<DateTime<Utc>>,
    /// Since when every look that told anything found no open room.
    pub gone_since: Option<DateTime<Utc>>,
    /// When to look at the room next.
    pub look_at: Option<DateTime<Utc>>,
    /// No call before this instant: a call failed.
    pub retry_at: Option<DateTime<Utc>>,
    /// Calls in a row that failed.
    pub attempts: u32,
    /// What the last failed call said; `None` after a success.
    pub last_error: Option<String>,
}

impl Occurrence {
    /// An occurrence that the schedule has just given.
    pub fn planned(times: Times) -> Self {
        Self {
            state: State::Planned,
            reason: Reason::Scheduled,
            generation: 0,
            times,
            extended_by: TimeDelta::zero(),
            asked_at: None,
            doubted_at: None,
            room: None,
            is_outdated: false,
            is_update_sent: false,
            is_removed: false,
            verdict: None,
            is_close_sent: false,
            occupancy: None,
            looked_at: None,
            empty_since: None,
            was_occupied: false,
            watched_since: None,
            warned_at: None,
            yields_at: None,
            gone_since: None,
            look_at: None,
            retry_at: None,
            attempts: 0,
            last_error: None,
        }
    }

    /// When the room is to be created.
    pub fn create_at(&self, policy: &Policy) -> DateTime<Utc> {
        self.times.starts_at - policy.create_ahead
    }

    /// The end, extensions included.
    pub fn ends_at(&self) -> DateTime<Utc> {
        self.times.ends_at + self.extended_by
    }

    /// When the room is to be closed, as things stand.
    pub fn closes_at(&self, policy: &Policy) -> DateTime<Utc> {
        self.ends_at() + policy.close_delay
    }

    /// The latest instant to which extensions could move the close.
    pub fn closes_at_latest(&self, policy: &Policy) -> DateTime<Utc> {
        let most = policy.extend.map_or(self.extended_by, |extend| extend.max.max(self.extended_by));
        self.times.ends_at + most + policy.close_delay
    }

    /// How far the end can still move by extensions; zero or less: not at all.
    pub fn extension_left(&self, policy: &Policy) -> TimeDelta {
        let Some(extend) = policy.extend else { return TimeDelta::zero() };
        let left = extend.max - self.extended_by;
        match self.yields_at.filter(|_| extend.yields) {
            Some(at) => left.min(at - self.closes_at(policy)),
            None => left,
        }
    }

    /// When the room closes at the latest, as far as is known: whoever is in it then is thrown out. What people are
    /// warned of.
    pub fn last_close(&self, policy: &Policy) -> DateTime<Utc> {
        self.closes_at(policy) + self.extension_left(policy).max(TimeDelta::zero())
    }

    /// When a create was sent that may still make a room; `None`: there is none, or it is known.
    pub fn may_come_since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let doubted_at = self.doubted_at.filter(|at| now < *at + LATEST_DEED);
        self.asked_at.or(doubted_at)
    }

    /// The room of this occurrence, which is gone, as an occurrence of its own: looked for, and closed if it turns up.
    /// `None` when there is no room to look for.
    pub fn stray(&self, now: DateTime<Utc>) -> Option<Self> {
        let room = self.room.clone()?;
        Some(Self {
            state: State::Closing,
            reason: Reason::RoomGone,
            generation: self.generation,
            extended_by: self.extended_by,
            room: Some(room),
            verdict: Some(Verdict::Stray),
            // Not closed but looked at first: there may be people in it.
            is_close_sent: true,
            gone_since: Some(now),
            retry_at: Some(now + CONFIRM_AFTER),
            ..Self::planned(self.times)
        })
    }
}
