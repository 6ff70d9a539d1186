//! The store: what survives a crash. A small, batch-shaped trait, and SQLite behind it.
//!
//! The engine hands over one [`Batch`] per turn, and the whole of it is durable when [`Store::commit`] returns, or none
//! of it is there. Nothing outside this module knows SQL.
//!
//! The trait is synchronous: the engine runs on a thread of its own and has nothing better to do than wait for the disk.

mod lock;
mod record;
mod sqlite;
#[cfg(test)]
mod tests;

pub use lock::{StoreLock, StoreLockError};
pub use record::{MeetingSpec, Record, StoredMeeting};
pub use sqlite::{Ahead, SqliteStore};

use crate::lifecycle::{Call, Change, State};
use chrono::{DateTime, NaiveDate, Utc};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Where in the order of deadlines something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueKey {
    /// When it is due.
    pub wake_at: DateTime<Utc>,
    /// The occurrence's number in the store.
    pub seq: i64,
}

impl DueKey {
    /// Before everything.
    pub const START: Self = Self { wake_at: DateTime::<Utc>::MIN_UTC, seq: i64::MIN };
}

/// An occurrence that is due: enough to put it in its provider's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its place in the order of deadlines.
    pub key: DueKey,
    /// The provider's name.
    pub provider: String,
    /// Where it stands.
    pub state: State,
    /// Its scheduled start.
    pub starts_at: DateTime<Utc>,
}

/// The start of an occurrence that takes a seat.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UpcomingStart {
    /// The scheduled start.
    pub at: DateTime<Utc>,
    /// The occurrence's number in the store.
    pub seq: i64,
    /// Its identity.
    pub id: String,
}

/// One line of an occurrence's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// When.
    pub at: DateTime<Utc>,
    /// The generation after the change.
    pub generation: u32,
    /// What changed.
    pub change: Change,
    /// What else there is to say (an error's words, the new end).
    pub detail: Option<String>,
}

/// What becomes of one occurrence.
#[derive(Debug, Clone)]
pub struct Update {
    /// What the store holds: only what differs from it is written.
    pub before: Arc<Record>,
    /// What it holds from then on.
    pub after: Arc<Record>,
    /// Lines of history, in order.
    pub history: Vec<HistoryEntry>,
}

/// What was used of a daily quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaUse {
    /// The provider's name.
    pub provider: String,
    /// Whose quota it is, in the provider's terms.
    pub quota: String,
    /// The UTC day.
    pub day: NaiveDate,
    /// So often on that day.
    pub used: u32,
}

/// Everything that one turn changes.
#[derive(Debug, Default)]
pub struct Batch {
    /// Meetings to write, by id.
    pub meetings: Vec<StoredMeeting>,
    /// New occurrences; `seq` is given by the store.
    pub inserts: Vec<Record>,
    /// Occurrences to change.
    pub updates: Vec<Update>,
    /// What was used of daily quotas.
    pub quotas: Vec<QuotaUse>,
    /// Values to keep by key; `None` drops one.
    pub meta: Vec<(&'static str, Option<String>)>,
}

impl Batch {
    /// Nothing to write.
    pub fn is_empty(&self) -> bool {
        self.meetings.is_empty()
            && self.inserts.is_empty()
            && self.updates.is_empty()
            && self.meta.is_empty()
            && self.quotas.is_empty()
    }
}

/// Durable state of the daemon. Every method fails with [`StoreError`], and then has changed nothing.
#[expect(clippy::missing_errors_doc, reason = "said once, for all methods")]
pub trait Store: Send {
    /// Occurrences due at `until` or before, later in order than `after`; at most `limit`, in order.
    fn due(&mut self, after: DueKey, until: DateTime<Utc>, limit: usize) -> Result<Vec<Due>, StoreError>;

    /// When the first occurrence later in order than `after` is due.
    fn next_due(&mut self, after: DueKey) -> Result<Option<DateTime<Utc>>, StoreError>;

    /// The occurrences with these numbers; missing ones are left out.
    fn load(&mut self, seqs: &[i64]) -> Result<Vec<Record>, StoreError>;

    /// Every occurrence of a meeting that is not over, or that starts at `since` or later.
    fn of_meeting(&mut self, meeting: &str, since: DateTime<Utc>) -> Result<Vec<Record>, StoreError>;

    /// The occurrences with these identities; missing ones are left out.
    fn by_id(&mut self, ids: &[String]) -> Result<Vec<Record>, StoreError>;

    /// When occurrences of a meeting start that are not over and not being closed, within `between`, in order; with
    /// `provider`, only those that are there.
    fn starts_of(
        &mut self,
        meeting: &str,
        provider: Option<&str>,
        between: Range<DateTime<Utc>>,
    ) -> Result<Vec<UpcomingStart>, StoreError>;

