//! What a turn tells: from transitions to events of the log.

use crate::lifecycle::{Answer, Change, Event, FailureKind, LATE_AFTER, Reason, State, Warned, Warning};
use crate::log::{LogEvent, Time};
use crate::seams::Host;
use crate::store::{Counts, MeetingSpec, Record, UpcomingStart};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;

/// A meeting without a room this long before its start, with calls failing, is at risk.
const AT_RISK_BEFORE: TimeDelta = TimeDelta::seconds(60);
/// A room that was not closed after this many tries is an error.
const NOT_CLOSED_AFTER: u32 = 3;

/// One step, to be told once it is durable.
pub(super) struct Report {
    before: Arc<Record>,
    after: Arc<Record>,
    changes: Vec<Change>,
    failure: Option<(&'static str, FailureKind, DateTime<Utc>)>,
    was_updated: bool,
    /// What became of a message in the room: `Ok`, or why it may not have got there.
    announced: Option<Result<(), String>>,
    warning: Option<Warning>,
    yields_to: Option<UpcomingStart>,
    spec: Arc<MeetingSpec>,
    wall: DateTime<Utc>,
}

impl Report {
    pub(super) fn new(
        before: Arc<Record>,
        after: Arc<Record>,
        changes: Vec<Change>,
        event: &Event,
        spec: Arc<MeetingSpec>,
        wall: DateTime<Utc>,
    ) -> Self {
        let failure = match event {
            Event::Answered(Answer::Create(Err(failure))) => Some(("create", failure)),
            Event::Answered(Answer::Find(Err(failure))) => Some(("find", failure)),
            Event::Answered(Answer::Look(Err(failure))) => Some(("look", failure)),
            Event::Answered(Answer::Update(Err(failure))) => Some(("update", failure)),
            Event::Answered(Answer::Close(Err(failure))) => Some(("close", failure)),
            _ => None,
        };
        let failure = failure.map(|(call, failure)| (call, failure.kind, failure.retry_at));
        let was_updated = matches!(event, Event::Answered(Answer::Update(Ok(_))));
        let announced = match event {
            Event::Answered(Answer::Announce(outcome)) => {
                Some(outcome.clone().map_err(|failure| failure.message))
            }
            _ => None,
        };
        let (warning, yields_to) = (None, None);
        Self { before, after, changes, failure, was_updated, announced, warning, yields_to, spec, wall }
    }

    /// With a warning that was dealt with without a call.
    pub(super) fn with_warning(self, warning: Option<Warning>) -> Self {
        Self { warning, ..self }
    }

    /// With the occurrence before which this one ends, if it comes to that.
    pub(super) fn yielding_to(self, next: Option<UpcomingStart>) -> Self {
        Self { yields_to: next, ..self }
    }

    /// Brings the number of occurrences that are not over up to date.
    pub(super) fn count(&self, tally: &mut Counts) {
        let (before, after) = (self.before.occurrence.state, self.after.occurrence.state);
        let adjust = |n: usize, was: bool, is: bool| (n + usize::from(is)).saturating_sub(usize::from(was));
        let has_room = |state: State| !state.is_final() && state != State::Planned;
        tally.pending = adjust(tally.pending, !before.is_final(), !after.is_final());
        tally.with_room = adjust(tally.with_room, has_room(before), has_room(after));
    }

    /// Logs what happened.
    pub(super) fn tell(&self, host: &dyn Host) {
        self.tell_failure(host);
        for change in &self.changes {
            self.tell_change(*change, host);
        }
        let (occurrence, provider) = (self.after.id.as_str(), self.after.provider.as_str());
        let (before, after) = (&self.before.occurrence, &self.after.occurrence);
        self.tell_yield(host);
        self.tell_warning(host);
        if self.after.is_stray() && before.gone_since.is_some() && after.gone_since.is_none() {
            let occupancy = after.occupancy.map(u64::from);
            host.log(&LogEvent::RoomReturned { occurrence, provider, occupancy });
        }
        if self.was_updated {
            host.log(&LogEvent::RoomUpdated { occurrence, provider, ends_at: Time(after.ends_at()) });
        }
        if after.is_removed && !before.is_removed {
            let closes_at = Time(after.closes_at(&self.spec.policy));
            let reason = Reason::Removed.as_str();
            host.log(&LogEvent::MeetingFinishing { occurrence, provider, reason, closes_at });
        }
        if after.occupancy != before.occupancy && after.state.has_open_room() {
            let occupancy = after.occupancy.map(u64::from);
            host.log(&LogEvent::RoomOccupancy { occurrence, provider, occupancy });
        }
    }

