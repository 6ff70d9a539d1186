//! What a commit writes.

use super::super::{Batch, HistoryEntry, QuotaUse, Record, StoredMeeting, Update};
use super::row::{COLUMNS, NAMES, differing, ms};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Statement, params};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let places: Vec<String> = (2..=COLUMNS.len()).map(|n| format!("?{n}")).collect();
    format!("INSERT INTO occurrences ({NAMES}) VALUES (NULLIF(?1, 0), {})", places.join(", "))
});

/// Appends a line to the history of an occurrence, after the line `?2`.
const APPEND: &str =
    "INSERT INTO history (occurrence, previous, at_ms, generation, from_state, to_state, reason, detail)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const LAST_ENTRY: &str = "SELECT last_entry FROM occurrences WHERE seq = ?1";
/// So many occurrences are remembered with the last line of their history.
const REMEMBERED: usize = 8192;

/// What is known from one write to the next.
#[derive(Debug, Default)]
pub(super) struct Updates {
    /// The statements that were needed so far to change occurrences, by the columns that they name: a bit for each.
    statements: BTreeMap<u64, Arc<str>>,
    /// The last lines of history of occurrences that were loaded or written lately, so that they need not be looked up. A
    /// commit that failed, and everything else that writes past it, makes it forget.
    last_entries: HashMap<i64, Option<i64>, foldhash::fast::RandomState>,
}

impl Updates {
    /// The bit of the pointer to the newest line of history, which no record has.
    const LAST_ENTRY: u64 = 1 << 63;
    /// The bit of the key, which never changes.
    const KEY: u64 = 1;

    /// The statement that sets the columns of `named`. Its first parameter is the key, then come the columns, in order.
    fn sql(&mut self, named: u64) -> Arc<str> {
        let build = || {
            let columns = COLUMNS.iter().enumerate().filter(|(n, _)| named & (1 << n) != 0);
            let last_entry = (named & Self::LAST_ENTRY != 0).then_some("last_entry");
            let set: Vec<String> = columns
                .map(|(_, column)| column.name)
                .chain(last_entry)
                .zip(2..)
                .map(|(name, n)| format!("{name} = ?{n}"))
                .collect();
            format!("UPDATE occurrences SET {} WHERE seq = ?1", set.join(", ")).into()
        };
        self.statements.entry(named).or_insert_with(build).clone()
    }

    /// The occurrence's last line of history, as it was just loaded.
    pub(super) fn remember(&mut self, seq: i64, last_entry: Option<i64>) {
        if self.last_entries.len() >= REMEMBERED {
            self.forget();
        }
        self.last_entries.insert(seq, last_entry);
    }

    /// The last lines of history may be others than what was remembered.
    pub(super) fn forget(&mut self) {
        self.last_entries.clear();
    }

    /// The occurrence's last line of history.
    fn last_entry(&mut self, connection: &Connection, seq: i64) -> rusqlite::Result<Option<i64>> {
        match self.last_entries.remove(&seq) {
            Some(last_entry) => Ok(last_entry),
            // None: it is not there, which its update will tell.
            None => Ok(connection
                .prepare_cached(LAST_ENTRY)?
                .query_row([seq], |row| row.get(0))
                .optional()?
                .flatten()),
        }
    }

    /// Writes what differs, and nothing else: SQLite writes every index of a column that is named.
    fn write(&mut self, connection: &Connection, updates: &[Update]) -> rusqlite::Result<()> {
        let mut history = connection.prepare_cached(APPEND)?;
        // In a herd all change alike: a statement that was just used is not looked up again by its text.
        let mut last: Option<(u64, CachedStatement<'_>)> = None;
        for update in updates {
            let (before, after) = (&*update.before, &*update.after);
            let mut named = differing(before, after) & !Self::KEY;
            let mut last_entry = None;
            if !update.history.is_empty() {
                last_entry = self.last_entry(connection, after.seq)?;
                append(&mut history, after.seq, &update.history, &mut last_entry)?;
                self.remember(after.seq, last_entry);
                named |= Self::LAST_ENTRY;
            }
            if named == 0 {
                continue;
            }
            let mut statement = match last.take() {
                Some((of, statement)) if of == named => statement,
                _ => connection.prepare_cached(&self.sql(named))?,
            };
            statement.raw_bind_parameter(1, after.seq)?;
            let mut place = 2;
            for (_, column) in COLUMNS.iter().enumerate().filter(|(n, _)| named & (1 << n) != 0) {
                statement.raw_bind_parameter(place, column.of(after))?;
                place += 1;
            }
            if let Some(last_entry) = last_entry {
                statement.raw_bind_parameter(place, last_entry)?;
            }
            if statement.raw_execute()? != 1 {
                // It is not there any more: what was stepped is not what the store holds.
                return Err(rusqlite::Error::QueryReturnedNoRows);
            }
            last = Some((named, statement));
        }
        Ok(())
    }
}

/// Writes everything in `batch`, within the transaction that is open.
pub(super) fn write(connection: &Connection, batch: &Batch, updates: &mut Updates) -> rusqlite::Result<()> {
    write_meetings(connection, &batch.meetings)?;
    updates.write(connection, &batch.updates)?;
    // After the updates: a new record may take over the room of one that has just let it go.
    insert(connection, &batch.inserts)?;
    write_quotas(connection, &batch.quotas)?;
    for (key, value) in &batch.meta {
        write_meta(connection, key, value.as_deref())?;
    }
    Ok(())
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

fn write_quotas(connection: &Connection, quotas: &[QuotaUse]) -> rusqlite::Result<()> {
    for of in quotas {
        connection
            .prepare_cached(
                "INSERT INTO quota_use (provider, quota, day, used) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (provider, quota) DO UPDATE SET day = excluded.day, used = excluded.used",
            )?
            .execute(params![of.provider, of.quota, of.day.to_string(), of.used])?;
    }
    Ok(())
}

fn write_meetings(connection: &Connection, meetings: &[StoredMeeting]) -> rusqlite::Result<()> {
    if meetings.is_empty() {
        return Ok(());
    }
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

fn insert(connection: &Connection, records: &[Record]) -> rusqlite::Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(&INSERT)?;
    for record in records {
        bind(&mut statement, record)?;
        statement.raw_execute()?;
    }
    Ok(())
}

fn bind(statement: &mut Statement<'_>, record: &Record) -> rusqlite::Result<()> {
    COLUMNS.iter().zip(1..).try_for_each(|(column, n)| statement.raw_bind_parameter(n, column.of(record)))
}

/// Appends lines to the history of an occurrence, by [`APPEND`], after the line `last`, which then is the last of them.
fn append(
    statement: &mut Statement<'_>,
    seq: i64,
    history: &[HistoryEntry],
    last: &mut Option<i64>,
) -> rusqlite::Result<()> {
    for entry in history {
        let (from, to, reason) =
            (entry.change.from.as_str(), entry.change.to.as_str(), entry.change.reason.as_str());
        let values = params![seq, *last, ms(entry.at), entry.generation, from, to, reason, entry.detail];
        *last = Some(statement.insert(values)?);
    }
    Ok(())
}
