//! [`Store`] on SQLite: WAL with `synchronous=FULL`, one connection, statements prepared once.

mod outlook;
mod row;
mod write;

pub use self::outlook::Ahead;
use self::row::{COLUMNS, NAMES, ms, read_instant, read_record};
use self::write::Updates;
use super::{
    Batch, Cancellable, Counts, Due, DueKey, QuotaUse, Record, Store, StoreError, StoredMeeting,
    UpcomingStart,
};
use crate::lifecycle::State;
use crate::sqlite_file::{OpenError, Schema, check_whole};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The letters `cnvd`.
const SCHEMA: Schema = Schema {
    application_id: 0x636e_7664,
    migrations: &[include_str!("../schema/0001_initial.sql"), include_str!("../schema/0002_quota.sql")],
};

/// What is due at the instant of the last one taken, after it; and what is due later. SQLite finds the place of a pair of
/// values by the first of them only: of a herd that is due at one instant, a single search would read again all that was
/// taken before.
pub(super) const DUE: [&str; 2] = [
    "SELECT wake_at_ms, seq, provider, state, starts_at_ms FROM occurrences INDEXED BY occurrences_by_wake
     WHERE wake_at_ms IS NOT NULL AND wake_at_ms = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    "SELECT wake_at_ms, seq, provider, state, starts_at_ms FROM occurrences INDEXED BY occurrences_by_wake
     WHERE wake_at_ms IS NOT NULL AND wake_at_ms > ?1 AND wake_at_ms <= ?2 ORDER BY wake_at_ms, seq LIMIT ?3",
];
/// Whether something is left of that instant; and the next one.
pub(super) const NEXT_DUE: [&str; 2] = [
    "SELECT wake_at_ms FROM occurrences INDEXED BY occurrences_by_wake
     WHERE wake_at_ms IS NOT NULL AND wake_at_ms = ?1 AND seq > ?2 LIMIT 1",
    "SELECT wake_at_ms FROM occurrences INDEXED BY occurrences_by_wake
     WHERE wake_at_ms IS NOT NULL AND wake_at_ms > ?1 ORDER BY wake_at_ms LIMIT 1",
];
/// Statements that are kept prepared: the usual ones, and the updates of a life, each naming what it changes.
const STATEMENTS: usize = 96;

/// The store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    updates: Updates,
}

impl SqliteStore {
    /// The store's file name in the state folder.
    pub const FILE_NAME: &str = "convened.sqlite";