    /// An extension was shortened, or not granted, as the next occurrence begins.
    fn tell_yield(&self, host: &dyn Host) {
        let (before, after) = (&self.before.occurrence, &self.after.occurrence);
        let policy = &self.spec.policy;
        let Some(next) = &self.yields_to else { return };
        let has = |reasons: &[Reason]| self.changes.iter().any(|change| reasons.contains(&change.reason));
        let is_shortened =
            has(&[Reason::Occupied, Reason::OccupancyUnknown]) && after.closes_at(policy) == next.at;
        // Where it was shortened before, this is what was told then.
        let is_refused = has(&[Reason::Yielded]) && before.closes_at(policy) != next.at;
        if is_shortened || is_refused {
            host.log(&LogEvent::MeetingYields {
                occurrence: &self.after.id,
                provider: &self.after.provider,
                next: &next.id,
                next_starts_at: Time(next.at),
                closes_at: Time(before.closes_at(policy).max(after.closes_at(policy))),
            });
        }
    }

    fn tell_warning(&self, host: &dyn Host) {
        let (occurrence, provider) = (self.after.id.as_str(), self.after.provider.as_str());
        let (life, policy) = (&self.before.occurrence, &self.spec.policy);
        let told = |shown: &str, closes_at: DateTime<Utc>, before: TimeDelta| {
            let minutes = u64::try_from(before.num_minutes()).unwrap_or_default();
            let closes_at = Time(closes_at);
            host.log(&LogEvent::MeetingWarned { occurrence, provider, minutes, closes_at, shown });
        };
        let not_told = |closes_at: DateTime<Utc>, error: &str| {
            let closes_at = Time(closes_at);
            host.log(&LogEvent::MeetingNotWarned { occurrence, provider, closes_at, error });
        };
        match self.warning {
            Some(Warning { closes_at, before, warned: Warned::InLog }) => told("log", closes_at, before),
            Some(Warning { closes_at, warned: Warned::TooLate, .. }) => not_told(closes_at, "too late"),
            None => {}
        }
        match &self.announced {
            Some(Ok(())) => {
                let closes_at = life.last_close(policy);
                let before = life.warned_at.map_or(TimeDelta::zero(), |at| closes_at - at);
                told("room", closes_at, before);
            }
            Some(Err(error)) => not_told(life.last_close(policy), error),
            None => {}
        }
    }

    fn tell_failure(&self, host: &dyn Host) {
        let Some((call, kind, retry_at)) = self.failure else { return };
        let life = &self.after.occurrence;
        let (occurrence, provider) = (self.after.id.as_str(), self.after.provider.as_str());
        let attempts = u64::from(life.attempts);
        let error = life.last_error.as_deref().unwrap_or("no such room");
        let retry_at = Time(retry_at);
        match kind {
            FailureKind::Rejected => host.log(&LogEvent::CallRejected { occurrence, provider, call, error }),
            // A look or a close that finds no room is an observation, not a failure.
            FailureKind::NotFound => {}
            FailureKind::NotDone | FailureKind::Unknown => {
                host.log(&LogEvent::CallFailed { occurrence, provider, call, attempts, error, retry_at });
            }
        }
        let starts_at = life.times.starts_at;
        if life.state == State::Creating && self.wall >= starts_at - AT_RISK_BEFORE {
            let starts_at = Time(starts_at);
            host.log(&LogEvent::MeetingAtRisk { occurrence, provider, starts_at, attempts, error, retry_at });
        }
        // A stray that cannot be looked at may well not be there.
        let is_close = call == "close" || !self.after.is_stray();
        if life.state == State::Closing && life.attempts >= NOT_CLOSED_AFTER && is_close {
            let join_url = life.room.as_ref().map_or("unknown", |room| room.join_url.as_str());
            host.log(&LogEvent::RoomNotClosed { occurrence, provider, attempts, error, join_url });
        }
    }

