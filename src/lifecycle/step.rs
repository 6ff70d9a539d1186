//! The one door: every change of state goes through [`step`].

use super::time_rules::{self, CONFIRM_AFTER};
use super::{
    Answer, Call, Event, Failure, FailureKind, Occurrence, OnRemoved, Policy, Reason, Room, Sight, State,
    Times, Verdict, backoff,
};
use chrono::{DateTime, Utc};

/// The time, by two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock: by it rooms are opened.
    pub wall: DateTime<Utc>,
    /// The earlier of the wall clock and what the boot clock expects the wall clock to show. What cannot be undone
    /// (ending, closing, giving up) waits until this clock has reached it too, so that a stepped clock throws nobody out.
    pub settled: DateTime<Utc>,
}

impl Now {
    /// Both clocks agree.
    pub fn agreed(wall: DateTime<Utc>) -> Self {
        Self { wall, settled: wall }
    }

    /// What the wall clock shows when `at` is reached by the settled one.
    pub(super) fn wall_when_settled(self, at: DateTime<Utc>) -> DateTime<Utc> {
        at + (self.wall - self.settled)
    }
}

/// One entry of an occurrence's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The state before.
    pub from: State,
    /// The state after; the same one when only the end moved.
    pub to: State,
    /// Why.
    pub reason: Reason,
}

/// What [`step`] makes of an event. Commit it whole before acting on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The occurrence from now on.
    pub next: Occurrence,
    /// What changed, in order; empty when nothing did that belongs in the history.
    pub changes: Vec<Change>,
    /// The call to make once this is committed. Only [`Event::Due`] gives one.
    pub call: Option<Call>,
    /// When to step again with [`Event::Due`]; `None`: when something else happens. While a call is under way nothing
    /// is due.
    pub wake_at: Option<DateTime<Utc>>,
}

/// The next thing that happens to an occurrence if nothing goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// When.
    pub at: DateTime<Utc>,
    /// What: `create`, `start`, `end` or `close`.
    pub action: &'static str,
}

impl Deadline {
    /// What happens to `occurrence` next, for people.
    pub fn of(occurrence: &Occurrence, policy: &Policy) -> Option<Self> {
        let (at, action) = match occurrence.state {
            State::Planned => (occurrence.create_at(policy), "create"),
            State::Creating => (occurrence.retry_at.unwrap_or(occurrence.create_at(policy)), "create"),
            State::Ready => (occurrence.times.starts_at, "start"),
            State::Live => (occurrence.ends_at(), "end"),
            State::Ended => (occurrence.closes_at(policy), "close"),
            State::Closing => (occurrence.retry_at.unwrap_or(occurrence.closes_at(policy)), "close"),
            State::Closed | State::Failed | State::Missed | State::Cancelled => return None,
        };
        Some(Self { at, action })
    }
}

/// What becomes of `before` when `event` happens at `now`.
pub fn step(before: &Occurrence, event: Event, policy: &Policy, now: Now) -> Transition {
    let is_due = event == Event::Due;
    let mut step = Step { next: before.clone(), changes: Vec::new(), policy, now };
    step.forget_the_future();
    match event {
        Event::Due | Event::Tick => {}
        Event::Answered(answer) => step.answered(answer),
        Event::Restarted => step.restarted(),
        Event::Hinted => step.hinted(),
        Event::Rescheduled { times, is_changed } => step.rescheduled(times, is_changed),
        Event::Removed => step.removed(),
    }
    time_rules::follow_clock(&mut step);
    let call = if is_due { step.take_call() } else { None };
    let wake_at = if call.is_some() { None } else { time_rules::wake_at(&step.next, policy, now) };
    Transition { next: step.next, changes: step.changes, call, wake_at }
}

/// A transition in the making.
pub(super) struct Step<'a> {
    pub(super) next: Occurrence,
    changes: Vec<Change>,
    pub(super) policy: &'a Policy,
    pub(super) now: Now,
}

