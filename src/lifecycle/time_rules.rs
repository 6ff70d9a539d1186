//! What time alone brings about, what is to be called now, and when to look again.

use super::step::{Now, Step};
use super::{Call, Event, Occurrence, Policy, Reason, State, Verdict, no_show, warning};
use crate::seeded_bug::{Bug, is_on};
use chrono::{DateTime, TimeDelta, Utc};

/// Two observations that must agree (gone, empty) are at least this far apart.
pub const CONFIRM_AFTER: TimeDelta = TimeDelta::seconds(10);
/// A room that is asked for later than this after its time is called late.
pub const LATE_AFTER: TimeDelta = TimeDelta::seconds(60);
/// Nothing is put off for longer than this: neither a call that failed, nor the next look at a room that has begun. What
/// is, was noted by a clock that was wrong. (A provider that wants a longer pause has it by its queue, for all calls.)
pub(super) const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);
/// A request whose answer was lost is acted upon no later than this, by whatever lies between here and the service.
pub(super) const LATEST_DEED: TimeDelta = TimeDelta::minutes(5);
/// A room that may still come, and that nobody wants any more, is looked for this often.
pub(super) const LOOK_FOR_LATE_EVERY: TimeDelta = TimeDelta::seconds(30);
/// A new room is looked at this long after its creation: "the provider said yes" is not a room.
pub(super) const FIRST_LOOK_AFTER: TimeDelta = TimeDelta::seconds(30);
/// A room that was made long ahead is looked at this long before its start.
const LOOK_BEFORE_START: TimeDelta = TimeDelta::seconds(60);

/// A room that is still to be made goes before whatever else would be due up to so long before its start.
const HEAD_START: TimeDelta = TimeDelta::minutes(15);

/// Whatever has been due for so long goes before rooms whose creation was tried already.
const LONGEST_GIVING_WAY: TimeDelta = TimeDelta::minutes(10);

/// Where an occurrence that is due at `wake_at` stands in its provider's queue: the earlier goes first.
///
/// Rooms to be made come in the order of their starts, and before looks at rooms that are there: a meeting without a room is
/// worse than a room not looked at. A look at a room that waits for its start is urgent only when that is near. All
/// else goes by when it was due, so that nothing waits for ever.
pub fn urgency(state: State, starts_at: DateTime<Utc>, wake_at: DateTime<Utc>) -> DateTime<Utc> {
    match state {
        State::Planned => starts_at - HEAD_START,
        // Many that are tried again and again would keep all else waiting: they give way to what waits for longer.
        State::Creating => (starts_at - HEAD_START).max(wake_at - LONGEST_GIVING_WAY),
        State::Ready => wake_at.max(starts_at - LOOK_BEFORE_START),
        State::Live
        | State::Ended
        | State::Closing
        | State::Closed
        | State::Failed
        | State::Missed
        | State::Cancelled => wake_at,
    }
}

/// Makes every change that the clock asks for.
pub(super) fn follow_clock(step: &mut Step<'_>) {
    while change_by_time(step) {}
}

/// One change, if the clock asks for one. Each moves the state onward, so that the sequence ends.
fn change_by_time(step: &mut Step<'_>) -> bool {
    let (next, policy, now) = (&step.next, step.policy, step.now);
    match next.state {
        State::Planned if now.settled >= next.times.ends_at => step.finish(State::Missed, Reason::WindowOver),
        State::Planned if now.wall >= next.create_at(policy) => {
            let is_late = now.wall > next.create_at(policy) + LATE_AFTER;
            step.to(State::Creating, if is_late { Reason::Late } else { Reason::LeadReached });
        }
        State::Creating if now.settled >= next.ends_at() => {
            step.give_up(State::Failed, Verdict::Failed, Reason::WindowOver);
        }
        State::Ready if now.wall >= next.times.starts_at => step.to(State::Live, Reason::StartReached),
        State::Live | State::Ended if next.is_removed && is_surely_empty(next) => {
            step.close(Verdict::Cancelled, Reason::Removed);
        }
        State::Live | State::Ended if no_show::is_no_show(next, policy, now) => {
            step.close(Verdict::Closed, Reason::NoShow);
        }
        State::Live if now.settled >= next.ends_at() => step.to(State::Ended, Reason::DurationOver),
        State::Ended if now.settled >= next.closes_at(policy) => return close_or_extend(step),
        State::Closing if next.room.is_none() && next.asked_at.is_none() => {
            let reason = next.reason;
            step.closed(reason);
        }
        State::Planned
        | State::Creating
        | State::Ready
        | State::Live
        | State::Ended
        | State::Closing
        | State::Closed
        | State::Failed
        | State::Missed
        | State::Cancelled => return false,
    }
    true
}

