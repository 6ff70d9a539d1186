//! How long a token lives, and when it is time for the next one. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

/// A token is replaced when so much of its life remains, or a third of it, whichever is less.
pub(super) const REFRESH_BEFORE: Duration = Duration::from_secs(600);
/// A token with less life than this is not handed out: it could be over before the request arrives.
pub(super) const LEAST_LIFE: Duration = Duration::from_secs(30);
/// A token that is refused although it is younger than this is not replaced: the next would fare no better.
pub(super) const YOUNG: TimeDelta = TimeDelta::seconds(60);
/// A grant that was not refreshed for so long is, whether or not anybody needs it: services forget those that are idle (some
/// say after 90 days). Looked at every hour, none is idle for a week, and there is a day to spare for a service out of order.
pub const IDLE: TimeDelta = TimeDelta::days(6);
/// What a service that does not say how long a token lives is taken to mean.
const LIFE_UNSAID: i64 = 3600;
/// What a token's life is taken for at least and at most, whatever a service says.
const LIFE_S: std::ops::RangeInclusive<i64> = 60..=86_400;

/// The life of a token by what the service says, in seconds.
pub(super) fn life(expires_in: Option<i64>) -> TimeDelta {
    TimeDelta::seconds(expires_in.unwrap_or(LIFE_UNSAID).clamp(*LIFE_S.start(), *LIFE_S.end()))
}

/// How much of the life of a token is left by the wall clock. Never more than all of it, so that a clock that was set back
/// makes no token live longer by more than that.
pub(super) fn remaining(issued_at: DateTime<Utc>, expires_at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (expires_at - now).min(expires_at - issued_at).to_std().unwrap_or_default()
}

/// The remaining life at which a token of that life is replaced.
pub(super) fn margin(life: Duration) -> Duration {
    REFRESH_BEFORE.min(life / 3)
}

/// The pause after `failures` tries in a row that failed (one or more), stretched by up to a quarter by `seed`, so that
/// accounts which failed together do not return together.
pub(super) fn pause(failures: u32, seed: u64) -> TimeDelta {
    const PAUSES_S: [i64; 6] = [5, 10, 30, 60, 120, 300];
    let at = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX).min(PAUSES_S.len() - 1);
    let pause_ms = PAUSES_S.get(at).copied().unwrap_or(300) * 1000;
    let stretch = i64::try_from(seed % 1024).unwrap_or(0) * pause_ms / 4096;
    TimeDelta::milliseconds(pause_ms + stretch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_token_is_replaced_ten_minutes_before_its_end_and_a_short_one_after_two_thirds() {
        assert_eq!(margin(Duration::from_secs(3600)), Duration::from_secs(600));
        assert_eq!(margin(Duration::from_secs(300)), Duration::from_secs(100));
    }

    #[test]
    fn a_service_that_says_nonsense_makes_no_token_immortal_or_stillborn() {
        let seconds =
            [None, Some(3599), Some(0), Some(-5), Some(i64::MAX)].map(|said| life(said).num_seconds());
        assert_eq!(seconds, [3600, 3599, 60, 60, 86_400]);
    }

    #[test]
    fn pauses_grow_to_five_minutes() {
        let whole: Vec<i64> = (1..9).map(|n| pause(n, 0).num_seconds()).collect();
        assert_eq!(whole, [5, 10, 30, 60, 120, 300, 300, 300]);
        assert_eq!(pause(u32::MAX, u64::MAX).num_seconds(), 374);
    }

    proptest! {
        #[test]
        fn whatever_the_clock_shows_no_token_has_more_life_than_it_was_given(
            issued in -100_000_i64..100_000, said in proptest::option::of(any::<i64>()), now in -10_000_000_i64..10_000_000,
        ) {
            let life = life(said);
            let left = remaining(at(issued), at(issued) + life, at(now));
            prop_assert!(left <= life.to_std().unwrap());
            prop_assert_eq!(left.is_zero(), now >= issued + life.num_seconds());
        }
    }
}