impl Step<'_> {
    /// Records a change. A state is written here and nowhere else.
    pub(super) fn to(&mut self, state: State, reason: Reason) {
        self.changes.push(Change { from: self.next.state, to: state, reason });
        self.next.state = state;
        self.next.reason = reason;
    }

    /// Begins to close the room, known or not.
    pub(super) fn close(&mut self, verdict: Verdict, reason: Reason) {
        self.next.verdict = Some(verdict);
        self.next.is_close_sent = false;
        self.next.is_outdated = false;
        self.next.look_at = None;
        self.clear_failures();
        self.to(State::Closing, reason);
    }

    /// Ends [`State::Closing`]: there is no open room any more.
    pub(super) fn closed(&mut self, reason: Reason) {
        match self.next.verdict.take() {
            // That it is closed goes without saying: why, does not.
            Some(Verdict::Cancelled) => self.finish(State::Cancelled, Reason::Removed),
            Some(Verdict::Failed) => self.finish(State::Failed, reason),
            Some(Verdict::PlannedAgain) => self.plan_again(reason),
            Some(Verdict::Closed) | None => self.finish(State::Closed, reason),
        }
    }

    /// Enters a final state. The room's id and links stay: history shows them.
    pub(super) fn finish(&mut self, state: State, reason: Reason) {
        self.next.verdict = None;
        self.next.is_outdated = false;
        self.next.is_close_sent = false;
        self.next.is_removed = false;
        self.next.occupancy = None;
        self.next.empty_since = None;
        self.next.gone_since = None;
        self.next.look_at = None;
        self.next.retry_at = None;
        self.to(state, reason);
    }

    /// Back to the beginning, as another generation.
    fn plan_again(&mut self, reason: Reason) {
        let state = self.next.state;
        let generation = self.next.generation.saturating_add(1);
        self.next = Occurrence { state, generation, ..Occurrence::planned(self.next.times) };
        self.to(State::Planned, reason);
    }

    fn clear_failures(&mut self) {
        self.next.attempts = 0;
        self.next.retry_at = None;
        self.next.last_error = None;
    }

    fn failed(&mut self, failure: Failure) {
        self.next.attempts = self.next.attempts.saturating_add(1);
        self.next.retry_at = Some(failure.retry_at);
        self.next.last_error = Some(failure.message);
    }

    /// The call that is to be made now; notes in the occurrence that it is on its way.
    fn take_call(&mut self) -> Option<Call> {
        let call = time_rules::call_due(&self.next, self.policy, self.now)?;
        match call {
            Call::Create => {
                self.next.asked_at = Some(self.now.wall);
                self.next.is_outdated = false;
            }
            Call::Update => self.next.is_update_sent = true,
            Call::Find | Call::Look | Call::Close => {}
        }
        Some(call)
    }

    /// What lies in the future was noted by a clock that has been set back since: nothing is concluded from it, and it is
    /// not waited for.
    fn forget_the_future(&mut self) {
        let wall = self.now.wall;
        let is_ahead = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at > wall);
        if is_ahead(self.next.looked_at) || is_ahead(self.next.empty_since) || is_ahead(self.next.gone_since)
        {
            self.next.looked_at = None;
            self.next.occupancy = None;
            self.next.empty_since = None;
            self.next.gone_since = None;
            self.next.look_at = self.next.state.has_open_room().then_some(wall);
        }
        self.next.asked_at = self.next.asked_at.map(|at| at.min(wall));
        let is_too_far = |at: Option<DateTime<Utc>>| is_ahead(at.map(|at| at - time_rules::LONGEST_PAUSE));
        if is_too_far(self.next.retry_at) {
            self.next.retry_at = None;
        }
        if is_too_far(self.next.look_at) && self.next.look_at > Some(self.next.times.starts_at) {
            self.next.look_at = Some(wall);
        }
    }

    /// The room is looked at now, or as soon as two looks are far enough apart to agree.
    fn hinted(&mut self) {
        if self.next.state.has_open_room() {
            let now = self.now.wall;
            let soon = self.next.looked_at.map_or(now, |at| (at + CONFIRM_AFTER).max(now));
            self.next.look_at = Some(self.next.look_at.map_or(soon, |at| at.min(soon)));
        }
    }

    /// The daemon was restarted: what was on its way is unknown now, and nothing waits out a back-off.
    fn restarted(&mut self) {
        self.next.is_update_sent = false;
        self.next.is_close_sent = false;
        self.next.retry_at = None;
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Create(Ok(room)) => self.has_room(room, Reason::Created),
            Answer::Create(Err(failure)) => self.create_failed(failure),
            Answer::Find(Ok(Some(room))) => {
                // It was made for an earlier wish, perhaps, and may show what the schedule said then.
                self.next.is_outdated = true;
                self.has_room(room, Reason::FoundByMarker);
            }
            Answer::Find(Ok(None)) => {
                self.next.asked_at = None;
                self.next.retry_at = None;
            }
            Answer::Find(Err(failure)) => self.failed(failure),
            Answer::Look(Ok(sight)) => self.seen(sight),
            Answer::Look(Err(failure)) => self.look_failed(failure),
            Answer::Update(Ok(room)) => {
                self.next.room = Some(room);
                self.next.is_outdated &= !self.next.is_update_sent;
                self.next.is_update_sent = false;
                self.clear_failures();
            }
            Answer::Update(Err(failure)) => self.update_failed(failure),
            Answer::Close(Ok(())) => {
                self.next.is_close_sent = true;
                self.next.retry_at = None;
            }
            Answer::Close(Err(failure)) => {
                // Done, perhaps: a look tells.
                self.next.is_close_sent =
                    matches!(failure.kind, FailureKind::NotFound | FailureKind::Unknown);
                if failure.kind != FailureKind::NotFound {
                    self.failed(failure);
                }
            }
        }
    }

    fn has_room(&mut self, room: Room, reason: Reason) {
        self.next.room = Some(room);
        self.next.asked_at = None;
        self.next.occupancy = None;
        self.next.looked_at = None;
        self.clear_failures();
        if self.next.state == State::Creating {
            self.next.look_at = Some(self.now.wall + time_rules::FIRST_LOOK_AFTER);
            self.to(State::Ready, reason);
        }
        // Closing: the room came after the wish for it was gone; now it is known what to close.
    }

    fn create_failed(&mut self, failure: Failure) {
        match failure.kind {
            FailureKind::Rejected | FailureKind::NotFound => {
                self.next.asked_at = None;
                self.next.last_error = Some(failure.message);
                if self.next.state == State::Creating {
                    self.finish(State::Failed, Reason::Rejected);
                }
            }
            FailureKind::NotDone => {
                self.next.asked_at = None;
                self.failed(failure);
            }
            FailureKind::Unknown => self.failed(failure),
        }
    }

    fn update_failed(&mut self, failure: Failure) {
        self.next.is_update_sent = false;
        match failure.kind {
            // It would be refused again: until the schedule changes, the room stays as it is.
            FailureKind::Rejected => {
                self.next.is_outdated = false;
                self.next.last_error = Some(failure.message);
            }
            FailureKind::NotFound => {
                self.next.look_at = Some(self.now.wall);
                self.failed(Failure { retry_at: self.now.wall + CONFIRM_AFTER, ..failure });
            }
            FailureKind::NotDone | FailureKind::Unknown => self.failed(failure),
        }
    }

    fn look_failed(&mut self, failure: Failure) {
        if failure.kind == FailureKind::NotFound {
            return self.gone(Reason::RoomGone);
        }
        if self.next.state == State::Closing {
            return self.failed(failure);
        }
        self.next.occupancy = None;
        self.next.empty_since = None;
        self.next.looked_at = Some(self.now.wall);
        self.next.look_at = Some(failure.retry_at);
        self.next.attempts = self.next.attempts.saturating_add(1);
        self.next.last_error = Some(failure.message);
    }

    fn seen(&mut self, sight: Sight) {
        if !sight.is_open {
            return self.gone(Reason::ClosedOnProvider);
        }
        if self.next.state == State::Closing {
            if !self.next.is_close_sent {
                return;
            }
            // The provider took the close and the room is open all the same: close it again.
            self.next.is_close_sent = false;
            let attempts = self.next.attempts.saturating_add(1);
            return self.failed(Failure {
                kind: FailureKind::NotDone,
                message: "the provider took the close, and the room is still open".to_owned(),
                retry_at: self.now.wall + backoff(attempts, 0),
            });
        }
        self.next.occupancy = sight.occupancy;
        self.next.looked_at = Some(self.now.wall);
        self.next.gone_since = None;
        self.next.empty_since = match sight.occupancy {
            Some(0) => self.next.empty_since.or(Some(self.now.wall)),
            Some(_) | None => None,
        };
        if !self.next.is_outdated {
            self.clear_failures();
        }
        self.next.look_at = Some(time_rules::next_look(&self.next, self.policy, self.now));
    }

    /// A definite observation that there is no open room. Two of them, apart in time, are believed.
    fn gone(&mut self, reason: Reason) {
        if self.next.state == State::Closing {
            // A look that was under way when closing began is no look at its outcome.
            if self.next.is_close_sent {
                self.closed(Reason::SeenClosed);
            }
            return;
        }
        if !self.next.state.has_open_room() {
            return;
        }
        self.next.looked_at = Some(self.now.wall);
        self.next.occupancy = None;
        self.next.empty_since = None;
        let since = *self.next.gone_since.get_or_insert(self.now.wall);
        if self.now.wall - since < CONFIRM_AFTER {
            self.next.look_at = Some(since + CONFIRM_AFTER);
            return;
        }
        let is_over = self.next.state == State::Ended;
        let was_ended_by_hand = reason == Reason::ClosedOnProvider && self.next.state != State::Ready;
        if self.next.is_removed {
            self.finish(State::Cancelled, reason);
        } else if is_over || was_ended_by_hand {
            self.finish(State::Closed, reason);
        } else {
            let (times, generation) = (self.next.times, self.next.generation.saturating_add(1));
            let extended_by = self.next.extended_by;
            let state = self.next.state;
            self.next = Occurrence { state, generation, extended_by, ..Occurrence::planned(times) };
            self.to(State::Creating, Reason::RoomGone);
        }
    }

    fn rescheduled(&mut self, times: Times, is_changed: bool) {
        let before = std::mem::replace(&mut self.next.times, times);
        let is_moved = before != times;
        if before.starts_at != times.starts_at {
            self.next.extended_by = chrono::TimeDelta::zero();
        }
        let was_removed = std::mem::take(&mut self.next.is_removed);
        let is_window_open = times.ends_at > self.now.settled;
        match self.next.state {
            State::Planned => {
                if is_moved {
                    self.to(State::Planned, Reason::Rescheduled);
                }
            }
            State::Creating => {
                self.next.is_outdated |= self.next.asked_at.is_some();
                self.clear_failures();
                if self.next.asked_at.is_none() && self.now.wall < self.next.create_at(self.policy) {
                    self.to(State::Planned, Reason::Rescheduled);
                }
            }
            State::Ready | State::Live | State::Ended => {
                if is_moved || is_changed {
                    self.next.is_outdated = true;
                    self.next.is_update_sent = false;
                    self.clear_failures();
                }
                if is_moved {
                    let state = if times.starts_at > self.now.wall {
                        State::Ready
                    } else if self.next.state == State::Ended && self.next.ends_at() > self.now.settled {
                        State::Live
                    } else {
                        self.next.state
                    };
                    self.to(state, Reason::Rescheduled);
                } else if was_removed {
                    self.to(self.next.state, Reason::Restored);
                }
            }
            State::Closing => {
                let is_wanted = is_moved || self.next.verdict != Some(Verdict::Closed);
                if is_wanted && is_window_open {
                    self.next.verdict = Some(Verdict::PlannedAgain);
                }
            }
            State::Closed | State::Missed => {
                if is_moved && is_window_open {
                    self.plan_again(Reason::Rescheduled);
                }
            }
            State::Failed => {
                if is_window_open {
                    self.plan_again(Reason::Rescheduled);
                }
            }
            State::Cancelled => {
                if is_window_open {
                    self.plan_again(Reason::Restored);
                }
            }
        }
    }

    fn removed(&mut self) {
        match self.next.state {
            State::Planned => self.finish(State::Cancelled, Reason::Removed),
            State::Creating if self.next.asked_at.is_none() => self.finish(State::Cancelled, Reason::Removed),
            State::Creating | State::Ready => self.close(Verdict::Cancelled, Reason::Removed),
            State::Live | State::Ended => match self.policy.on_removed {
                OnRemoved::Close => self.close(Verdict::Cancelled, Reason::Removed),
                OnRemoved::Finish => {
                    self.next.is_removed = true;
                    // What was seen before is no reason to close now: somebody may have come in since.
                    self.next.empty_since = None;
                    self.next.look_at = Some(self.now.wall);
                }
            },
            State::Closing => {
                if self.next.verdict == Some(Verdict::PlannedAgain) {
                    self.next.verdict = Some(Verdict::Cancelled);
                }
            }
            State::Closed | State::Failed | State::Missed | State::Cancelled => {}
        }
    }
}