    /// Opens the store of `state_dir`, makes it if it is not there, and brings its schema up to date in one transaction.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] and [`StoreError::NotAStore`] leave the file as it is.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        let path = state_dir.join(Self::FILE_NAME);
        Self::with(Connection::open(&path), path)
    }

    /// A store in memory, for tests and simulation.
    ///
    /// # Errors
    /// When SQLite has no memory.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::with(Connection::open_in_memory(), PathBuf::from(":memory:"))
    }

    /// Makes a store in memory as new, so that one serves many simulated worlds: to open one costs more than a short world.
    ///
    /// # Errors
    /// A store in a file is left as it is.
    pub fn clear(&mut self) -> Result<(), StoreError> {
        if self.connection.path().is_some_and(|path| !path.is_empty()) {
            let what = "it is in a file, which is never cleared".to_owned();
            return Err(StoreError::NotAStore { path: self.path.clone(), what });
        }
        let error = self.error();
        self.updates.forget();
        for table in ["history", "occurrences", "meetings", "quota_use", "meta"] {
            let all = format!("DELETE FROM {table}");
            let cleared =
                self.connection.prepare_cached(&all).and_then(|mut statement| statement.execute([]));
            cleared.map_err(&error)?;
        }
        Ok(())
    }

    /// Opens the store of `state_dir` to read it, whether a daemon runs on it or not.
    ///
    /// # Errors
    /// As [`SqliteStore::open`]; a missing store or one of an older version is an error here.
    pub fn open_read_only(state_dir: &Path) -> Result<Self, StoreError> {
        let path = state_dir.join(Self::FILE_NAME);
        let error = database(&path);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(&error)?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(&error)?;
        match SCHEMA.version(&connection).map_err(unusable(&path))? {
            version if version == SCHEMA.newest() => {}
            version => {
                let what = format!(
                    "its schema is version {version}: start the daemon once, it brings it up to date"
                );
                return Err(StoreError::NotAStore { path, what });
            }
        }
        connection.set_prepared_statement_cache_capacity(32);
        Ok(Self { connection, path, updates: Updates::default() })
    }

    /// Looks at every page, row and index of the store of `state_dir`, beside a daemon that works on it: 2.5 s for a
    /// million occurrences.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with what was found; others when it could not be read to the end.
    pub fn verify(state_dir: &Path) -> Result<(), StoreError> {
        let store = Self::open_read_only(state_dir)?;
        check_whole(&store.connection).map_err(unusable(&store.path))
    }

    fn with(connection: rusqlite::Result<Connection>, path: PathBuf) -> Result<Self, StoreError> {
        let error = database(&path);
        let mut connection = connection.map_err(&error)?;
        SCHEMA.prepare(&mut connection, STATEMENTS).map_err(unusable(&path))?;
        Ok(Self { connection, path, updates: Updates::default() })
    }

    #[cfg(test)]
    pub(super) fn pragma(&self, name: &str) -> String {
        let value = self
            .connection
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0));
        match value.unwrap() {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[cfg(test)]
    pub(super) fn number(&self, sql: &str) -> i64 {
        self.connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[cfg(test)]
    pub(super) fn explain(&self, sql: &str) -> String {
        let mut statement = self.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let nothing = vec![rusqlite::types::Null; statement.parameter_count()];
        let lines =
            statement.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3)).unwrap();
        lines.map(Result::unwrap).collect::<Vec<_>>().join("\n")
    }

    fn error(&self) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
        database(&self.path)
    }

    fn count(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<Counts, StoreError> {
        let number =
            |row: &Row<'_>, column| row.get::<_, i64>(column).map(|n| usize::try_from(n).unwrap_or(0));
        let counts = |row: &Row<'_>| Ok(Counts { pending: number(row, 0)?, with_room: number(row, 1)? });
        let mut statement = self.connection.prepare_cached(sql).map_err(self.error())?;
        statement.query_row(parameters, counts).map_err(self.error())
    }

    fn records(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<Vec<Record>, StoreError> {
        let error = self.error();
        let mut statement = self.connection.prepare_cached(sql).map_err(&error)?;
        let mut rows = statement.query(parameters).map_err(&error)?;
        let mut records = Vec::new();
        while let Some(row) = rows.next().map_err(&error)? {
            records.push(read_record(row).map_err(&error)??);
        }
        Ok(records)
    }

    /// The records that the unique key of `sql` finds; its last column is the last line of their history.
    fn records_by(&mut self, sql: &str, keys: &[impl rusqlite::ToSql]) -> Result<Vec<Record>, StoreError> {
        let error = self.error();
        // One for all, so that the file is locked once and not for each.
        let _transaction = match keys.len() {
            0 | 1 => None,
            _ => Some(self.connection.unchecked_transaction().map_err(&error)?),
        };
        let mut statement = self.connection.prepare_cached(sql).map_err(&error)?;
        let mut records = Vec::with_capacity(keys.len());
        for key in keys {
            let mut rows = statement.query([key]).map_err(&error)?;
            if let Some(row) = rows.next().map_err(&error)? {
                let record = read_record(row).map_err(&error)??;
                self.updates.remember(record.seq, row.get(COLUMNS.len()).map_err(&error)?);
                records.push(record);
            }
        }
        Ok(records)
    }

    /// Occurrences for people: every one that has begun and is not over, the next `upcoming` planned ones, and the last
    /// `past` that are over; in the order of their starts. With `meeting`, only that meeting's.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn report(
        &self,
        meeting: Option<&str>,
        upcoming: usize,
        past: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let limit = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT {NAMES} FROM (
                SELECT * FROM occurrences INDEXED BY occurrences_begun
                 WHERE is_begun = 1 AND (?1 IS NULL OR meeting = ?1)
                UNION ALL SELECT * FROM (SELECT * FROM occurrences
                 WHERE wake_at_ms IS NOT NULL AND state = 'planned' AND (?1 IS NULL OR meeting = ?1)
                 ORDER BY wake_at_ms LIMIT ?2)
                UNION ALL SELECT * FROM (SELECT * FROM occurrences
                 WHERE wake_at_ms IS NULL AND (?1 IS NULL OR meeting = ?1)
                 ORDER BY changed_at_ms DESC LIMIT ?3)
             ) ORDER BY starts_at_ms, id"
        );
        self.records(&sql, params![meeting, limit(upcoming), limit(past)])
    }
}

