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
}

macro_rules! columns {
    ($r:ident; $($name:literal: $value:expr => $bound:path,)+) => {
        /// All columns that a record has, the key first; in the order of [`read_record`].
        pub(super) static COLUMNS: &[Column] = &[$(Column { name: $name, value: |$r| $bound($value) }),+];
        /// The columns whose values in `after` differ from those in `before`: a bit for each. Compared as they are in memory,
        /// as this is asked at every write.
        pub(super) fn differing(before: &Record, after: &Record) -> u64 {
            let differs = [$({ let $r = before; $value } != { let $r = after; $value }),+];
            differs.iter().rev().fold(0, |bits, differs| bits << 1 | u64::from(*differs))
        }
        /// Their names, as SQL lists them.
        pub(super) const NAMES: &str = columns!(@list $($name,)+);
    };
    (@list $first:literal, $($rest:literal,)+) => { concat!($first $(, ", ", $rest)+) };
}

columns! {
    r;
    "seq": r.seq => integer,
    "id": r.id.as_str() => text,
    "meeting": r.meeting.as_str() => text,
    "provider": r.provider.as_str() => text,
    "title": r.title.as_deref() => optional_text,
    "state": r.occurrence.state.as_str() => text,
    "reason": r.occurrence.reason.as_str() => text,
    "generation": i64::from(r.occurrence.generation) => integer,
    "starts_at_ms": r.occurrence.times.starts_at => instant,
    "ends_at_ms": r.occurrence.times.ends_at => instant,
    "extended_by_ms": r.occurrence.extended_by.num_milliseconds() => integer,
    "wake_at_ms": r.wake_at => optional_instant,
    "call": r.call.map(Call::as_str) => optional_text,
    "marker": r.marker.as_deref() => optional_text,
    "asked_at_ms": r.occurrence.asked_at => optional_instant,
    "room_id": r.occurrence.room.as_ref().map(|room| room.id.as_str()) => optional_text,
    "join_url": r.occurrence.room.as_ref().map(|room| room.join_url.as_str()) => optional_text,
    "host_url": r.occurrence.room.as_ref().and_then(|room| room.host_url.as_deref()) => optional_text,
    "is_outdated": r.occurrence.is_outdated => flag,
    "is_removed": r.occurrence.is_removed => flag,
    "verdict": r.occurrence.verdict.map(Verdict::as_str) => optional_text,
    "is_close_sent": r.occurrence.is_close_sent => flag,
    "occupancy": r.occurrence.occupancy.map(i64::from) => optional_integer,
    "looked_at_ms": r.occurrence.looked_at => optional_instant,
    "empty_since_ms": r.occurrence.empty_since => optional_instant,
    "was_occupied": r.occurrence.was_occupied => flag,
    "watched_since_ms": r.occurrence.watched_since => optional_instant,
    "warned_at_ms": r.occurrence.warned_at => optional_instant,
    "yields_at_ms": r.occurrence.yields_at => optional_instant,
    "gone_since_ms": r.occurrence.gone_since => optional_instant,
    "look_at_ms": r.occurrence.look_at => optional_instant,
    "retry_at_ms": r.occurrence.retry_at => optional_instant,
    "attempts": i64::from(r.occurrence.attempts) => integer,
    "last_error": r.occurrence.last_error.as_deref() => optional_text,
    "changed_at_ms": r.changed_at => instant,
    "doubted_at_ms": r.occurrence.doubted_at => optional_instant,
    "is_begun": r.wake_at.is_some() && r.occurrence.state != State::Planned => flag,
}

/// Milliseconds since 1970, as the store keeps instants.
pub(super) fn ms(instant: DateTime<Utc>) -> i64 {
    instant.timestamp_millis()
}

fn integer(value: i64) -> ValueRef<'static> {
    ValueRef::Integer(value)
}

fn optional_integer(value: Option<i64>) -> ValueRef<'static> {
    value.map_or(ValueRef::Null, integer)
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
    instant_of(column, row.get(column)?)
}

fn instant_of(column: usize, value: i64) -> rusqlite::Result<DateTime<Utc>> {
    DateTime::from_timestamp_millis(value).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn read_optional_instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let value: Option<i64> = row.get(column)?;
    value.map(|value| instant_of(column, value)).transpose()
}
