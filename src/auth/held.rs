//! A token that is held, and whether it is what is wanted. Pure.

use super::AccessToken;
use super::life::{self, LEAST_LIFE};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// A token that the store has, with its end on the boot clock, which nobody can set.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) token: AccessToken,
    pub(super) expires_at_boot: Duration,
    pub(super) life: Duration,
    pub(super) issued_at: DateTime<Utc>,
    pub(super) is_refused: bool,
    pub(super) is_unsettled: bool,
}

/// What a token must be like.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Want {
    /// It lives at least so much longer, where that is more than a token's usual margin.
    pub(super) life: Duration,
    /// How long it lives does not matter, nor whether it still does: it is about the grant.
    pub(super) is_any_life: bool,
    /// It is a later one.
    pub(super) refused: Option<u64>,
    /// It was issued later than this.
    pub(super) issued_after: Option<DateTime<Utc>>,
    /// No refresh is left over whose outcome nobody knows.
    pub(super) is_settled: bool,
}

impl Held {
    pub(super) fn remaining(&self, boot: Duration) -> Duration {
        self.expires_at_boot.saturating_sub(boot)
    }

    /// It is what is wanted.
    pub(super) fn meets(&self, want: Want, boot: Duration) -> bool {
        // More than two thirds cannot be asked for: the next token would be due at once, too.
        let needed = life::margin(self.life).max(want.life.min(self.life / 3 * 2));
        let is_usable = self.remaining(boot) > needed && !self.is_refused;
        (is_usable || want.is_any_life)
            && want.refused.is_none_or(|refused| self.token.generation > refused)
            && want.issued_after.is_none_or(|after| self.issued_at > after)
            && !(want.is_settled && self.is_unsettled)
    }

    /// It can be used, though another one would be better.
    pub(super) fn will_do(&self, want: Want, boot: Duration) -> bool {
        self.remaining(boot) >= LEAST_LIFE
            && !self.is_refused
            && want.refused.is_none_or(|refused| self.token.generation > refused)
    }
}
