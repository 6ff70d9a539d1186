//! SQLite files of ours: how they are opened, whose they are, and which version of the schema they hold.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use std::ffi::c_int;
use std::time::Duration;

/// How long another connection may hold the file before a statement gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// The file is not what was once written to it.
    Damaged { what: String },
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { what: error.to_string() }
            }
            _ => Self::Database(error),
        }
    }
}

impl Schema {
    /// The newest version.
    pub(crate) fn newest(&self) -> usize {
        self.migrations.len()
    }

    /// Sets the connection up, checks the file as far as a start may wait for it, and brings its schema up to date in one transaction. `statements` are kept
    /// prepared. A file that does not pass is left as it was, its write-ahead log included.
    pub(crate) fn prepare(&self, connection: &mut Connection, statements: usize) -> Result<(), OpenError> {
        // Whoever closes a file last brings the log into it: of a file that is damaged, or beside which a log lies that is
        // not its own, that would make things worse.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let version = self.version(connection)?;
        check(connection, CHECK_STRIDES)?;
        // FULL: a commit that was acknowledged outlives a power cut. Temporary files stay in memory, as the hardened
        // unit leaves no folder for them.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000;",
        )?;
        // A plan may not depend on what is bound, or SQLite would prepare a statement with `LIMIT ?` anew for each call.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        self.migrate(connection, version)?;
        connection.set_prepared_statement_cache_capacity(statements);
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
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

/// Steps of SQLite between two looks at the limit of a check.
const CHECK_STRIDE: c_int = 1_000;
/// How much of a file a start checks, in strides: less than a second's work, the whole of a store of some 300,000 occurrences.
/// Counted, not timed, so that the same file is always checked to the same point.
const CHECK_STRIDES: u32 = 100_000;

/// Every page, every row against the rules of its table, every index against its table: what is due is read from an index
/// alone. A quarter of a second for 100,000 occurrences. A start does not wait for the whole of a huge file: that is
/// [`check_whole`]'s.
fn check(connection: &mut Connection, strides: u32) -> Result<(), OpenError> {
    let mut left = strides;
    let is_over = move || {
        left = left.saturating_sub(1);
        left == 0
    };
    connection.progress_handler(CHECK_STRIDE, Some(is_over))?;
    let outcome = check_whole(connection);
    connection.progress_handler(0, None::<fn() -> bool>)?;
    match outcome {
        Err(OpenError::Database(error))
            if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) =>
        {
            Ok(())
        }
        outcome => outcome,
    }
}

/// The check without a limit, for a time when nobody waits.
pub(crate) fn check_whole(connection: &Connection) -> Result<(), OpenError> {
    let mut statement = connection.prepare("PRAGMA integrity_check(3)")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    let outcome = loop {
        match rows.next() {
            Ok(Some(row)) => found.push(row.get::<_, String>(0)?),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    found.retain(|line| line != "ok");
    if found.is_empty() {
        // Only now: what was found counts, even if the rest could not be looked at.
        return outcome.map_err(OpenError::from);
    }
    Err(OpenError::Damaged { what: found.join("; ").replace('\n', " ") })
}

/// The cause may be gone in a moment, without anybody doing anything to the file.
pub(crate) fn may_pass(error: &rusqlite::Error) -> bool {
    use ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull, SystemIoFailure};
    error
        .sqlite_error_code()
        .is_some_and(|code| [DiskFull, DatabaseBusy, DatabaseLocked, SystemIoFailure].contains(&code))
}

/// What an operator does about a damaged file, as a part of a sentence.
pub(crate) const DAMAGED_HELP: &str = "nothing was changed and nothing is called. Keep a copy of the whole state folder; \
    then, if a backup was put in its place lately, remove the file's old `-wal` and `-shm` beside it, else put the last \
    backup in its place and remove both (docs/reliability.md, \"A damaged store\")";

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
        Some(ErrorCode::SystemIoFailure) => {
            " (the disk is full or fails: look at its free space and the kernel's log)"
        }
        _ => "",
    };
    format!("{error}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table whose last row breaks its rule.
    fn damaged() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        let sql = "CREATE TABLE states (n INTEGER PRIMARY KEY, state TEXT CHECK (state <> 'odd')) STRICT;
            WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
            INSERT INTO states SELECT n, hex(randomblob(20)) FROM n;
            PRAGMA ignore_check_constraints = ON;
            INSERT INTO states VALUES (20001, 'odd');
            PRAGMA ignore_check_constraints = OFF;";
        connection.execute_batch(sql).unwrap();
        connection
    }

    #[test]
    fn a_start_checks_as_far_as_it_may_wait_and_the_daily_check_everything() {
        let mut connection = damaged();
        let found = check_whole(&connection).unwrap_err();
        assert!(
            matches!(&found, OpenError::Damaged { what } if what.contains("CHECK constraint failed in states")),
            "{found:?}"
        );
        assert!(matches!(check(&mut connection, CHECK_STRIDES), Err(OpenError::Damaged { .. })));
        check(&mut connection, 1).unwrap();
        // And the connection is as before.
        assert!(check_whole(&connection).is_err());
    }
}
