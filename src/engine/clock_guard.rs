//! Reads the time by two clocks and tells when the wall clock has stepped.

use crate::lifecycle::Now;
use crate::seams::Clock;
use crate::seeded_bug::{self, Bug, is_on};
use crate::transport::DateWitness;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use std::sync::Arc;
use std::time::Duration;

/// A difference between the clocks up to this is drift, which NTP's slewing makes, not a step.
const TOLERANCE: TimeDelta = TimeDelta::seconds(2);
/// A stepped wall clock is believed once it has stood as long as the step was wide, at most this long: by then nothing
/// that the step brought forward can be closed early.
const BELIEVED_AFTER_AT_MOST: TimeDelta = TimeDelta::hours(6);

/// The wall clock, checked against the boot clock.
pub(super) struct ClockGuard {
    clock: Arc<dyn Clock>,
    witness: Arc<DateWitness>,
    /// Wall clock at boot, by the last reading at which the clocks agreed: together with the boot clock it says what the
    /// wall clock should show.
    epoch: DateTime<Utc>,
    step: Option<SteppedClock>,
}

/// The wall clock shows something else than it should.
#[derive(Debug, Clone, Copy)]
struct SteppedClock {
    /// By how much.
    by: TimeDelta,
    /// The boot clock when this was first seen.
    since: Duration,
}

/// A reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// The time by both clocks.
    pub(super) now: Now,
    /// The boot clock.
    pub(super) boot: Duration,
    /// What happened to the wall clock since the last reading.
    pub(super) change: Option<ClockChange>,
}

/// Something happened to the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClockChange {
    /// It was set, by this much.
    Stepped(TimeDelta),
    /// It agrees with the boot clock again, or is believed.
    Settled,
}

impl ClockGuard {
    pub(super) fn new(clock: Arc<dyn Clock>, witness: Arc<DateWitness>) -> Self {
        let boot = if is_on(Bug::MonotonicClock) { seeded_bug::monotonic() } else { clock.boot() };
        let epoch = clock.wall() - signed(boot);
        Self { clock, witness, epoch, step: None }
    }

    /// What the next start has to know to notice that the wall clock was set while no daemon looked: the boot, and what
    /// the wall clock showed at its beginning. `None` while the clocks differ, or where the boots cannot be told apart.
    pub(super) fn to_remember(&self) -> Option<String> {
        let boot_id = self.clock.boot_id().filter(|_| self.step.is_none())?;
        Some(format!("{} {boot_id}", self.epoch.timestamp_millis()))
    }

    /// Goes on from what an earlier daemon remembered, if the machine was not booted since.
    pub(super) fn remember(&mut self, remembered: &str) {
        let epoch = remembered.split_once(' ').and_then(|(epoch_ms, boot_id)| {
            let is_same_boot = self.clock.boot_id().is_some_and(|id| id == boot_id);
            DateTime::from_timestamp_millis(epoch_ms.parse().ok().filter(|_| is_same_boot)?)
        });
        self.epoch = epoch.unwrap_or(self.epoch);
    }

    /// Reads both clocks.
    pub(super) fn read(&mut self) -> Reading {
        // What the store can keep apart: an instant and its copy there must not differ.
        let wall = self.clock.wall().trunc_subsecs(3);
        let boot = if is_on(Bug::MonotonicClock) { seeded_bug::monotonic() } else { self.clock.boot() };
        let expected = (self.epoch + signed(boot)).trunc_subsecs(3);
        let by = wall - expected;
        let change = match self.step {
            _ if by.abs() <= TOLERANCE => {
                self.epoch = wall - signed(boot);
                self.step.take().map(|_| ClockChange::Settled)
            }
            Some(step) if (by - step.by).abs() <= TOLERANCE => {
                let stood = signed(boot.saturating_sub(step.since));
                let is_believed = stood >= step.by.abs().min(BELIEVED_AFTER_AT_MOST)
                    || self.witness.confirms(wall, boot, step.since);
                is_believed.then(|| {
                    self.epoch = wall - signed(boot);
                    self.step = None;
                    ClockChange::Settled
                })
            }
            Some(_) | None => {
                self.step = Some(SteppedClock { by, since: boot });
                Some(ClockChange::Stepped(by))
            }
        };
        let settled = if self.step.is_some() { wall.min(expected) } else { wall };
        Reading { now: Now { wall, settled }, boot, change }
    }
}