impl Store for SqliteStore {
    fn due(&mut self, after: DueKey, until: DateTime<Utc>, limit: usize) -> Result<Vec<Due>, StoreError> {
        let error = self.error();
        let mut due = Vec::new();
        if after.wake_at > until {
            return Ok(due);
        }
        let [same, later] = DUE;
        let mut read = |sql: &str, bound: i64, limit: usize| -> rusqlite::Result<usize> {
            let mut statement = self.connection.prepare_cached(sql)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = statement.query([ms(after.wake_at), bound, limit])?;
            while let Some(row) = rows.next()? {
                due.push(read_due(row)?);
            }
            Ok(due.len())
        };
        let read_so_far = read(same, after.seq, limit).map_err(&error)?;
        if read_so_far < limit {
            read(later, ms(until), limit - read_so_far).map_err(&error)?;
        }
        Ok(due)
    }

    fn next_due(&mut self, after: DueKey) -> Result<Option<DateTime<Utc>>, StoreError> {
        let error = self.error();
        let [same, later] = NEXT_DUE;
        let find = |sql: &str, values: &[i64]| -> rusqlite::Result<Option<DateTime<Utc>>> {
            let mut statement = self.connection.prepare_cached(sql)?;
            let values = rusqlite::params_from_iter(values);
            statement.query_row(values, |row| read_instant(row, 0)).optional()
        };
        let wake_at = ms(after.wake_at);
        match find(same, &[wake_at, after.seq]).map_err(&error)? {
            Some(at) => Ok(Some(at)),
            None => find(later, &[wake_at]).map_err(&error),
        }
    }

    fn load(&mut self, seqs: &[i64]) -> Result<Vec<Record>, StoreError> {
        static SQL: LazyLock<String> =
            LazyLock::new(|| format!("SELECT {NAMES}, last_entry FROM occurrences WHERE seq = ?1"));
        self.records_by(&SQL, seqs)
    }

    fn by_id(&mut self, ids: &[String]) -> Result<Vec<Record>, StoreError> {
        static SQL: LazyLock<String> =
            LazyLock::new(|| format!("SELECT {NAMES}, last_entry FROM occurrences WHERE id = ?1"));
        self.records_by(&SQL, ids)
    }

    fn by_room(&mut self, provider: &str, room_id: &str) -> Result<Option<Record>, StoreError> {
        static SQL: LazyLock<String> = LazyLock::new(|| {
            format!("SELECT {NAMES} FROM occurrences WHERE provider = ?1 AND room_id = ?2 AND is_begun = 1")
        });
        Ok(self.records(&SQL, [provider, room_id])?.pop())
    }

    fn of_meeting(&mut self, meeting: &str, since: DateTime<Utc>) -> Result<Vec<Record>, StoreError> {
        let sql = format!(
            "SELECT {NAMES} FROM occurrences
             WHERE meeting = ?1 AND (starts_at_ms >= ?2 OR wake_at_ms IS NOT NULL) ORDER BY starts_at_ms, id"
        );
        self.records(&sql, params![meeting, ms(since)])
    }

