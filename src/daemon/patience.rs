//! Waiting at the start for what passes by itself: a disk that is full, another program that holds a file.

use crate::log::LogEvent;
use crate::seams::{Clock, Host, HostState};
use std::sync::Arc;
use std::time::Duration;

/// How long a start waits in all. Shorter than the unit's `TimeoutStartSec`, and long enough that a start again after each
/// never meets `StartLimitBurst`: the service manager must not give up before the operator has come.
const LONGEST: Duration = Duration::from_secs(70);
/// The time between two tries.
const PAUSE: Duration = Duration::from_secs(2);

/// What is left of it.
pub(super) struct Patience {
    host: Arc<dyn Host>,
    clock: Arc<dyn Clock>,
    /// On the boot clock.
    until: Duration,
}

impl Patience {
    /// For one start.
    pub(super) fn new(host: Arc<dyn Host>, clock: Arc<dyn Clock>) -> Self {
        let until = clock.boot().saturating_add(LONGEST);
        Self { host, clock, until }
    }

    /// Tries until it works, or fails in a way that does not pass, or the time is over. What is waited for is told once.
    ///
    /// # Errors
    /// The last one.
    pub(super) async fn with<T, E: std::error::Error>(
        &self,
        mut work: impl FnMut() -> Result<T, E>,
        may_pass: impl Fn(&E) -> bool,
    ) -> Result<T, E> {
        let mut is_told = false;
        loop {
            match work() {
                Ok(done) => {
                    if is_told {
                        self.host.log(&LogEvent::StoreRecovered {});
                    }
                    return Ok(done);
                }
                Err(error) if may_pass(&error) => {
                    let text = error.to_string();
                    if !std::mem::replace(&mut is_told, true) {
                        self.host.log(&LogEvent::StoreFailed { error: &text });
                    }
                    self.host.notify(HostState::Status(format!("waits to start: {text}")));
                    if !self.pause().await {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits a moment; `false` when the time is over.
    pub(super) async fn pause(&self) -> bool {
        if self.clock.boot() >= self.until {
            return false;
        }
        self.clock.sleep(PAUSE).await;
        true
    }
}
