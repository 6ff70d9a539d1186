//! [`Store`] on SQLite: WAL with `synchronous=FULL`, one connection, statements prepared once.

use super::{
    Batch, Counts, Due, DueKey, HistoryEntry, Record, Store, StoreError, StoredMeeting, UpcomingStart,
    call_from_name,
};
use crate::lifecycle::{Call, Occurrence, Reason, Room, State, Times, Verdict};
use crate::sqlite_file::{OpenError, Schema};
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, Statement, params};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The letters `cnvd`.
const SCHEMA: Schema =
    Schema { application_id: 0x636e_7664, migrations: &[include_str!("schema/0001_initial.sql")] };

/// A column list, in the order of [`read_record`] and [`bind_record`].
const COLUMNS: &str = "seq, id, meeting, provider, title, state, reason, generation, starts_at_ms, ends_at_ms, \
    extended_by_ms, wake_at_ms, call, marker, asked_at_ms, room_id, join_url, host_url, is_outdated, is_removed, \
    verdict, is_close_sent, occupancy, looked_at_ms, empty_since_ms, gone_since_ms, look_at_ms, retry_at_ms, attempts, \
    last_error, changed_at_ms, was_occupied, watched_since_ms, warned_at_ms, yields_at_ms";

/// What is due, in order. Two searches, as SQLite finds the place of a pair of values by the first of them only: of a herd
/// that is due at one instant it would read again all that was taken before.
pub(super) const DUE: &str = "SELECT wake_at_ms, seq, provider, state = 'planned',
            CASE WHEN state = 'planned' OR state = 'creating' THEN starts_at_ms ELSE wake_at_ms END
     FROM (
        SELECT wake_at_ms, seq, provider, state, starts_at_ms
        FROM occurrences INDEXED BY occurrences_by_wake
        WHERE wake_at_ms = ?1 AND wake_at_ms <= ?3 AND seq > ?2
        UNION ALL
        SELECT wake_at_ms, seq, provider, state, starts_at_ms
        FROM occurrences INDEXED BY occurrences_by_wake
        WHERE wake_at_ms > ?1 AND wake_at_ms <= ?3
        ORDER BY wake_at_ms, seq LIMIT ?4
     )";
pub(super) const NEXT_DUE: &str = "SELECT wake_at_ms FROM (
        SELECT wake_at_ms, seq FROM occurrences INDEXED BY occurrences_by_wake
        WHERE wake_at_ms = ?1 AND seq > ?2
        UNION ALL
        SELECT wake_at_ms, seq FROM occurrences INDEXED BY occurrences_by_wake WHERE wake_at_ms > ?1
        ORDER BY wake_at_ms, seq LIMIT 1
     )";

/// The columns that only a schedule changes.
const SCHEDULED: [&str; 6] = ["id", "meeting", "provider", "title", "starts_at_ms", "ends_at_ms"];

