//! Time: the only place that reads a clock.

use super::BoxFuture;
use chrono::{DateTime, Utc};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

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

    /// Waits until the wall clock shows `at`, as exactly as the clock can, but no longer than `at_most`, whatever becomes of
    /// the wall clock. Returns at once when `at` is past, and perhaps earlier when the wall clock is set. Whoever waits
    /// looks at [`Clock::wall`] again.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the wait.
    fn wait_until(&self, at: DateTime<Utc>, at_most: Duration) -> BoxFuture<'static, ()> {
        self.sleep((at - self.wall()).to_std().unwrap_or_default().min(at_most))
    }
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
        let kernel = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        // The hardened unit hides that file, and says it by this variable.
        plain_boot_id(kernel).or_else(|| plain_boot_id(std::env::var("BOOT_ID").ok()))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    /// The runtime's timers tick in milliseconds and know nothing of the wall clock. The kernel's go by it to a fraction of a
    /// millisecond, and end at once when it is set or has gone on through a suspend. Needs a runtime with I/O.
    fn wait_until(&self, at: DateTime<Utc>, at_most: Duration) -> BoxFuture<'static, ()> {
        let left = (at - self.wall()).to_std().unwrap_or_default().min(at_most);
        Box::pin(async move {
            if left.is_zero() {
                return;
            }
            // Should the clock be set before the timer stands, or there be no descriptor to spare.
            let at_the_latest = tokio::time::sleep(left);
            let alarm = async {
                match alarm(at) {
                    Ok(alarm) if alarm.readable().await.is_ok() => {}
                    Ok(_) | Err(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = alarm => {}
                () = at_the_latest => {}
            }
        })
    }
}

/// The 32 digits, which some write with dashes; `None` for anything else.
fn plain_boot_id(text: Option<String>) -> Option<String> {
    let digits: String = text?.trim().chars().filter(|c| *c != '-').collect();
    (digits.len() == 32 && digits.chars().all(|c| c.is_ascii_hexdigit())).then_some(digits)
}

/// Becomes readable when the wall clock shows `at`, and when it is set.
#[expect(
    deprecated,
    reason = "its successor needs unsafe code; an owned descriptor is what that asks to be promised"
)]
fn alarm(at: DateTime<Utc>) -> std::io::Result<AsyncFd<OwnedFd>> {
    let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let at = Timespec { tv_sec: at.timestamp(), tv_nsec: at.timestamp_subsec_nanos().into() };
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
    timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &once)?;
    AsyncFd::with_interest(timer, Interest::READABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_told_by_its_id_however_that_is_written() {
        let boot_id = |text: &str| plain_boot_id(Some(text.to_owned()));
        let id = "0f6d1c2ab7e84d2f9c3a5b6e7d8f9a0b";
        assert_eq!(boot_id("0f6d1c2a-b7e8-4d2f-9c3a-5b6e7d8f9a0b\n").as_deref(), Some(id));
        assert_eq!(boot_id(id).as_deref(), Some(id));
        for nothing in ["", "%b", "0f6d", "zf6d1c2ab7e84d2f9c3a5b6e7d8f9a0b"] {
            assert_eq!(boot_id(nothing), None, "{nothing}");
        }
        assert_eq!(plain_boot_id(None), None);
        assert_eq!(SystemClock.boot_id(), SystemClock.boot_id());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_bounded_whatever_the_wall_clock_shows() {
        // The wall clock was set back by a day since `at` was reckoned: only the bound ends this.
        let at = SystemClock.wall() + chrono::TimeDelta::days(1);
        let begin = tokio::time::Instant::now();
        SystemClock.wait_until(at, Duration::from_secs(15)).await;
        assert_eq!(begin.elapsed().as_secs(), 15);
        SystemClock.wait_until(SystemClock.wall() - chrono::TimeDelta::days(1), Duration::MAX).await;
        assert_eq!(begin.elapsed().as_secs(), 15);
    }
}