/// The close delay is over: closes the room, or moves its end, or waits for a look.
fn close_or_extend(step: &mut Step<'_>) -> bool {
    let (next, policy, now) = (&mut step.next, step.policy, step.now);
    let closes_at = next.closes_at(policy);
    let left = next.extension_left(policy);
    let (Some(extend), true) = (policy.extend, left > TimeDelta::zero()) else {
        let reason = match policy.extend {
            Some(extend) if next.occupancy != Some(0) => {
                let has_left = extend.max > next.extended_by;
                if has_left { Reason::Yielded } else { Reason::ExtensionUsedUp }
            }
            Some(_) | None => Reason::CloseDelayOver,
        };
        step.close(Verdict::Closed, reason);
        return true;
    };
    let is_seen = next.looked_at.is_some_and(|at| at >= now.wall_when_settled(closes_at));
    if next.gone_since.is_some() || !is_seen {
        return false;
    }
    if is_surely_empty(next) {
        step.close(Verdict::Closed, Reason::Empty);
        return true;
    }
    let reason = match next.occupancy {
        // Empty, but seen so only once: `look_due` has the second look made.
        Some(0) => return false,
        Some(_) => Reason::Occupied,
        None => Reason::OccupancyUnknown,
    };
    // After down-time several steps may be due at once.
    let overdue_ms = (now.settled - closes_at).num_milliseconds();
    let steps = i32::try_from(overdue_ms / extend.step.num_milliseconds().max(1) + 1).unwrap_or(i32::MAX);
    let by = extend.step.checked_mul(steps).unwrap_or(left).min(left);
    next.extended_by += by;
    next.is_outdated = true;
    next.is_update_sent = false;
    let state = if next.ends_at() > now.settled { State::Live } else { State::Ended };
    step.to(state, reason);
    true
}

/// Whether [`step_among`](super::step_among) wants to know what comes next on the same seat: an extension may be
/// decided, or a warning be due that counts from how far extensions can go. Rarely true: whoever answers may search.
pub fn asks_for_next(occurrence: &Occurrence, event: &Event, policy: &Policy, now: Now) -> bool {
    let Some(extend) = policy.extend.filter(|extend| extend.yields) else { return false };
    if !occurrence.state.has_open_room() || occurrence.extended_by >= extend.max {
        return false;
    }
    // New times may be over at once.
    let is_rescheduled = matches!(event, Event::Rescheduled { .. });
    let longest = policy.warn.before.first().copied().unwrap_or_default();
    is_rescheduled || now.settled >= occurrence.closes_at(policy) - longest
}

/// Nobody was there at the last look nor at one at least [`CONFIRM_AFTER`] earlier, and nothing spoke against it between.
fn is_surely_empty(occurrence: &Occurrence) -> bool {
    match (occurrence.occupancy, occurrence.empty_since, occurrence.looked_at) {
        (Some(0), Some(since), Some(at)) => at - since >= CONFIRM_AFTER || is_on(Bug::EmptyAtOnce),
        _ => false,
    }
}

/// When to look next, after a look that found the room open.
pub(super) fn next_look(occurrence: &Occurrence, policy: &Policy, now: Now) -> DateTime<Utc> {
    let before_start = occurrence.times.starts_at - LOOK_BEFORE_START;
    if occurrence.state == State::Ready && before_start > now.wall {
        // A room that waits is left alone; one in which people are already is watched like one that has begun.
        let is_in_use = occurrence.occupancy.is_some_and(|people| people > 0);
        if is_in_use { before_start.min(now.wall + policy.look_every) } else { before_start }
    } else if occurrence.is_removed && occurrence.occupancy == Some(0) {
        now.wall + CONFIRM_AFTER
    } else {
        now.wall + policy.look_every
    }
}