    /// The occurrence that has this room, unless it is over.
    fn by_room(&mut self, provider: &str, room_id: &str) -> Result<Option<Record>, StoreError>;

    /// Numbers of the occurrences with a call that had not come back when the daemon stopped.
    fn interrupted(&mut self) -> Result<Vec<i64>, StoreError>;

    /// All meetings, removed ones included as long as they have occurrences that are not over.
    fn meetings(&mut self) -> Result<Vec<StoredMeeting>, StoreError>;

    /// How many occurrences are not over, and how many of those have a room.
    fn counts(&mut self) -> Result<Counts, StoreError>;

    /// What would be cancelled with a meeting, with at most `examples` examples.
    fn cancellable(&mut self, meeting: &str, examples: usize) -> Result<Cancellable, StoreError>;

    /// What was used of daily quotas: of each, on the last day on which it was drawn on.
    fn quotas(&mut self) -> Result<Vec<QuotaUse>, StoreError>;

    /// The value kept under `key`.
    fn meta(&mut self, key: &str) -> Result<Option<String>, StoreError>;

    /// Writes `batch` in one transaction; it is durable on return.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// After a clock step: makes every occurrence with a room, and every one that waits, due at `now` at the latest, so
    /// that its deadlines are worked out anew; no back-off counts any more, as it was set by another clock.
    fn rearm(&mut self, now: DateTime<Utc>) -> Result<(), StoreError>;

    /// Forgets at most `limit` occurrences, with their history, that were over before `before`, and removed meetings
    /// without any left. Returns how many occurrences.
    fn prune(&mut self, before: DateTime<Utc>, limit: usize) -> Result<usize, StoreError>;
}

/// Why the schedule on disk is not in force: a note of the daemon for `status`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// `not valid` or `held`.
    pub what: String,
    /// The first problems, each with its place; or what it would do.
    pub lines: Vec<String>,
    /// Since when.
    pub since: DateTime<Utc>,
}

impl Problem {
    /// The key under which the store keeps it.
    pub const KEY: &str = "schedule_problem";
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Occurrences that are not over.
    pub pending: usize,
    /// Those of them that have a room, or may have one.
    pub with_room: usize,
}

/// What would be cancelled with a meeting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cancellable {
    /// How many occurrences, and how many of those have a room.
    pub counts: Counts,
    /// Identities of some that have a room.
    pub examples: Vec<String>,
}

/// Why the store could not do what it was asked.
#[derive(Debug)]
pub enum StoreError {
    /// The database said no: disk full, read only, locked, unreadable.
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A row that cannot be: written by something else, or damaged.
    BadRow {
        /// The occurrence or meeting.
        id: String,
        /// What is wrong with it.
        what: String,
    },
    /// The file was written by a newer version of the program.
    TooNew {
        /// The database file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// The file is not a store of this program.
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        what: String,
    },
    /// The file is damaged; it was left as it is.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite found.
        what: String,
    },
}

impl StoreError {
    /// It may work in a moment, without anybody doing anything to the store: the disk is full, another program holds it.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Database { source, .. } if crate::sqlite_file::may_pass(source))
    }

    /// The store can be written, but not like that: a value breaks a rule of the schema. Trying again would not help.
    pub fn is_refusal(&self) -> bool {
        use rusqlite::ffi::{SQLITE_CONSTRAINT_CHECK, SQLITE_CONSTRAINT_NOTNULL, SQLITE_CONSTRAINT_UNIQUE};
        let Self::Database { source, .. } = self else { return false };
        source.sqlite_error().is_some_and(|error| {
            [SQLITE_CONSTRAINT_CHECK, SQLITE_CONSTRAINT_NOTNULL, SQLITE_CONSTRAINT_UNIQUE]
                .contains(&error.extended_code)
        })
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Database { path, source } => {
                write!(f, "store {}: {}", path.display(), crate::sqlite_file::describe(source))
            }
            Self::BadRow { id, what } => write!(f, "the store's record of {id:?} is damaged: {what}"),
            Self::TooNew { path, found, known } => write!(
                f,
                "store {} was written by a newer convened (schema {found}, this one knows up to {known}): install that \
                 version again, or restore the store from a backup made before the upgrade",
                path.display()
            ),
            Self::NotAStore { path, what } => write!(
                f,
                "{} is not a store of convened ({what}): set `state_dir` to another folder, or move the file away",
                path.display()
            ),
            Self::Damaged { path, what } => {
                write!(
                    f,
                    "store {} is damaged ({what}): {}",
                    path.display(),
                    crate::sqlite_file::DAMAGED_HELP
                )
            }
        }
    }
}

impl std::error::Error for StoreError {}

/// The call of that name.
fn call_from_name(name: &str) -> Option<Call> {
    Call::ALL.into_iter().find(|call| call.as_str() == name)
}