/// The store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    last_history: i64,
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
        Ok(Self { connection, path, last_history: 0 })
    }

    fn with(connection: rusqlite::Result<Connection>, path: PathBuf) -> Result<Self, StoreError> {
        let error = database(&path);
        let mut connection = connection.map_err(&error)?;
        SCHEMA.prepare(&mut connection, 32).map_err(unusable(&path))?;
        // Numbers only have to grow; the clustering key makes the greatest one dear to find, so it is kept aside.
        let last_history = connection
            .query_row("SELECT value FROM meta WHERE key = 'last_history'", [], |row| row.get::<_, String>(0))
            .optional()
            .map_err(&error)?
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        Ok(Self { connection, path, last_history })
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

    /// The records whose unique `column` has one of `keys`.
    fn records_by(&self, column: &str, keys: &[impl rusqlite::ToSql]) -> Result<Vec<Record>, StoreError> {
        let error = self.error();
        let sql = format!("SELECT {COLUMNS} FROM occurrences WHERE {column} = ?1");
        // One for all, so that the file is locked once and not for each.
        let _transaction = self.connection.unchecked_transaction().map_err(&error)?;
        let mut statement = self.connection.prepare_cached(&sql).map_err(&error)?;
        let mut records = Vec::with_capacity(keys.len());
        for key in keys {
            let mut rows = statement.query([key]).map_err(&error)?;
            if let Some(row) = rows.next().map_err(&error)? {
                records.push(read_record(row).map_err(&error)??);
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
            "SELECT {COLUMNS} FROM (
                SELECT * FROM occurrences INDEXED BY occurrences_by_wake
                 WHERE wake_at_ms IS NOT NULL AND state <> 'planned' AND (?1 IS NULL OR meeting = ?1)
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
        let mut statement = self.connection.prepare_cached(DUE).map_err(&error)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement
            .query_map(params![ms(after.wake_at), after.seq, ms(until), limit], |row| {
                Ok(Due {
                    key: DueKey { wake_at: instant(row, 0)?, seq: row.get(1)? },
                    provider: row.get(2)?,
                    is_planned: row.get(3)?,
                    deadline: instant(row, 4)?,
                })
            })
            .map_err(&error)?;
        rows.collect::<Result<_, _>>().map_err(&error)
    }

    fn next_due(&mut self, after: DueKey) -> Result<Option<DateTime<Utc>>, StoreError> {
        let error = self.error();
        let mut statement = self.connection.prepare_cached(NEXT_DUE).map_err(&error)?;
        statement
            .query_row(params![ms(after.wake_at), after.seq], |row| instant(row, 0))
            .optional()
            .map_err(&error)
    }

    fn load(&mut self, seqs: &[i64]) -> Result<Vec<Record>, StoreError> {
        self.records_by("seq", seqs)
    }

    fn by_id(&mut self, ids: &[String]) -> Result<Vec<Record>, StoreError> {
        self.records_by("id", ids)
    }

    fn of_meeting(&mut self, meeting: &str, since: DateTime<Utc>) -> Result<Vec<Record>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM occurrences
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
                Ok(UpcomingStart { at: instant(row, 0)?, seq: row.get(1)?, id: row.get(2)? })
            })
            .map_err(&error)?;
        rows.collect::<Result<_, _>>().map_err(&error)
    }

    fn interrupted(&mut self) -> Result<Vec<i64>, StoreError> {
        let error = self.error();
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq FROM occurrences WHERE call IS NOT NULL")
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
        let count =
            |row: &Row<'_>, column| row.get::<_, i64>(column).map(|n| usize::try_from(n).unwrap_or(0));
        self.connection
            .prepare_cached(
                "SELECT count(*), count(*) FILTER (WHERE state <> 'planned') FROM occurrences
                 WHERE wake_at_ms IS NOT NULL",
            )
            .and_then(|mut s| {
                s.query_row([], |row| Ok(Counts { pending: count(row, 0)?, with_room: count(row, 1)? }))
            })
            .map_err(self.error())
    }

    fn meta(&mut self, key: &str) -> Result<Option<String>, StoreError> {
        self.connection
            .prepare_cached("SELECT value FROM meta WHERE key = ?1")
            .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional())
            .map_err(self.error())
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let error = self.error();
        let mut number = self.last_history;
        let write = |connection: &mut Connection, number: &mut i64| -> rusqlite::Result<()> {
            let transaction =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            write_meetings(&transaction, &batch.meetings)?;
            write_records(&transaction, batch)?;
            write_history(&transaction, &batch.history, number)?;
            for (key, value) in &batch.meta {
                write_meta(&transaction, key, value.as_deref())?;
            }
            if !batch.history.is_empty() {
                write_meta(&transaction, "last_history", Some(&number.to_string()))?;
            }
            transaction.commit()
        };
        write(&mut self.connection, &mut number).map_err(error)?;
        self.last_history = number;
        Ok(())
    }

    fn rearm(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.connection
            .execute(
                "UPDATE occurrences SET wake_at_ms = ?1, retry_at_ms = min(retry_at_ms, ?1)
                 WHERE wake_at_ms > ?1 AND state <> 'planned' AND call IS NULL",
                [ms(now)],
            )
            .map(drop)
            .map_err(self.error())
    }

    fn prune(&mut self, before: DateTime<Utc>, limit: usize) -> Result<usize, StoreError> {
        let error = self.error();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let prune = |connection: &mut Connection| -> rusqlite::Result<usize> {
            let transaction =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            transaction.execute(
                "CREATE TEMP TABLE IF NOT EXISTS pruned AS SELECT seq FROM occurrences WHERE 0",
                [],
            )?;
            transaction.execute("DELETE FROM pruned", [])?;
            let count = transaction.execute(
                "INSERT INTO pruned SELECT seq FROM occurrences
                 WHERE wake_at_ms IS NULL AND changed_at_ms < ?1
                 ORDER BY changed_at_ms LIMIT ?2",
                [ms(before), limit],
            )?;
            if count > 0 {
                transaction
                    .execute("DELETE FROM history WHERE occurrence IN (SELECT seq FROM pruned)", [])?;
                transaction.execute("DELETE FROM occurrences WHERE seq IN (SELECT seq FROM pruned)", [])?;
            }
            transaction.execute(
                "DELETE FROM meetings WHERE is_removed = 1
                 AND NOT EXISTS (SELECT 1 FROM occurrences WHERE occurrences.meeting = meetings.id)",
                [],
            )?;
            transaction.commit()?;
            Ok(count)
        };
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
        }
    }
}

