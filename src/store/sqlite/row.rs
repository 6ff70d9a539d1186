//! A row of `occurrences` and the [`Record`] that it stands for: one table of columns, by which rows are written and read.

use super::super::{Record, StoreError, call_from_name};
use crate::lifecycle::{Call, Occurrence, Reason, Room, State, Times, Verdict};
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Row;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// A column, and its value for a record.
pub(super) struct Column {
    pub(super) name: &'static str,
    value: for<'r> fn(&'r Record) -> ValueRef<'r>,
}

impl Column {
    /// The value, to be bound to a statement.
    pub(super) fn of<'r>(&self, record: &'r Record) -> ToSqlOutput<'r> {
        ToSqlOutput::Borrowed((self.value)(record))
    }

    /// Whether the value of `after` differs from that of `before`.
    pub(super) fn differs(&self, before: &Record, after: &Record) -> bool {
        (self.value)(before) != (self.value)(after)
    }
}

macro_rules! columns {
    ($($name:literal: $value:expr,)+) => {
        /// All columns that a record has, the key first; in the order of [`read_record`].
        pub(super) static COLUMNS: &[Column] = &[$(Column { name: $name, value: $value }),+];
        /// Their names, as SQL lists them.
        pub(super) const NAMES: &str = columns!(@list $($name,)+);
    };
    (@list $first:literal, $($rest:literal,)+) => { concat!($first $(, ", ", $rest)+) };
}

columns! {
    "seq": |r| integer(r.seq),
    "id": |r| text(&r.id),
    "meeting": |r| text(&r.meeting),
    "provider": |r| text(&r.provider),
    "title": |r| optional_text(r.title.as_deref()),
    "state": |r| text(r.occurrence.state.as_str()),
    "reason": |r| text(r.occurrence.reason.as_str()),
    "generation": |r| integer(r.occurrence.generation.into()),
    "starts_at_ms": |r| instant(r.occurrence.times.starts_at),
    "ends_at_ms": |r| instant(r.occurrence.times.ends_at),
    "extended_by_ms": |r| integer(r.occurrence.extended_by.num_milliseconds()),
    "wake_at_ms": |r| optional_instant(r.wake_at),
    "call": |r| optional_text(r.call.map(Call::as_str)),
    "marker": |r| optional_text(r.marker.as_deref()),
    "asked_at_ms": |r| optional_instant(r.occurrence.asked_at),
    "room_id": |r| optional_text(r.occurrence.room.as_ref().map(|room| room.id.as_str())),
    "join_url": |r| optional_text(r.occurrence.room.as_ref().map(|room| room.join_url.as_str())),
    "host_url": |r| optional_text(r.occurrence.room.as_ref().and_then(|room| room.host_url.as_deref())),
    "is_outdated": |r| flag(r.occurrence.is_outdated),
    "is_removed": |r| flag(r.occurrence.is_removed),
    "verdict": |r| optional_text(r.occurrence.verdict.map(Verdict::as_str)),
    "is_close_sent": |r| flag(r.occurrence.is_close_sent),
    "occupancy": |r| r.occurrence.occupancy.map_or(ValueRef::Null, |people| integer(people.into())),
    "looked_at_ms": |r| optional_instant(r.occurrence.looked_at),
    "empty_since_ms": |r| optional_instant(r.occurrence.empty_since),
    "was_occupied": |r| flag(r.occurrence.was_occupied),
    "watched_since_ms": |r| optional_instant(r.occurrence.watched_since),
    "warned_at_ms": |r| optional_instant(r.occurrence.warned_at),
    "yields_at_ms": |r| optional_instant(r.occurrence.yields_at),
    "gone_since_ms": |r| optional_instant(r.occurrence.gone_since),
    "look_at_ms": |r| optional_instant(r.occurrence.look_at),
    "retry_at_ms": |r| optional_instant(r.occurrence.retry_at),
    "attempts": |r| integer(r.occurrence.attempts.into()),
    "last_error": |r| optional_text(r.occurrence.last_error.as_deref()),
    "changed_at_ms": |r| instant(r.changed_at),
    "doubted_at_ms": |r| optional_instant(r.occurrence.doubted_at),
    "is_begun": |r| flag(r.wake_at.is_some() && r.occurrence.state != State::Planned),
}

