//! The host: the service manager that is told how we are, and the log.

use crate::log::LogEvent;

/// What the service manager is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostState {
    /// The store is open, the schedule loaded, the listener bound.
    Ready,
    /// A new schedule is being applied.
    Reloading,
    /// A new line for `systemctl status`.
    Status(String),
    /// The engine finished a turn: feeds the watchdog.
    Alive,
    /// No more work is taken.
    Stopping,
}

/// The service manager and the log.
pub trait Host: Send + Sync {
    /// Tells the service manager; a failure is of no consequence to the meetings and is not reported.
    fn notify(&self, state: HostState);

    /// Tells whoever reads the log.
    fn log(&self, event: &LogEvent<'_>);
}

/// systemd, by its notification socket, where it started us; the process's log.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemHost;

impl Host for SystemHost {
    fn notify(&self, state: HostState) {
        use sd_notify::NotifyState;
        let line;
        let reloading;
        let states: &[NotifyState<'_>] = match &state {
            HostState::Ready => &[NotifyState::Ready],
            HostState::Reloading => match NotifyState::monotonic_usec_now() {
                // `Type=notify-reload` wants to know when.
                Ok(now) => {
                    reloading = [NotifyState::Reloading, now];
                    &reloading
                }
                Err(_) => &[NotifyState::Reloading],
            },
            HostState::Status(text) => {
                line = text.clone();
                &[NotifyState::Status(&line)]
            }
            HostState::Alive => &[NotifyState::Watchdog],
            HostState::Stopping => &[NotifyState::Stopping],
        };
        let _ = sd_notify::notify(states);
    }

    fn log(&self, event: &LogEvent<'_>) {
        event.emit();
    }
}
