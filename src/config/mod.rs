//! From TOML files to a valid [`Config`], or to located problems.
//!
//! A [`Config`] cannot be wrong: [`load()`] reads the first file and what it includes, checks everything, and gives either
//! the configuration with its defaults applied, or all problems of all files in one run. It reads no clock and, but for
//! [`Files`], does no I/O; the same files and the same `now` give the same answer.
//!
//! Secrets are named in the files, never held by them: [`SecretRef::resolve`] reads one. No message shows what may be a
//! secret in the wrong place, nor a control character.

mod daemon;
mod diagnostic;
mod document;
mod duration;
mod fingerprint;
mod forecast;
mod lint;
mod load;
mod mask;
mod meeting;
mod problems;
mod provider;
mod reader;
mod rules;
mod seats;
mod secret;
mod suggest;
mod syntax;
mod url;

pub use daemon::{Daemon, ReloadGuard};
pub use diagnostic::{Diagnostic, Severity, Snippet};
pub use document::{MAX_FILES, MAX_INCLUDE_DEPTH, MAX_TOTAL_BYTES};
pub use forecast::{Foreseen, foresee};
pub use lint::MAX_OCCURRENCES;
pub use load::{Loaded, load};
pub use meeting::{MAX_MEETINGS, Meeting};
pub use provider::{
    DEFAULT_PROVIDER, MeetingServiceConfig, ProviderConfig, ProviderKind, RateLimit, ZoomConfig, ZoomGrant,
    ZoomLicence,
};
pub use secret::{SecretRef, SecretUse};

use crate::seams::Files;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most occurrences of one meeting within the horizon.
pub const MAX_OCCURRENCES_PER_MEETING: usize = 100_000;

/// A valid configuration, defaults applied.
#[derive(Debug, Clone)]
pub struct Config {
    /// The zone of meetings that name none.
    pub timezone: chrono_tz::Tz,
    /// `[daemon]`.
    pub daemon: Daemon,
    /// `[providers.*]` by name; the built-in one as [`DEFAULT_PROVIDER`] where none is configured.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// `[[meetings]]` by id.
    pub meetings: BTreeMap<String, Arc<Meeting>>,
    /// The secrets that the providers and `[daemon]` name.
    pub secrets: Vec<SecretUse>,
}

impl Config {
    /// A problem for each secret that cannot be read now. An error, or a warning for a systemd credential where this
    /// process has none: `check` from a shell cannot see what the unit will have.
    pub fn missing_secrets(&self, files: &dyn Files) -> Vec<Diagnostic> {
        self.secrets.iter().filter_map(|secret| secret.check(files)).collect()
    }
}

/// The names of all keys that a configuration can hold, for what must not fall behind them: the example, the manual.
pub fn all_keys() -> Vec<String> {
    let of = |prefix: &'static str, keys: &[&str]| -> Vec<String> {
        keys.iter().map(|key| format!("{prefix}{key}")).collect()
    };
    [
        of("", &document::KEYS),
        of("daemon.", &daemon::KEYS),
        of("daemon.reload_guard.", &daemon::RELOAD_GUARD_KEYS),
        of("defaults.", &rules::KEYS),
        of("providers.*.", &provider::KEYS),
        of("providers.*.", &provider::ZOOM_KEYS),
        of("meetings.", &meeting::KEYS),
        of("meetings.", &rules::KEYS),
        of("meetings.extend.", &rules::EXTEND_KEYS),
        of("meetings.settings.", &rules::SETTINGS_KEYS),
        of("meetings.participants.", &rules::PARTICIPANT_KEYS),
        of("meetings.overrides.", &meeting::OVERRIDE_KEYS),
    ]
    .concat()
}
