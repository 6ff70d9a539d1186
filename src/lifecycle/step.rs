//! The one door: every change of state goes through [`step`].

use super::stray::{self, Stray};
use super::time_rules::{self, CONFIRM_AFTER};
use super::{
    Answer, Call, Event, Failure, FailureKind, Occurrence, OnRemoved, Policy, Reason, Room, Sight, State,
    Times, Verdict, Warned, Warning, backoff, no_show, warning,
};
use crate::seeded_bug::{Bug, is_on};
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

/// What else there is besides the occurrence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// What comes next on the same seat.
    pub next: Next,
    /// Whether the provider can show a message in a room; `None`: not known yet, and warnings wait.
    pub can_announce: Option<bool>,
}

/// The next occurrence of the same series, or of one that has a host in common on the same provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Next {
    /// Nobody asked: what was answered last still counts. See [`asks_for_next`](super::asks_for_next).
    #[default]
    NotAsked,
    /// There is none that an extension could run into.
    Nothing,
    /// It starts then.
    StartsAt(DateTime<Utc>),
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
    /// A warning that was dealt with without a call.
    pub warning: Option<Warning>,
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

/// What becomes of `before` when `event` happens at `now`, with nothing known of its surroundings.
pub fn step(before: &Occurrence, event: Event, policy: &Policy, now: Now) -> Transition {
    step_among(before, event, policy, now, Surroundings::default())
}

/// What becomes of `before` when `event` happens at `now`.
pub fn step_among(
    before: &Occurrence,
    event: Event,
    policy: &Policy,
    now: Now,
    surroundings: Surroundings,
) -> Transition {
    let now = if is_on(Bug::ClosingUnsettled) { Now::agreed(now.wall) } else { now };
    let is_due = event == Event::Due;
    let mut step = Step { next: before.clone(), changes: Vec::new(), warning: None, policy, now };
    step.forget_the_future();
    match surroundings.next {
        Next::NotAsked => {}
        Next::Nothing => step.next.yields_at = None,
        Next::StartsAt(at) => step.next.yields_at = Some(at),
    }
    match event {
        Event::Due | Event::Tick => {}
        Event::Answered(answer) => step.answered(answer),
        Event::Restarted => step.restarted(),
        Event::Hinted => step.hinted(),
        Event::Rescheduled { times, is_changed } => step.rescheduled(times, is_changed),
        Event::Removed => step.removed(),
    }
    time_rules::follow_clock(&mut step);
    step.settle_warning(surroundings.can_announce);
    let call = if is_due { step.take_call(surroundings.can_announce) } else { None };
    let wake_at = if call.is_some() { None } else { time_rules::wake_at(&step.next, policy, now) };
    Transition { next: step.next, changes: step.changes, call, warning: step.warning, wake_at }
}