/// Milliseconds since 1970, as the store keeps instants.
pub(super) fn ms(instant: DateTime<Utc>) -> i64 {
    instant.timestamp_millis()
}

fn integer(value: i64) -> ValueRef<'static> {
    ValueRef::Integer(value)
}

fn flag(value: bool) -> ValueRef<'static> {
    integer(value.into())
}

fn instant(value: DateTime<Utc>) -> ValueRef<'static> {
    integer(ms(value))
}

fn optional_instant(value: Option<DateTime<Utc>>) -> ValueRef<'static> {
    value.map_or(ValueRef::Null, instant)
}

fn text(value: &str) -> ValueRef<'_> {
    ValueRef::Text(value.as_bytes())
}

fn optional_text(value: Option<&str>) -> ValueRef<'_> {
    value.map_or(ValueRef::Null, text)
}

/// Reads a row with [`NAMES`]. The outer error is SQLite's, the inner one says that the row cannot be.
pub(super) fn read_record(row: &Row<'_>) -> rusqlite::Result<Result<Record, StoreError>> {
    let bad = |what: String| Ok(Err(StoreError::BadRow { id: row.get(1)?, what }));
    /// The value that the word in a column stands for, if it stands for one.
    fn word<T>(
        row: &Row<'_>,
        column: usize,
        of: impl Fn(&str) -> Option<T>,
    ) -> rusqlite::Result<Result<Option<T>, String>> {
        let Some(name) = row.get_ref(column)?.as_str_or_null()? else { return Ok(Ok(None)) };
        Ok(of(name).map(Some).ok_or_else(|| format!("unknown {} {name:?}", COLUMNS[column].name)))
    }
    let (state, reason) = (word(row, 5, State::from_name)?, word(row, 6, Reason::from_name)?);
    let (call, verdict) = (word(row, 12, call_from_name)?, word(row, 20, Verdict::from_name)?);
    let (state, reason, call, verdict) = match (state, reason, call, verdict) {
        (Ok(Some(state)), Ok(Some(reason)), Ok(call), Ok(verdict)) => (state, reason, call, verdict),
        (Err(what), ..) | (_, Err(what), ..) | (_, _, Err(what), _) | (.., Err(what)) => return bad(what),
        (Ok(None), ..) | (_, Ok(None), ..) => return bad("no state or no reason".to_owned()),
    };
    let room = match (row.get(15)?, row.get(16)?) {
        (Some(id), Some(join_url)) => Some(Room { id, join_url, host_url: row.get(17)? }),
        _ => None,
    };
    let occurrence = Occurrence {
        state,
        reason,
        generation: row.get(7)?,
        times: Times { starts_at: read_instant(row, 8)?, ends_at: read_instant(row, 9)? },
        extended_by: TimeDelta::try_milliseconds(row.get(10)?).unwrap_or_default(),
        asked_at: read_optional_instant(row, 14)?,
        doubted_at: read_optional_instant(row, 35)?,
        room,
        is_outdated: row.get(18)?,
        is_update_sent: false,
        is_removed: row.get(19)?,
        verdict,
        is_close_sent: row.get(21)?,
        occupancy: row.get(22)?,
        looked_at: read_optional_instant(row, 23)?,
        empty_since: read_optional_instant(row, 24)?,
        was_occupied: row.get(25)?,
        watched_since: read_optional_instant(row, 26)?,
        warned_at: read_optional_instant(row, 27)?,
        yields_at: read_optional_instant(row, 28)?,
        gone_since: read_optional_instant(row, 29)?,
        look_at: read_optional_instant(row, 30)?,
        retry_at: read_optional_instant(row, 31)?,
        attempts: row.get(32)?,
        last_error: row.get(33)?,
    };
    Ok(Ok(Record {
        seq: row.get(0)?,
        id: row.get(1)?,
        meeting: row.get(2)?,
        provider: row.get(3)?,
        title: row.get(4)?,
        marker: row.get(13)?,
        occurrence,
        wake_at: read_optional_instant(row, 11)?,
        call,
        changed_at: read_instant(row, 34)?,
    }))
}

pub(super) fn read_instant(row: &Row<'_>, column: usize) -> rusqlite::Result<DateTime<Utc>> {
    let value = row.get(column)?;
    DateTime::from_timestamp_millis(value).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn read_optional_instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let value: Option<i64> = row.get(column)?;
    value.map(|_| read_instant(row, column)).transpose()
}
