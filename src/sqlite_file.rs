//! SQLite files of ours: how they are opened, whose they are, and which version of the schema they hold.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

/// What makes a file ours.
#[derive(Debug)]
pub(crate) struct Schema {
    /// `PRAGMA application_id`: four letters.
    pub(crate) application_id: i64,
    /// One script for each version, in order.
    pub(crate) migrations: &'static [&'static str],
}

/// Why a file cannot be used. It is left as it was.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The database said no.
    Database(rusqlite::Error),
    /// A newer version of the program wrote it: its schema version, and the newest that is known here.
    TooNew { found: i64, known: i64 },
    /// Another program's database.
    NotOurs { application_id: i64 },
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl Schema {
    /// The newest version.
    pub(crate) fn newest(&self) -> usize {
        self.migrations.len()
    }

    /// Sets the connection up, and brings the file's schema up to date in one transaction. `statements` are kept prepared.
    pub(crate) fn prepare(&self, connection: &mut Connection, statements: usize) -> Result<(), OpenError> {
        let version = self.version(connection)?;
        // FULL: a commit that was acknowledged outlives a power cut. Temporary files stay in memory, as the hardened
        // unit leaves no folder for them.
        connection.execute_batch(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000;",
        )?;
        // A plan may not depend on what is bound, or SQLite would prepare a statement with `LIMIT ?` anew for each call.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        self.migrate(connection, version)?;
        connection.set_prepared_statement_cache_capacity(statements);
        Ok(())
    }

    /// The schema version of the file, 0 for an empty one.
    pub(crate) fn version(&self, connection: &Connection) -> Result<usize, OpenError> {
        let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let application_id = number("PRAGMA application_id")?;
        if application_id != self.application_id && number("SELECT count(*) FROM sqlite_schema")? > 0 {
            return Err(OpenError::NotOurs { application_id });
        }
        let found = number("PRAGMA user_version")?;
        match usize::try_from(found) {
            Ok(version) if version <= self.newest() => Ok(version),
            _ => Err(OpenError::TooNew { found, known: i64::try_from(self.newest()).unwrap_or(i64::MAX) }),
        }
    }

    /// Applies the migrations that are missing, all or none.
    fn migrate(&self, connection: &mut Connection, version: usize) -> rusqlite::Result<()> {
        if version == self.newest() {
            return Ok(());
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for script in self.migrations.iter().skip(version) {
            transaction.execute_batch(script)?;
        }
        transaction.pragma_update(None, "application_id", self.application_id)?;
        transaction.pragma_update(None, "user_version", i64::try_from(self.newest()).unwrap_or(i64::MAX))?;
        transaction.commit()
    }
}

/// SQLite's words, with what an operator can do about the usual ones.
pub(crate) fn describe(error: &rusqlite::Error) -> String {
    let hint = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => " (free some space)",
        Some(ErrorCode::ReadOnly) => " (the file or its folder is read only for this user)",
        Some(ErrorCode::CannotOpen) => {
            " (is it there, and may this user open it? If not, run this as root or as the daemon's user)"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => " (another program holds it)",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            " (the file is damaged: restore it from a backup)"
        }
        _ => "",
    };
    format!("{error}{hint}")
}