fn write_meta(connection: &Connection, key: &str, value: Option<&str>) -> rusqlite::Result<()> {
    match value {
        Some(value) => connection
            .prepare_cached(
                "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )?
            .execute([key, value]),
        None => connection.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([key]),
    }
    .map(drop)
}

fn write_meetings(connection: &Connection, meetings: &[StoredMeeting]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO meetings (id, fingerprint, is_removed, spec) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, is_removed = excluded.is_removed,
         spec = excluded.spec",
    )?;
    for meeting in meetings {
        let spec = serde_json::to_string(&meeting.spec)
            .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
        statement.execute(params![meeting.id, meeting.fingerprint, meeting.is_removed, spec])?;
    }
    Ok(())
}

fn write_records(connection: &Connection, batch: &Batch) -> rusqlite::Result<()> {
    let places = |from: usize| (from..=35).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ");
    if !batch.updates.is_empty() {
        // Every index that holds a column that is named here is written, whether or not the value differs.
        let is_named = |name: &str| batch.is_rescheduling || !SCHEDULED.contains(&name);
        let named = COLUMNS.split(", ").zip(1..).skip(1).filter(|(name, _)| is_named(name));
        let assignments: Vec<String> = named.map(|(name, n)| format!("{name} = ?{n}")).collect();
        let sql = format!("UPDATE occurrences SET {} WHERE seq = ?1", assignments.join(", "));
        let mut update = connection.prepare_cached(&sql)?;
        for record in &batch.updates {
            bind_record(&mut update, record)?;
        }
    }
    // After the updates: a new record may take over the room of one that has just let it go.
    if !batch.inserts.is_empty() {
        let sql = format!("INSERT INTO occurrences ({COLUMNS}) VALUES (NULLIF(?1, 0), {})", places(2));
        let mut insert = connection.prepare_cached(&sql)?;
        for record in &batch.inserts {
            bind_record(&mut insert, record)?;
        }
    }
    Ok(())
}

