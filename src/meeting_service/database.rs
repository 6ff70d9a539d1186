//! The service's own SQLite file: its schema, its permissions, and the admin secret in it.

use crate::seams::Entropy;
use rusqlite::{Connection, OptionalExtension as _};
use secrecy::SecretString;
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Marks the file as ours (`PRAGMA application_id`): the letters `cnvm`.
const APPLICATION_ID: i64 = 0x636e_766d;

/// One script for each schema version, in order.
const MIGRATIONS: &[&str] = &[include_str!("schema/0001_initial.sql")];

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
}

impl std::fmt::Display for ServiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Database { path, .. } => {
                write!(f, "meeting service: cannot use the database {}", path.display())
            }
            Self::Io { path, .. } => write!(f, "meeting service: cannot start on {}", path.display()),
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
        }
    }
}

impl std::error::Error for ServiceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database { source, .. } => Some(source),
            Self::Io { source, .. } => Some(source),
            Self::TooNew { .. } | Self::NotOurs { .. } => None,
        }
    }
}

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
    let version = check_version(&connection, path)?;
    // FULL: an answer that was given outlives a power cut.
    connection
        .execute_batch(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000;",
        )
        .map_err(database)?;
    migrate(&mut connection, version).map_err(database)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// The schema version of the file, 0 for an empty one.
fn check_version(connection: &Connection, path: &Path) -> Result<usize, ServiceError> {
    let number = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .map_err(|source| ServiceError::Database { path: path.to_owned(), source })
    };
    let version = number("PRAGMA user_version")?;
    let application_id = number("PRAGMA application_id")?;
    if application_id != APPLICATION_ID && number("SELECT count(*) FROM sqlite_schema")? > 0 {
        return Err(ServiceError::NotOurs { path: path.to_owned() });
    }
    match usize::try_from(version) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => Err(ServiceError::TooNew {
            path: path.to_owned(),
            found: version,
            known: i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX),
        }),
    }
}

/// Applies the migrations that are missing, all or none.
fn migrate(connection: &mut Connection, version: usize) -> rusqlite::Result<()> {
    if version == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for script in MIGRATIONS.iter().skip(version) {
        transaction.execute_batch(script)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX))?;
    transaction.commit()
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