    fn starts_of(
        &mut self,
        meeting: &str,
        provider: Option<&str>,
        between: Range<DateTime<Utc>>,
    ) -> Result<Vec<UpcomingStart>, StoreError> {
        let error = self.error();
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT starts_at_ms, seq, id FROM occurrences INDEXED BY occurrences_by_meeting
                 WHERE meeting = ?1 AND starts_at_ms >= ?2 AND starts_at_ms < ?3 AND wake_at_ms IS NOT NULL
                   AND is_removed = 0 AND state <> 'closing' AND (?4 IS NULL OR provider = ?4)
                 ORDER BY starts_at_ms",
            )
            .map_err(&error)?;
        let rows = statement
            .query_map(params![meeting, ms(between.start), ms(between.end), provider], |row| {
                Ok(UpcomingStart { at: read_instant(row, 0)?, seq: row.get(1)?, id: row.get(2)? })
            })
            .map_err(&error)?;
        rows.collect::<Result<_, _>>().map_err(&error)
    }

    fn interrupted(&mut self) -> Result<Vec<i64>, StoreError> {
        let error = self.error();
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq FROM occurrences WHERE is_begun = 1 AND call IS NOT NULL")
            .map_err(&error)?;
        let rows = statement.query_map([], |row| row.get(0)).map_err(&error)?;
        rows.collect::<Result<_, _>>().map_err(&error)
    }

    fn meetings(&mut self) -> Result<Vec<StoredMeeting>, StoreError> {
        let error = self.error();
        let mut statement = self
            .connection
            .prepare_cached("SELECT id, fingerprint, is_removed, spec FROM meetings")
            .map_err(&error)?;
        let mut rows = statement.query([]).map_err(&error)?;
        let mut meetings = Vec::new();
        while let Some(row) = rows.next().map_err(&error)? {
            let id: String = row.get(0).map_err(&error)?;
            let spec: String = row.get(3).map_err(&error)?;
            let spec = serde_json::from_str(&spec)
                .map_err(|e| StoreError::BadRow { id: id.clone(), what: format!("spec: {e}") })?;
            meetings.push(StoredMeeting {
                id,
                fingerprint: row.get(1).map_err(&error)?,
                is_removed: row.get(2).map_err(&error)?,
                spec,
            });
        }
        Ok(meetings)
    }

    fn counts(&mut self) -> Result<Counts, StoreError> {
        self.count(
            "SELECT (SELECT count(*) FROM occurrences WHERE wake_at_ms IS NOT NULL),
                    (SELECT count(*) FROM occurrences WHERE is_begun = 1)",
            [],
        )
    }

    fn cancellable(&mut self, meeting: &str, examples: usize) -> Result<Cancellable, StoreError> {
        let counts = self.count(
            "SELECT count(*), count(*) FILTER (WHERE is_begun = 1 AND state <> 'closing') FROM occurrences
             WHERE meeting = ?1 AND wake_at_ms IS NOT NULL AND is_removed = 0",
            [meeting],
        )?;
        let error = self.error();
        let mut with_room = self
            .connection
            .prepare_cached(
                "SELECT id FROM occurrences
                 WHERE meeting = ?1 AND is_begun = 1 AND state <> 'closing' AND is_removed = 0
                 ORDER BY starts_at_ms LIMIT ?2",
            )
            .map_err(&error)?;
        let limit = i64::try_from(examples).unwrap_or(i64::MAX);
        let ids = with_room.query_map(params![meeting, limit], |row| row.get(0)).map_err(&error)?;
        let examples = ids.collect::<Result<_, _>>().map_err(&error)?;
        Ok(Cancellable { counts, examples })
    }

    fn quotas(&mut self) -> Result<Vec<QuotaUse>, StoreError> {
        let error = self.error();
        let mut statement = self
            .connection
            .prepare_cached("SELECT provider, quota, day, used FROM quota_use")
            .map_err(&error)?;
        let mut rows = statement.query([]).map_err(&error)?;
        let mut quotas = Vec::new();
        while let Some(row) = rows.next().map_err(&error)? {
            let (provider, quota): (String, String) =
                (row.get(0).map_err(&error)?, row.get(1).map_err(&error)?);
            let day: String = row.get(2).map_err(&error)?;
            let Ok(day) = day.parse() else {
                return Err(StoreError::BadRow {
                    id: format!("{provider} {quota}"),
                    what: format!("day {day:?}"),
                });
            };
            quotas.push(QuotaUse { provider, quota, day, used: row.get(3).map_err(&error)? });
        }
        Ok(quotas)
    }

    fn meta(&mut self, key: &str) -> Result<Option<String>, StoreError> {
        self.connection
            .prepare_cached("SELECT value FROM meta WHERE key = ?1")
            .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional())
            .map_err(self.error())
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let error = self.error();
        let write = |connection: &mut Connection, updates: &mut Updates| -> rusqlite::Result<()> {
            let transaction =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            write::write(&transaction, batch, updates)?;
            transaction.commit()
        };
        let outcome = write(&mut self.connection, &mut self.updates);
        if outcome.is_err() {
            // What was written in vain is not the last line of anything.
            self.updates.forget();
        }
        outcome.map_err(error)
    }

    fn rearm(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE occurrences SET wake_at_ms = ?1, retry_at_ms = min(retry_at_ms, ?1)
                 WHERE is_begun = 1 AND wake_at_ms > ?1 AND call IS NULL",
            )
            .and_then(|mut statement| statement.execute([ms(now)]))
            .map(drop)
            .map_err(self.error())
    }

    fn prune(&mut self, before: DateTime<Utc>, limit: usize) -> Result<usize, StoreError> {
        let error = self.error();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let prune = |connection: &mut Connection| -> rusqlite::Result<usize> {
            let transaction =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let seqs = transaction
                .prepare_cached(
                    "SELECT seq FROM occurrences WHERE wake_at_ms IS NULL AND changed_at_ms < ?1
                     ORDER BY changed_at_ms LIMIT ?2",
                )?
                .query_map([ms(before), limit], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<i64>>>()?;
            for seq in &seqs {
                transaction
                    .prepare_cached(
                        "WITH RECURSIVE chain (number) AS (
                            SELECT last_entry FROM occurrences WHERE seq = ?1
                            UNION SELECT previous FROM history JOIN chain USING (number))
                         DELETE FROM history WHERE number IN (SELECT number FROM chain)",
                    )?
                    .execute([seq])?;
                transaction.prepare_cached("DELETE FROM occurrences WHERE seq = ?1")?.execute([seq])?;
            }
            transaction
                .prepare_cached(
                    "DELETE FROM meetings WHERE is_removed = 1
                     AND NOT EXISTS (SELECT 1 FROM occurrences WHERE occurrences.meeting = meetings.id)",
                )?
                .execute([])?;
            transaction.commit()?;
            Ok(seqs.len())
        };
        // The number of an occurrence that is forgotten may be given to another one.
        self.updates.forget();
        prune(&mut self.connection).map_err(error)
    }
}

/// Wraps SQLite's errors with the file's path.
fn database(path: &Path) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| StoreError::Database { path: path.clone(), source }
}

/// Why the file cannot be used, with its path.
fn unusable(path: &Path) -> impl Fn(OpenError) -> StoreError + use<> {
    let path = path.to_owned();
    move |error| {
        let path = path.clone();
        match error {
            OpenError::Database(source) => StoreError::Database { path, source },
            OpenError::TooNew { found, known } => StoreError::TooNew { path, found, known },
            OpenError::NotOurs { application_id } => {
                let what = format!("a SQLite database with application id {application_id:#x}");
                StoreError::NotAStore { path, what }
            }
            OpenError::Damaged { what } => StoreError::Damaged { path, what },
        }
    }
}

fn read_due(row: &Row<'_>) -> rusqlite::Result<Due> {
    let state = row.get_ref(3)?.as_str()?;
    Ok(Due {
        key: DueKey { wake_at: read_instant(row, 0)?, seq: row.get(1)? },
        provider: row.get(2)?,
        // What cannot be is found out when the record is loaded.
        state: State::from_name(state).unwrap_or(State::Planned),
        starts_at: read_instant(row, 4)?,
    })
}