fn signed(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::BoxFuture;
    use std::sync::Mutex;

    struct TwoClocks(Mutex<(DateTime<Utc>, Duration)>);

    impl Clock for TwoClocks {
        fn wall(&self) -> DateTime<Utc> {
            self.0.lock().unwrap().0
        }
        fn boot(&self) -> Duration {
            self.0.lock().unwrap().1
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            unreachable!("nothing waits here")
        }
    }

    impl TwoClocks {
        fn passes(&self, wall: TimeDelta, boot_s: u64) {
            let mut clocks = self.0.lock().unwrap();
            clocks.0 += wall;
            clocks.1 += Duration::from_secs(boot_s);
        }
    }

    fn guard() -> (Arc<TwoClocks>, Arc<DateWitness>, ClockGuard) {
        let start = "2026-11-23T08:00:00Z".parse().unwrap();
        let clocks = Arc::new(TwoClocks(Mutex::new((start, Duration::from_secs(1000)))));
        let witness = Arc::new(DateWitness::default());
        let guard = ClockGuard::new(clocks.clone(), witness.clone());
        (clocks, witness, guard)
    }

    #[test]
    fn drift_and_suspend_are_no_steps() {
        let (clocks, _, mut guard) = guard();
        for _ in 0..1000 {
            clocks.passes(TimeDelta::milliseconds(15_007), 15);
            assert_eq!(guard.read().change, None);
        }
        // A suspend of 14 hours: the boot clock counts it.
        clocks.passes(TimeDelta::hours(14), 14 * 3600);
        let reading = guard.read();
        assert_eq!((reading.change, reading.now.settled), (None, reading.now.wall));
    }

    #[test]
    fn after_a_step_ahead_the_settled_time_goes_on_from_before() {
        let (clocks, _, mut guard) = guard();
        clocks.passes(TimeDelta::hours(2) + TimeDelta::seconds(10), 10);
        let reading = guard.read();
        assert_eq!(reading.change, Some(ClockChange::Stepped(TimeDelta::hours(2))));
        assert_eq!(reading.now.wall - reading.now.settled, TimeDelta::hours(2));
        clocks.passes(TimeDelta::hours(1), 3600);
        assert_eq!(guard.read().change, None);
        // Set right again: nothing was closed in between.
        clocks.passes(TimeDelta::hours(-2), 0);
        let reading = guard.read();
        assert_eq!((reading.change, reading.now.settled), (Some(ClockChange::Settled), reading.now.wall));
    }

    #[test]
    fn a_step_back_makes_everything_wait_for_the_wall_clock() {
        let (clocks, _, mut guard) = guard();
        clocks.passes(TimeDelta::hours(-2), 1);
        let reading = guard.read();
        assert!(matches!(reading.change, Some(ClockChange::Stepped(_))));
        assert_eq!(reading.now.settled, reading.now.wall);
    }

    #[test]
    fn a_step_is_believed_when_it_has_stood_or_a_server_agrees() {
        let (clocks, _, mut one) = guard();
        clocks.passes(TimeDelta::minutes(30), 0);
        one.read();
        clocks.passes(TimeDelta::minutes(30), 1800);
        assert_eq!(one.read().change, Some(ClockChange::Settled));

        let (clocks, witness, mut two) = guard();
        clocks.passes(TimeDelta::days(2), 0);
        two.read();
        clocks.passes(TimeDelta::seconds(5), 5);
        witness.saw(clocks.wall() - TimeDelta::days(2), clocks.boot());
        assert_eq!(two.read().change, None, "the server speaks against the wall clock");
        witness.saw(clocks.wall() + TimeDelta::seconds(20), clocks.boot());
        assert_eq!(two.read().change, Some(ClockChange::Settled));
    }

    /// Of a certain boot.
    struct Booted(Arc<TwoClocks>, &'static str);

    impl Clock for Booted {
        fn wall(&self) -> DateTime<Utc> {
            self.0.wall()
        }
        fn boot(&self) -> Duration {
            self.0.boot()
        }
        fn boot_id(&self) -> Option<String> {
            Some(self.1.to_owned())
        }
        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            self.0.sleep(duration)
        }
    }

    #[test]
    fn what_an_earlier_daemon_saw_counts_for_the_same_boot_alone() {
        let (clocks, witness, _) = guard();
        let daemon = |boot| ClockGuard::new(Arc::new(Booted(clocks.clone(), boot)), witness.clone());
        let remembered = daemon("one").to_remember().unwrap();
        clocks.passes(TimeDelta::hours(2), 0);
        for (boot, remembered, is_noticed) in
            [("one", remembered.as_str(), true), ("two", &remembered, false), ("one", "nonsense", false)]
        {
            let mut guard = daemon(boot);
            guard.remember(remembered);
            let reading = guard.read();
            assert_eq!(reading.now.wall != reading.now.settled, is_noticed, "{boot} {remembered}");
            assert_eq!(guard.to_remember().is_none(), is_noticed, "what is doubted is not handed on");
        }
    }
}
