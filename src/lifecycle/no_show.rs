//! The rule that closes a room to which nobody came.
//!
//! It concludes from looks only, and from enough of them: for as long as `no_show` says, up to a look at or after the
//! start and `no_show`, the room was looked at without a gap, and every look said for certain that nobody was there. A
//! look that failed or could not tell, or a pause longer than [`LONGEST_GAP_IN_LOOKS`] rhythms (the daemon was down, the
//! provider busy), begins the watch anew. Somebody who was seen once has come, also before the start, and for good.

use super::step::Now;
use super::{Occurrence, Policy, State};
use chrono::{DateTime, TimeDelta, Utc};

/// Looks further apart than so many times `look_every` are not one watch.
const LONGEST_GAP_IN_LOOKS: i32 = 2;

/// Nobody came, and the rule closes the room for it.
pub(super) fn is_no_show(occurrence: &Occurrence, policy: &Policy, now: Now) -> bool {
    let (Some(at), Some(looked_at)) = (due_at(occurrence, policy, now), occurrence.looked_at) else {
        return false;
    };
    looked_at >= at && occurrence.occupancy == Some(0) && occurrence.gone_since.is_none()
}

/// The look that decides: the first one at this instant or later, by the wall clock. `None` while the rule does not
/// apply, or nothing has been seen that it could follow from.
pub(super) fn due_at(occurrence: &Occurrence, policy: &Policy, now: Now) -> Option<DateTime<Utc>> {
    let no_show = policy.no_show?;
    let has_begun = matches!(occurrence.state, State::Live | State::Ended);
    if !has_begun || occurrence.was_occupied || occurrence.is_removed {
        return None;
    }
    let by_start = now.wall_when_settled(occurrence.times.starts_at + no_show);
    Some(by_start.max(occurrence.watched_since? + no_show))
}

/// Since when the room has been watched and found empty, given a look now that said `occupancy`.
pub(super) fn watched_since(
    occurrence: &Occurrence,
    policy: &Policy,
    occupancy: Option<u32>,
    wall: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let has_gap = is_after_gap(occurrence, policy, wall);
    match occupancy {
        Some(0) => occurrence.watched_since.filter(|_| !has_gap).or(Some(wall)),
        Some(_) | None => None,
    }
}

/// Nobody looked for so long before a look now that what was seen earlier says nothing about the time between.
pub(super) fn is_after_gap(occurrence: &Occurrence, policy: &Policy, wall: DateTime<Utc>) -> bool {
    let longest_gap: TimeDelta = policy.look_every * LONGEST_GAP_IN_LOOKS;
    occurrence.looked_at.is_none_or(|before| wall - before > longest_gap)
}
