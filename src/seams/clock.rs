//! Time: the only place that reads a clock.

use super::BoxFuture;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// The wall clock, the boot clock, and waiting.
pub trait Clock: Send + Sync {
    /// The wall clock. May step either way at any time: an operator, NTP or a resumed VM may set it.
    fn wall(&self) -> DateTime<Utc>;

    /// Time since boot, suspend included (`CLOCK_BOOTTIME`). Never steps; starts anew at each boot.
    fn boot(&self) -> Duration;

    /// Which boot of the machine this is: while it is the same, [`Clock::boot`] has gone on without a break, in whatever
    /// process. `None`: nobody can say.
    fn boot_id(&self) -> Option<String> {
        None
    }

    /// Waits for `duration`, measured by a clock that stops while the machine is suspended. Whoever waits for an
    /// instant must therefore nap in short pieces and look at [`Clock::wall`] again.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the wait.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn wall(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn boot(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        // Both parts of a boot time are never negative and nanoseconds are below one milliard.
        Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
    }

    fn boot_id(&self) -> Option<String> {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