fn write_history(
    connection: &Connection,
    history: &[HistoryEntry],
    number: &mut i64,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO history (occurrence, number, at_ms, generation, from_state, to_state, reason, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for entry in history {
        *number += 1;
        let (from, to, reason) =
            (entry.change.from.as_str(), entry.change.to.as_str(), entry.change.reason.as_str());
        statement.execute(params![
            entry.seq,
            *number,
            ms(entry.at),
            entry.generation,
            from,
            to,
            reason,
            entry.detail
        ])?;
    }
    Ok(())
}

/// Runs `statement` with the values of `record`, in the order of [`COLUMNS`].
fn bind_record(statement: &mut Statement<'_>, record: &Record) -> rusqlite::Result<()> {
    let life = &record.occurrence;
    let room = life.room.as_ref();
    statement.execute(params![
        record.seq,
        record.id,
        record.meeting,
        record.provider,
        record.title,
        life.state.as_str(),
        life.reason.as_str(),
        life.generation,
        ms(life.times.starts_at),
        ms(life.times.ends_at),
        life.extended_by.num_milliseconds(),
        record.wake_at.map(ms),
        record.call.map(Call::as_str),
        record.marker,
        life.asked_at.map(ms),
        room.map(|room| &room.id),
        room.map(|room| &room.join_url),
        room.and_then(|room| room.host_url.as_ref()),
        life.is_outdated,
        life.is_removed,
        life.verdict.map(Verdict::as_str),
        life.is_close_sent,
        life.occupancy,
        life.looked_at.map(ms),
        life.empty_since.map(ms),
        life.gone_since.map(ms),
        life.look_at.map(ms),
        life.retry_at.map(ms),
        life.attempts,
        life.last_error,
        ms(record.changed_at),
        life.was_occupied,
        life.watched_since.map(ms),
        life.warned_at.map(ms),
        life.yields_at.map(ms),
    ])?;
    Ok(())
}

/// Reads a row with [`COLUMNS`]. The outer error is SQLite's, the inner one says that the row cannot be.
fn read_record(row: &Row<'_>) -> rusqlite::Result<Result<Record, StoreError>> {
    let id: String = row.get(1)?;
    let bad = |what: String| Ok(Err(StoreError::BadRow { id: id.clone(), what }));
    let state: String = row.get(5)?;
    let Some(state) = State::from_name(&state) else { return bad(format!("unknown state {state:?}")) };
    let reason: String = row.get(6)?;
    let Some(reason) = Reason::from_name(&reason) else { return bad(format!("unknown reason {reason:?}")) };
    let call = match row.get::<_, Option<String>>(12)? {
        None => None,
        Some(name) => match call_from_name(&name) {
            Some(call) => Some(call),
            None => return bad(format!("unknown call {name:?}")),
        },
    };
    let verdict = match row.get::<_, Option<String>>(20)? {
        None => None,
        Some(name) => match Verdict::from_name(&name) {
            Some(verdict) => Some(verdict),
            None => return bad(format!("unknown verdict {name:?}")),
        },
    };
    let room = match (row.get(15)?, row.get(16)?) {
        (Some(id), Some(join_url)) => Some(Room { id, join_url, host_url: row.get(17)? }),
        _ => None,
    };
    let occurrence = Occurrence {
        state,
        reason,
        generation: row.get(7)?,
        times: Times { starts_at: instant(row, 8)?, ends_at: instant(row, 9)? },
        extended_by: TimeDelta::try_milliseconds(row.get(10)?).unwrap_or_default(),
        asked_at: optional_instant(row, 14)?,
        room,
        is_outdated: row.get(18)?,
        is_update_sent: false,
        is_removed: row.get(19)?,
        verdict,
        is_close_sent: row.get(21)?,
        occupancy: row.get(22)?,
        looked_at: optional_instant(row, 23)?,
        empty_since: optional_instant(row, 24)?,
        gone_since: optional_instant(row, 25)?,
        look_at: optional_instant(row, 26)?,
        retry_at: optional_instant(row, 27)?,
        attempts: row.get(28)?,
        last_error: row.get(29)?,
        was_occupied: row.get(31)?,
        watched_since: optional_instant(row, 32)?,
        warned_at: optional_instant(row, 33)?,
        yields_at: optional_instant(row, 34)?,
    };
    Ok(Ok(Record {
        seq: row.get(0)?,
        meeting: row.get(2)?,
        provider: row.get(3)?,
        title: row.get(4)?,
        marker: row.get(13)?,
        occurrence,
        wake_at: optional_instant(row, 11)?,
        call,
        changed_at: instant(row, 30)?,
        id,
    }))
}

fn ms(instant: DateTime<Utc>) -> i64 {
    instant.timestamp_millis()
}

fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<DateTime<Utc>> {
    let value = row.get(column)?;
    DateTime::from_timestamp_millis(value).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn optional_instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let value: Option<i64> = row.get(column)?;
    value.map(|_| instant(row, column)).transpose()
}
