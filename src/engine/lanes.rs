//! One queue for each provider: what is due, the most urgent first, under the provider's limits.

use crate::lifecycle;
use crate::providers::Provider;
use crate::seeded_bug::{Bug, is_on};
use crate::store::Due;
use chrono::{DateTime, Utc};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

/// What a provider allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneLimits {
    /// Calls under way at once.
    pub max_in_flight: usize,
    /// Least time from one call to the next; zero: no limit.
    pub interval: Duration,
    /// How long one call may take.
    pub timeout: Duration,
}

/// One part in so many of the allowed rate is left unused.
const PACE_MARGIN: u32 = 50;
/// A turn that came late catches up by this much at most, so that timers and the disk cost no rate and no window of the
/// provider's sees more calls than it allows.
const CATCH_UP: Duration = Duration::from_millis(5);

/// A provider's queue.
pub(super) struct Lane {
    /// The provider; `None` when the schedule does not configure it (any more).
    pub(super) provider: Option<Arc<dyn Provider>>,
    pub(super) limits: LaneLimits,
    queue: BinaryHeap<Reverse<(DateTime<Utc>, i64)>>,
    in_flight: usize,
    /// On the boot clock: no call before.
    free_at: Duration,
}

impl Lane {
    pub(super) fn new(provider: Option<Arc<dyn Provider>>, limits: LaneLimits) -> Self {
        Self { provider, limits, queue: BinaryHeap::new(), in_flight: 0, free_at: Duration::ZERO }
    }

    pub(super) fn push(&mut self, due: &Due) {
        let urgency = lifecycle::urgency(due.state, due.starts_at, due.key.wake_at);
        self.queue.push(Reverse((urgency, due.key.seq)));
    }

    /// The most urgent entry. The caller asks [`Lane::is_free`] first.
    pub(super) fn pop(&mut self) -> Option<i64> {
        self.queue.pop().map(|Reverse((_, seq))| seq)
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    pub(super) fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }

    /// A call may be made at `boot`.
    pub(super) fn is_free(&self, boot: Duration) -> bool {
        self.in_flight < self.limits.max_in_flight && self.free_at <= boot
    }

    /// How many calls may be made at `boot`.
    pub(super) fn places(&self, boot: Duration) -> usize {
        let free = self.limits.max_in_flight.saturating_sub(self.in_flight);
        if !self.is_free(boot) {
            return 0;
        }
        let pace = self.pace();
        if pace.is_zero() {
            return free;
        }
        let behind = boot.saturating_sub(self.free_at.max(boot.saturating_sub(CATCH_UP)));
        free.min(1 + usize::try_from(behind.as_nanos() / pace.as_nanos()).unwrap_or(usize::MAX - 1))
    }

    /// When a call may be made again, if only time is in the way.
    pub(super) fn free_at(&self) -> Option<Duration> {
        (self.in_flight < self.limits.max_in_flight).then_some(self.free_at)
    }

    /// The time from one call to the next that is aimed at: a little more than the least that is allowed, as calls do not
    /// arrive exactly as far apart as they are sent.
    fn pace(&self) -> Duration {
        let interval = if is_on(Bug::RateIgnored) { Duration::ZERO } else { self.limits.interval };
        interval + interval / PACE_MARGIN
    }

    /// A call is sent at `boot`.
    pub(super) fn sent(&mut self, boot: Duration) {
        self.in_flight += 1;
        self.free_at = self.free_at.max(boot.saturating_sub(CATCH_UP)) + self.pace();
    }

    /// A call came back, or was not sent after all.
    pub(super) fn came_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A call that came back counts as under way again: what came back could not be recorded.
    pub(super) fn is_out_again(&mut self) {
        self.in_flight += 1;
    }

    /// The provider wants no call before `until` on the boot clock. Returns whether that is news.
    pub(super) fn block(&mut self, until: Duration) -> bool {
        let is_later = until > self.free_at;
        self.free_at = self.free_at.max(until);
        is_later
    }
}