/// A transition in the making.
pub(super) struct Step<'a> {
    pub(super) next: Occurrence,
    changes: Vec<Change>,
    warning: Option<Warning>,
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
        self.next.gone_since = None;
        self.clear_failures();
        self.to(State::Closing, reason);
    }

    /// Ends a life that has no room: at once, or, as long as a room may still come, by looking for that and closing it.
    pub(super) fn give_up(&mut self, state: State, verdict: Verdict, reason: Reason) {
        match self.next.may_come_since(self.now.wall) {
            Some(since) => {
                self.next.asked_at = Some(since);
                self.close(verdict, reason);
            }
            None => self.finish(state, reason),
        }
    }

    /// Ends [`State::Closing`]: there is no open room any more.
    pub(super) fn closed(&mut self, reason: Reason) {
        match self.next.verdict.take() {
            // That it is closed goes without saying: why, does not.
            Some(Verdict::Cancelled) => self.finish(State::Cancelled, Reason::Removed),
            Some(Verdict::Failed) => self.finish(State::Failed, reason),
            Some(Verdict::PlannedAgain) => self.plan_again(reason),
            Some(Verdict::Closed | Verdict::Stray) | None => self.finish(State::Closed, reason),
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
        self.next.watched_since = None;
        self.next.yields_at = None;
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
    fn take_call(&mut self, can_announce: Option<bool>) -> Option<Call> {
        let mut call = time_rules::call_due(&self.next, self.policy, self.now)?;
        if call == Call::Announce && can_announce != Some(true) {
            // It is not known yet who could be told; the rest need not wait for that.
            call = Call::Update;
            if !self.next.is_outdated {
                return None;
            }
        }
        match call {
            Call::Create => {
                self.next.asked_at = Some(self.now.wall);
                self.next.is_outdated = false;
            }
            Call::Update => self.next.is_update_sent = true,
            Call::Announce => {
                // Whatever comes of it, it is not repeated.
                let due = warning::due(&self.next, self.policy, self.now);
                self.next.warned_at = due.map(|due| due.at).or(self.next.warned_at);
            }
            Call::Find | Call::Look | Call::Close => {}
        }
        Some(call)
    }

    /// Deals with a warning that is due and needs no call: nobody can be told, or it is too late.
    fn settle_warning(&mut self, can_announce: Option<bool>) {
        let Some(due) = warning::due(&self.next, self.policy, self.now) else { return };
        let warned = match can_announce {
            _ if self.now.settled > due.late_at() => Warned::TooLate,
            Some(false) => Warned::InLog,
            Some(true) | None => return,
        };
        self.next.warned_at = Some(due.at);
        let closes_at = self.next.last_close(self.policy);
        self.warning = Some(Warning { closes_at, before: due.before, warned });
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
            self.next.watched_since = None;
            self.next.gone_since = None;
            self.next.look_at = self.next.state.has_open_room().then_some(wall);
        }
        self.next.asked_at = self.next.asked_at.map(|at| at.min(wall));
        self.next.doubted_at = self.next.doubted_at.map(|at| at.min(wall));
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
        self.next.is_close_sent = stray::is_stray(&self.next);
        self.next.retry_at = None;
        if is_on(Bug::ExtensionLost) {
            self.next.extended_by = chrono::TimeDelta::zero();
        }
        if is_on(Bug::RestartForgetsCreate) {
            self.next.asked_at = None;
        }
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
            Answer::Find(Ok(None)) => self.not_found(),
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
            // Nothing hangs on a warning: a room that is not there is found by a look.
            Answer::Announce(Err(failure)) if failure.kind == FailureKind::NotFound => {
                self.next.look_at = self.next.state.has_open_room().then_some(self.now.wall);
            }
            Answer::Announce(Ok(()) | Err(_)) => {}
            Answer::Close(Ok(())) => {
                self.next.is_close_sent = true;
                self.next.retry_at = None;
                if is_on(Bug::CloseNotVerified) {
                    self.closed(Reason::SeenClosed);
                }
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

    /// There is no room, now. While it is wanted, another create makes it or gives the one that came late; but nobody
    /// would look again for a room that comes after it was given up.
    fn not_found(&mut self) {
        let wall = self.now.wall;
        let may_come = self.next.asked_at.is_some_and(|at| wall < at + time_rules::LATEST_DEED);
        if self.next.state == State::Closing && may_come {
            self.next.retry_at = Some(wall + time_rules::LOOK_FOR_LATE_EVERY);
        } else {
            self.next.doubted_at = self.next.asked_at.take().or(self.next.doubted_at);
            self.next.retry_at = None;
        }
    }

    fn has_room(&mut self, room: Room, reason: Reason) {
        self.next.room = Some(room);
        self.next.asked_at = None;
        self.next.doubted_at = None;
        self.next.occupancy = None;
        self.next.looked_at = None;
        self.next.watched_since = None;
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
                    self.give_up(State::Failed, Verdict::Failed, Reason::Rejected);
                }
            }
            FailureKind::NotDone => {
                self.next.asked_at = None;
                self.failed(failure);
            }
            FailureKind::Unknown => {
                if is_on(Bug::UnknownIsNotDone) {
                    self.next.asked_at = None;
                }
                self.failed(failure);
            }
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
        self.next.watched_since = None;
        self.next.looked_at = Some(self.now.wall);
        if is_on(Bug::FailedLookIsEmpty) {
            self.next.occupancy = Some(0);
            self.next.empty_since = Some(self.now.wall - CONFIRM_AFTER);
        }
        self.next.look_at = Some(failure.retry_at);
        self.next.attempts = self.next.attempts.saturating_add(1);
        self.next.last_error = Some(failure.message);
    }

    fn seen(&mut self, sight: Sight) {
        if stray::is_stray(&self.next) {
            return self.stray_seen(Some(sight));
        }
        if !sight.is_open {
            return self.gone(Reason::ClosedOnProvider);
        }
        if self.next.state == State::Closing {
            self.next.gone_since = None;
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
        let unknown = if is_on(Bug::UnknownIsEmpty) { Some(0) } else { None };
        let sight = Sight { occupancy: sight.occupancy.or(unknown), ..sight };
        self.next.watched_since =
            no_show::watched_since(&self.next, self.policy, sight.occupancy, self.now.wall);
        self.next.was_occupied |= sight.occupancy.is_some_and(|people| people > 0);
        // Of two looks with nobody looking between them, the first says nothing about the second.
        let has_gap = no_show::is_after_gap(&self.next, self.policy, self.now.wall);
        self.next.occupancy = sight.occupancy;
        self.next.looked_at = Some(self.now.wall);
        self.next.gone_since = None;
        self.next.empty_since = match sight.occupancy {
            Some(0) => self.next.empty_since.filter(|_| !has_gap).or(Some(self.now.wall)),
            Some(_) | None => None,
        };
        if !self.next.is_outdated {
            self.clear_failures();
        }
        self.next.look_at = Some(time_rules::next_look(&self.next, self.policy, self.now));
    }

    /// A look at a room that was gone.
    fn stray_seen(&mut self, sight: Option<Sight>) {
        let is_there = sight.is_some_and(|sight| sight.is_open);
        self.next.gone_since = if is_there { None } else { self.next.gone_since.or(Some(self.now.wall)) };
        self.next.occupancy = sight.and_then(|sight| sight.occupancy);
        match stray::judge(&self.next, sight, self.policy, self.now) {
            Stray::Wait(at) => {
                self.clear_failures();
                self.next.retry_at = Some(at);
            }
            Stray::Done => {
                self.closed(if sight.is_some() { Reason::SeenClosed } else { Reason::RoomGone });
            }
            Stray::Close => {
                let attempts = self.next.attempts;
                let pause = if attempts == 0 { chrono::TimeDelta::zero() } else { backoff(attempts, 0) };
                self.next.is_close_sent = false;
                self.failed(Failure {
                    kind: FailureKind::NotDone,
                    message: "the room that was gone is there, and open".to_owned(),
                    retry_at: self.now.wall + pause,
                });
            }
        }
    }

    /// A definite observation that there is no open room. Two of them, apart in time, are believed.
    fn gone(&mut self, reason: Reason) {
        if stray::is_stray(&self.next) {
            return self.stray_seen(None);
        }
        if self.next.state == State::Closing {
            // A look that was under way when closing began is no look at its outcome.
            if !self.next.is_close_sent {
                return;
            }
            // Whether the close was taken may be unknown: that the room is not there has to be seen twice here, too.
            let since = *self.next.gone_since.get_or_insert(self.now.wall);
            if reason == Reason::RoomGone && self.now.wall - since < CONFIRM_AFTER {
                self.next.retry_at = Some(since + CONFIRM_AFTER);
                return;
            }
            self.closed(Reason::SeenClosed);
            return;
        }
        if !self.next.state.has_open_room() {
            return;
        }
        self.next.looked_at = Some(self.now.wall);
        self.next.occupancy = None;
        self.next.empty_since = None;
        self.next.watched_since = None;
        let since = *self.next.gone_since.get_or_insert(self.now.wall);
        if self.now.wall - since < CONFIRM_AFTER && !is_on(Bug::GoneAtOnce) {
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
            self.next = Occurrence {
                state: self.next.state,
                generation,
                extended_by: self.next.extended_by,
                // Whoever came, came to this meeting; and what was told, was told.
                was_occupied: self.next.was_occupied,
                warned_at: self.next.warned_at,
                ..Occurrence::planned(times)
            };
            self.to(State::Creating, Reason::RoomGone);
        }
    }

    fn rescheduled(&mut self, times: Times, is_changed: bool) {
        let before = std::mem::replace(&mut self.next.times, times);
        let is_moved = before != times;
        if before.starts_at != times.starts_at {
            self.next.extended_by = chrono::TimeDelta::zero();
            // Whoever came to the old start need not come to the new one; whoever is in now has come.
            self.next.was_occupied = self.next.occupancy.is_some_and(|people| people > 0);
            self.next.watched_since = None;
            self.next.yields_at = None;
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
                let may_come = self.next.may_come_since(self.now.wall).is_some();
                if !may_come && self.now.wall < self.next.create_at(self.policy) {
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
            State::Creating if is_on(Bug::CancelForgetsCreate) => {
                self.finish(State::Cancelled, Reason::Removed);
            }
            State::Planned | State::Creating => {
                self.give_up(State::Cancelled, Verdict::Cancelled, Reason::Removed);
            }
            State::Ready => self.close(Verdict::Cancelled, Reason::Removed),
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
