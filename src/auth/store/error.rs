//! What can go wrong with the token store.

use crate::sqlite_file::describe;
use std::path::PathBuf;

/// Why the token store could not do what it was asked. It has changed nothing then.
#[derive(Debug)]
pub enum TokenStoreError {
    /// The database said no: disk full, read only, locked, damaged.
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file cannot be made or its permissions cannot be set.
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
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
    /// The file holds something else.
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged; it was left as it is.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite found.
        what: String,
    },
}

impl TokenStoreError {
    /// It may work in a moment, without anybody doing anything to the store: the disk is full, another program holds it.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Database { source, .. } if crate::sqlite_file::may_pass(source))
    }
}

impl std::fmt::Display for TokenStoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Database { path, source } => {
                write!(f, "token store {}: {}", path.display(), describe(source))
            }
            Self::Io { path, source } => write!(f, "token store: cannot use {}: {source}", path.display()),
            Self::TooNew { path, found, known } => write!(
                f,
                "token store {} was written by a newer convened (schema {found}, this one knows up to {known}): install \
                 that version again",
                path.display()
            ),
            Self::NotOurs { path } => write!(
                f,
                "{} is a database of another program: move it away, or set `state_dir` to another folder",
                path.display()
            ),
            Self::Damaged { path, what } => write!(
                f,
                "token store {} is damaged ({what}): keep a copy of it; then put a backup in its place that is newer than \
                 the last refresh, or move it away and run `convened login` for each account",
                path.display()
            ),
        }
    }
}

impl std::error::Error for TokenStoreError {}
