//! What becomes of a room that was gone, and for which another one was made.
//!
//! "Gone" was believed on two looks, and may have been wrong all the same: a service that answers from a copy which is
//! behind, or was restored. The old room is a record of its own ([`Occurrence::stray`]) that ends when it was seen
//! closed, or is still not there when its occurrence could last no longer. When it turns up, it is closed as soon as
//! nobody is in it; whoever is in it stays up to the end of the occurrence.

use super::step::Now;
use super::{Occurrence, Policy, Sight, Verdict};
use chrono::{DateTime, Utc};

/// What to do about a stray after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stray {
    /// Look again then.
    Wait(DateTime<Utc>),
    /// It is there, and may be closed.
    Close,
    /// It is gone, or closed.
    Done,
}

/// What a look at a stray means; `None`: there is no such room. The caller has made sure that it is one.
pub(super) fn judge(occurrence: &Occurrence, sight: Option<Sight>, policy: &Policy, now: Now) -> Stray {
    let is_over = now.settled >= occurrence.closes_at_latest(policy);
    let is_in_use = |sight: Sight| sight.occupancy != Some(0);
    match sight {
        Some(sight) if !sight.is_open => Stray::Done,
        Some(sight) if is_over || !is_in_use(sight) => Stray::Close,
        None if is_over => Stray::Done,
        Some(_) | None => Stray::Wait(now.wall + policy.look_every),
    }
}

/// It is a stray.
pub(super) fn is_stray(occurrence: &Occurrence) -> bool {
    occurrence.verdict == Some(Verdict::Stray)
}
