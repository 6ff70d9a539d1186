//! The built-in meeting service: rooms with a page where people meet, over HTTP, with nothing but a SQLite file behind it.
//!
//! A server of its own inside the daemon: it could as well run on another machine, and the daemon talks to it through the
//! driver of kind `meeting-service` in either case. It keeps who may enter which room and when, who is in it, who leads
//! and who is muted. It carries neither sound nor picture.
//!
//! ```text
//! HTTP ─► api (people, after the vendor's API) ─┐
//!      ─► admin (the daemon: rooms made ahead) ─┼─► writer ─► core (one thread: SQLite, presence, time)
//!      ─► page (a browser)                     ─┘
//! ```
//!
//! Invariants:
//! - An answer is given when what it says is on disk.
//! - A closed room never opens again, whatever is sent.
//! - A room that was made ahead is closed by word; by itself only when its last possible closing is well past.
//! - Presence is measured by signs of life on the boot clock, so that a stepped wall clock empties no room.
//!
//! Deliberately absent: media, chat, screen and board sharing, a list of rooms, accounts of people. `docs/meeting-service.md`
//! is the description for whoever uses the API.

mod admin;
mod api;
mod core;
mod database;
mod envelope;
mod fields;
mod page;
mod people;
mod rooms;
mod writer;

pub use database::ServiceError;
pub use envelope::codes;
pub use rooms::Swept;

use self::core::Core;
use crate::seams::{Clock, Entropy};
use chrono::TimeDelta;
use secrecy::SecretString;
use std::path::Path;
use std::sync::Arc;
use writer::Writer;

/// The vendor's numbers of roles.
mod role {
    /// Leads the meeting.
    pub(super) const HOST: i64 = 1;
    /// Everybody else.
    pub(super) const PARTICIPANT: i64 = 2;
}

/// The vendor's numbers of switches.
mod flag {
    /// Turned on. Off is 0.
    pub(super) const ON: i64 = 1;
}

/// The header with the admin secret.
pub const ADMIN_SECRET_HEADER: &str = "x-admin-secret";
/// The paths before `/apps/{appId}/v1` under which the API is served.
pub const PREFIX: &str = "/scenario/meeting";
/// The application id that the service takes unless set otherwise.
pub const DEFAULT_APP_ID: &str = "convened";
/// The largest request body, in bytes (64 KiB).
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// What an operator can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSettings {
    /// How people's browsers reach the service: scheme, host, and path where a proxy adds one; without `/` at the end.
    /// Links to rooms begin with it.
    pub public_url: String,
    /// The application id in the API's paths: a name, not a secret. Default [`DEFAULT_APP_ID`].
    pub app_id: String,
    /// An entry into an unknown room makes that room, as the vendor's service does. Default true. With false only rooms
    /// that were made ahead exist.
    pub entry_creates_rooms: bool,
    /// How many rooms made ahead may be open at once. Default 1,000,000.
    pub max_rooms: u32,
    /// How many rooms made by entries may be open at once: anybody can make those. Default 10,000.
    pub max_entered_rooms: u32,
    /// How many people may be in a room. Default 1,000.
    pub max_users_per_room: u32,
    /// How long after its last possible closing the service closes a room that nobody closed. Default 1 hour.
    pub close_grace: TimeDelta,
    /// How long a closed room is remembered. Default 7 days.
    pub forget_after: TimeDelta,
}

impl ServiceSettings {
    /// The defaults, for a service that browsers reach at `public_url`.
    pub fn new(public_url: impl Into<String>) -> Self {
        Self {
            public_url: public_url.into(),
            app_id: DEFAULT_APP_ID.to_owned(),
            entry_creates_rooms: true,
            max_rooms: 1_000_000,
            max_entered_rooms: 10_000,
            max_users_per_room: 1_000,
            close_grace: TimeDelta::hours(1),
            forget_after: TimeDelta::days(7),
        }
    }
}

/// The service. A clone is the same service; when the last one is gone, what waits is written and the file closed.
#[derive(Clone)]
pub struct MeetingService {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Writer,
    settings: Arc<ServiceSettings>,
    admin_secret: SecretString,
}

impl std::fmt::Debug for MeetingService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MeetingService").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl MeetingService {
    /// The file's usual name in the state folder.
    pub const FILE_NAME: &str = "meeting-service.sqlite";

    /// Opens the service's file, makes it (readable by this user only) if it is not there, and starts its thread. One
    /// service at a time may use a file: who is present is in memory.
    ///
    /// # Errors
    /// See [`ServiceError`]; the file of a newer version or of another program is left as it is.
    pub fn open(
        path: &Path,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: ServiceSettings,
    ) -> Result<Self, ServiceError> {
        let connection = database::open(path)?;
        let admin_secret = database::admin_secret(&connection, path, entropy.as_ref())?;
        let settings = Arc::new(settings);
        let core = Core::new(connection, clock, entropy, settings.clone())
            .map_err(|source| ServiceError::Database { path: path.to_owned(), source })?;
        let writer =
            Writer::start(core).map_err(|source| ServiceError::Io { path: path.to_owned(), source })?;
        Ok(Self { inner: Arc::new(Inner { writer, settings, admin_secret }) })
    }

    /// The secret that administrative calls carry in [`ADMIN_SECRET_HEADER`]. Made at random with the file.
    pub fn admin_secret(&self) -> &SecretString {
        &self.inner.admin_secret
    }

    /// The service's paths: [`PREFIX`]`/…`, `/conf/…` and `/m/…`. To be merged into a listener's router.
    pub fn router(&self) -> axum::Router {
        let limit = axum::extract::DefaultBodyLimit::max(MAX_BODY_BYTES);
        api::router(self.clone()).merge(page::router(self.clone())).layer(limit)
    }

    /// Tidies up: closes rooms that everybody forgot, forgets rooms that were closed long ago, puts out people of whom
    /// nothing was heard for a day. To be called about every hour; nothing that people see depends on it.
    ///
    /// # Errors
    /// When the database cannot be used; what was done before that stays done.
    pub async fn sweep(&self) -> Result<Swept, anyhow::Error> {
        let mut all = Swept::default();
        while let Some(swept) = self.call(rooms::sweep).await.map_err(|e| anyhow::anyhow!(e.message))? {
            all.closed += swept.closed;
            all.forgotten += swept.forgotten;
            all.vanished += swept.vanished;
        }
        Ok(all)
    }

    /// Brings everything from the write-ahead log into the file itself, so that a copy of the file is whole. For the end
    /// of the process; nothing is lost without it.
    pub async fn tidy(&self) {
        // It only makes the file nicer to copy.
        let _ = self.call(Core::checkpoint).await;
    }

    /// Has `run` done on the service's thread; see [`Writer::call`].
    async fn call<T, F>(&self, run: F) -> Result<T, envelope::ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Core) -> Result<T, envelope::ApiError> + Send + 'static,
    {
        self.inner.writer.call(run).await
    }

    fn settings(&self) -> &ServiceSettings {
        &self.inner.settings
    }
}
