//! From a local time to its instant: the one place where gaps and overlaps are decided.

use crate::seeded_bug::{Bug, is_on};
use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// No local time is farther than this from UTC (the farthest in the zone data is 15:56 h, by local mean time).
pub(super) const FARTHEST_OFFSET: TimeDelta = TimeDelta::hours(24);

/// What a change of the clocks does to a local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// Nothing: it exists once.
    None,
    /// It does not exist, and was moved later by the gap's length.
    Gap(TimeDelta),
    /// It exists twice, and the earlier instant was taken.
    Overlap,
}

/// The instant of a local time (RFC 5545 section 3.3.5): one that falls into a gap is read with the offset in force
/// before the gap, and so comes out later by the gap's length; of two the earlier counts.
pub fn to_utc(zone: Tz, local: NaiveDateTime) -> (DateTime<Utc>, Shift) {
    match zone.offset_from_local_datetime(&local) {
        LocalResult::Single(offset) => (at_offset(local, seconds(offset.fix())), Shift::None),
        LocalResult::Ambiguous(one, other) => {
            // The earlier instant is the one with the larger offset, whatever order they come in.
            (at_offset(local, seconds(one.fix()).max(seconds(other.fix()))), Shift::Overlap)
        }
        LocalResult::None if is_on(Bug::GapMovesEarlier) => to_utc(zone, local - TimeDelta::hours(1)),
        LocalResult::None => in_gap(zone, local),
    }
}

/// The offset's length east of UTC.
fn seconds(offset: chrono::FixedOffset) -> TimeDelta {
    TimeDelta::seconds(i64::from(offset.local_minus_utc()))
}

/// `local` less `offset`; at the ends of what can be represented, the end.
fn at_offset(local: NaiveDateTime, offset: TimeDelta) -> DateTime<Utc> {
    local.and_utc().checked_sub_signed(offset).unwrap_or(if offset < TimeDelta::zero() {
        DateTime::<Utc>::MAX_UTC
    } else {
        DateTime::<Utc>::MIN_UTC
    })
}

/// For a local time that no clock of the zone shows.
fn in_gap(zone: Tz, local: NaiveDateTime) -> (DateTime<Utc>, Shift) {
    let offset_at =
        |instant: DateTime<Utc>| seconds(zone.offset_from_utc_datetime(&instant.naive_utc()).fix());
    let (Some(mut before), Some(mut after)) = (
        local.and_utc().checked_sub_signed(FARTHEST_OFFSET),
        local.and_utc().checked_add_signed(FARTHEST_OFFSET),
    ) else {
        return (local.and_utc(), Shift::None);
    };
    // Invariant: the zone's clock shows less than `local` at `before` and more at `after`. It never shows `local`
    // itself, so the two close in on the jump over it, however many other changes there are around.
    while after - before > TimeDelta::seconds(1) {
        let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
        if (middle + offset_at(middle)).naive_utc() < local {
            before = middle;
        } else {
            after = middle;
        }
    }
    let gap = offset_at(after) - offset_at(before);
    (at_offset(local, offset_at(before)), Shift::Gap(gap))
}
