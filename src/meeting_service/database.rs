//! The service's own SQLite file: its schema, its permissions, and the admin secret in it.

use crate::seams::Entropy;
use crate::sqlite_file::{DAMAGED_HELP, OpenError, Schema, describe, may_pass};
use rusqlite::{Connection, OptionalExtension as _};
use secrecy::SecretString;
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The letters `cnvm`.
const SCHEMA: Schema =
    Schema { application_id: 0x636e_766d, migrations: &[include_str!("schema/0001_initial.sql")] };

/// Why the service could not open its file or start.
#[derive(Debug)]
pub enum ServiceError {
    /// The database said no: disk full, read only, locked, damaged.
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file cannot be made or its permissions cannot be set, or the service's thread cannot be started.
    Io {
        /// The database file.
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

impl ServiceError {
    /// It may work in a moment, without anybody doing anything to the file: the disk is full, another program holds it.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Database { source, .. } if may_pass(source))
    }
}

impl std::fmt::Display for ServiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Database { path, source } => {
                write!(f, "meeting service {}: {}", path.display(), describe(source))
            }
            Self::Io { path, source } => {
                write!(f, "meeting service: cannot start on {}: {source}", path.display())
            }
            Self::TooNew { path, found, known } => write!(
                f,
                "meeting service: {} was written by a newer convened (schema {found}, this one knows up to {known}): \
                 install that version again, or restore the file from a backup made before the upgrade",
                path.display()
            ),
            Self::NotOurs { path } => write!(
                f,
                "meeting service: {} is a database of another program: move it away, or choose another folder",
                path.display()
            ),
            Self::Damaged { path, what } => {
                write!(f, "meeting service: {} is damaged ({what}): {DAMAGED_HELP}", path.display())
            }
        }
    }
}

impl std::error::Error for ServiceError {}

/// Opens the file, makes it if it is not there, and brings its schema up to date in one transaction.
pub(super) fn open(path: &Path) -> Result<Connection, ServiceError> {
    let io = |source| ServiceError::Io { path: path.to_owned(), source };
    let database = |source| ServiceError::Database { path: path.to_owned(), source };
    // Made by us, not by SQLite, so that nobody else can read the secrets in it for even a moment; SQLite gives its
    // side files the same permissions.
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(io)?;
    file.set_permissions(Permissions::from_mode(0o600)).map_err(io)?;
    drop(file);
    let mut connection = Connection::open(path).map_err(database)?;
    SCHEMA.prepare(&mut connection, 64).map_err(|error| match error {
        OpenError::Database(source) => database(source),
        OpenError::TooNew { found, known } => ServiceError::TooNew { path: path.to_owned(), found, known },
        OpenError::NotOurs { .. } => ServiceError::NotOurs { path: path.to_owned() },
        OpenError::Damaged { what } => ServiceError::Damaged { path: path.to_owned(), what },
    })?;
    Ok(connection)
}

/// The secret of the administrative calls: read from the file, or made at the first start.
pub(super) fn admin_secret(
    connection: &Connection,
    path: &Path,
    entropy: &dyn Entropy,
) -> Result<SecretString, ServiceError> {
    let database = |source| ServiceError::Database { path: path.to_owned(), source };
    let stored: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE key = 'admin_secret'", [], |row| row.get(0))
        .optional()
        .map_err(database)?;
    if let Some(secret) = stored {
        return Ok(secret.into());
    }
    let secret = entropy.token();
    connection
        .execute("INSERT INTO meta (key, value) VALUES ('admin_secret', ?1)", [&secret])
        .map_err(database)?;
    Ok(secret.into())
}
