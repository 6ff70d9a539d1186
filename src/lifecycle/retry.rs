//! When to try again.

use crate::seeded_bug::{Bug, is_on};
use chrono::TimeDelta;

/// The first pause after a failed call.
pub const RETRY_FIRST: TimeDelta = TimeDelta::seconds(2);
/// The longest pause between two tries.
pub const RETRY_LONGEST: TimeDelta = TimeDelta::minutes(2);

/// The pause before the next try after `attempts` failures in a row (one or more): doubles from [`RETRY_FIRST`] up to
/// [`RETRY_LONGEST`], between half and the whole of it by `seed`, so that many that failed together do not return
/// together.
pub fn backoff(attempts: u32, seed: u64) -> TimeDelta {
    let doublings = attempts.saturating_sub(1).min(16);
    let longest = if is_on(Bug::BackoffUncapped) { TimeDelta::MAX } else { RETRY_LONGEST };
    let whole = (RETRY_FIRST * (1 << doublings)).min(longest);
    let half_ms = whole.num_milliseconds() / 2;
    // Mixes the attempt in, so that a constant seed still gives another pause each time (Knuth's multiplier).
    let mixed = seed.wrapping_add(u64::from(attempts)).wrapping_mul(6_364_136_223_846_793_005) >> 33;
    let jitter = i64::try_from(mixed).unwrap_or(0) % (half_ms + 1);
    TimeDelta::milliseconds(half_ms + jitter)
}