    fn tell_change(&self, change: Change, host: &dyn Host) {
        let life = &self.after.occurrence;
        let policy = &self.spec.policy;
        let (occurrence, provider) = (self.after.id.as_str(), self.after.provider.as_str());
        let reason = change.reason.as_str();
        let (starts_at, ends_at) = (Time(life.times.starts_at), Time(life.ends_at()));
        let closes_at = Time(life.closes_at(policy));
        let occupancy = life.occupancy.map(u64::from);
        match (change.to, change.reason) {
            (_, Reason::Occupied | Reason::OccupancyUnknown) => {
                host.log(&LogEvent::MeetingExtended {
                    occurrence,
                    provider,
                    reason,
                    occupancy,
                    ends_at,
                    closes_at,
                });
            }
            (
                State::Planned | State::Ready | State::Live | State::Ended,
                Reason::Rescheduled | Reason::Restored,
            ) => {
                host.log(&LogEvent::MeetingRescheduled { occurrence, provider, reason, starts_at, ends_at });
            }
            (State::Creating, Reason::RoomGone) => {
                let room_id = self.before.occurrence.room.as_ref().map_or("unknown", |room| room.id.as_str());
                host.log(&LogEvent::RoomGone { occurrence, provider, reason, room_id });
            }
            (State::Creating, _) => {
                // What was added late is not late by any fault.
                let planned_for = life.create_at(policy).max(self.before.changed_at);
                let late_by = self.wall - planned_for;
                let is_after_start = self.wall > life.times.starts_at && late_by > TimeDelta::seconds(1);
                if late_by > LATE_AFTER || is_after_start {
                    let late_by_s = late_by.num_seconds();
                    host.log(&LogEvent::RoomLate { occurrence, provider, reason, late_by_s, starts_at });
                } else {
                    host.log(&LogEvent::RoomCreating { occurrence, provider, reason });
                }
            }
            (State::Ready, _) => {
                let title = self.after.title.as_deref().unwrap_or(&self.spec.title);
                if let Some(room) = &life.room {
                    let (room_id, join_url) = (room.id.as_str(), room.join_url.as_str());
                    host.log(&LogEvent::RoomCreated {
                        occurrence,
                        provider,
                        reason,
                        title,
                        starts_at,
                        room_id,
                        join_url,
                    });
                }
            }
            (State::Live, _) => host.log(&LogEvent::MeetingLive { occurrence, provider, reason, ends_at }),
            (State::Ended, _) => {
                host.log(&LogEvent::MeetingEnded { occurrence, provider, reason, closes_at })
            }
            (State::Closing, _) => {
                host.log(&LogEvent::RoomClosing { occurrence, provider, reason, occupancy })
            }
            (State::Closed, _) => host.log(&LogEvent::RoomClosed { occurrence, provider, reason }),
            (State::Cancelled, _) => {
                if change.from == State::Closing {
                    host.log(&LogEvent::RoomClosed { occurrence, provider, reason });
                }
                host.log(&LogEvent::MeetingCancelled { occurrence, provider, reason });
            }
            (State::Missed, _) => {
                host.log(&LogEvent::MeetingMissed { occurrence, provider, reason, starts_at, ends_at });
            }
            (State::Failed, _) => {
                let error = life.last_error.as_deref();
                host.log(&LogEvent::MeetingFailed { occurrence, provider, reason, error });
            }
            (State::Planned, _) => {}
        }
    }
}

/// What the history keeps of a change besides states and reason.
pub(super) fn detail(record: &Record, change: Change) -> Option<String> {
    let life = &record.occurrence;
    match (change.to, change.reason) {
        (_, Reason::Occupied | Reason::OccupancyUnknown | Reason::Rescheduled) => {
            Some(format!("ends {}", Time(life.ends_at())))
        }
        (State::Failed, _) => life.last_error.clone(),
        (State::Ready, Reason::Created | Reason::FoundByMarker) => {
            life.room.as_ref().map(|room| format!("room {}", room.id))
        }
        _ => None,
    }
}