/// When an open room is to be looked at: by the regular rhythm, and by the rule that needs to know who is there.
fn look_due(occurrence: &Occurrence, policy: &Policy, now: Now) -> Option<DateTime<Utc>> {
    let has_looked_since = |at: DateTime<Utc>| occurrence.looked_at.is_some_and(|looked_at| looked_at >= at);
    let for_no_show = no_show::due_at(occurrence, policy, now).filter(|at| !has_looked_since(*at));
    let regular = [occurrence.look_at, for_no_show].into_iter().flatten().min();
    if occurrence.state != State::Ended || occurrence.extension_left(policy) <= TimeDelta::zero() {
        return regular;
    }
    let closes_at = now.wall_when_settled(occurrence.closes_at(policy));
    let for_the_close = if !has_looked_since(closes_at - CONFIRM_AFTER) {
        Some(closes_at - CONFIRM_AFTER)
    } else if !has_looked_since(closes_at) {
        Some(closes_at)
    } else {
        occurrence.gone_since.or(occurrence.empty_since).map(|since| since + CONFIRM_AFTER)
    };
    [regular, for_the_close].into_iter().flatten().min()
}

/// The call that is to be made now.
pub(super) fn call_due(occurrence: &Occurrence, policy: &Policy, now: Now) -> Option<Call> {
    let may_call = occurrence.retry_at.is_none_or(|at| at <= now.wall);
    match occurrence.state {
        State::Creating if may_call => Some(match occurrence.asked_at {
            Some(_) if !is_on(Bug::FindSkipped) => Call::Find,
            Some(_) | None => Call::Create,
        }),
        State::Ready | State::Live | State::Ended => {
            if look_due(occurrence, policy, now).is_some_and(|at| at <= now.wall) {
                Some(Call::Look)
            } else if may_call && warning::due(occurrence, policy, now).is_some() {
                // One that only the log is told of was dealt with by the clock.
                Some(Call::Announce)
            } else {
                (occurrence.is_outdated && may_call).then_some(Call::Update)
            }
        }
        State::Closing if may_call => Some(match (&occurrence.room, occurrence.is_close_sent) {
            (None, _) => Call::Find,
            (Some(_), false) => Call::Close,
            (Some(_), true) => Call::Look,
        }),
        State::Planned
        | State::Creating
        | State::Closing
        | State::Closed
        | State::Failed
        | State::Missed
        | State::Cancelled => None,
    }
}

/// When to step again, if nothing happens before.
pub(super) fn wake_at(occurrence: &Occurrence, policy: &Policy, now: Now) -> Option<DateTime<Utc>> {
    // What waits for the settled clock is due when the wall clock shows this much more.
    let settles = |at| now.wall_when_settled(at);
    let retry = || occurrence.retry_at.unwrap_or(now.wall);
    let by_call = match occurrence.state {
        State::Planned => None,
        State::Creating | State::Closing => Some(retry()),
        State::Ready | State::Live | State::Ended => {
            let update = occurrence.is_outdated.then(retry);
            let warning = warning::due(occurrence, policy, now)
                .map(|due| retry().min(now.wall_when_settled(due.late_at()) + TimeDelta::milliseconds(1)));
            [look_due(occurrence, policy, now), update, warning].into_iter().flatten().min()
        }
        State::Closed | State::Failed | State::Missed | State::Cancelled => return None,
    };
    let by_time = match occurrence.state {
        State::Planned => Some(occurrence.create_at(policy)),
        State::Creating => Some(settles(occurrence.ends_at())),
        State::Ready => Some(occurrence.times.starts_at),
        State::Live => Some(settles(occurrence.ends_at())),
        // Once it is reached, a look is what is waited for.
        State::Ended => Some(settles(occurrence.closes_at(policy))).filter(|at| *at > now.wall),
        State::Closing | State::Closed | State::Failed | State::Missed | State::Cancelled => None,
    };
    let by_warning = warning::next_at(occurrence, policy, now).map(settles);
    [by_call, by_time, by_warning].into_iter().flatten().min()
}
