//! What is ahead, by provider: for whoever looks after the accounts, on a connection of his own.

use super::row::{ms, read_instant};
use super::{SqliteStore, StoreError};
use chrono::{DateTime, Utc};
use rusqlite::params;
use std::collections::BTreeMap;

/// What the schedule has ahead for a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ahead {
    /// So many occurrences begin before the instant that was asked for, or have begun and are not over.
    pub count: usize,
    /// The first of them, with their starts.
    pub first: Vec<(String, DateTime<Utc>)>,
}

impl SqliteStore {
    /// How many occurrences of `provider` begin before `until` and are not over at `now`; and the first `named` of them, with
    /// their starts.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn ahead_of(
        &self,
        provider: &str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        named: usize,
    ) -> Result<Ahead, StoreError> {
        let read = || -> rusqlite::Result<_> {
            // Whatever begins before an instant is looked at before it as well.
            let mut statement = self.connection.prepare_cached(
                "SELECT id, starts_at_ms FROM occurrences INDEXED BY occurrences_by_wake
                 WHERE wake_at_ms IS NOT NULL AND wake_at_ms <= ?3 AND provider = ?1 AND is_removed = 0
                   AND state <> 'closing' AND ends_at_ms + extended_by_ms > ?2 AND starts_at_ms < ?3
                 ORDER BY starts_at_ms, id",
            )?;
            let mut rows = statement.query(params![provider, ms(now), ms(until)])?;
            let (mut count, mut first) = (0, Vec::new());
            while let Some(row) = rows.next()? {
                count += 1;
                if first.len() < named {
                    first.push((row.get(0)?, read_instant(row, 1)?));
                }
            }
            Ok(Ahead { count, first })
        };
        read().map_err(self.error())
    }

    /// When something is due for each provider, for those where that is at `until` or before.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn next_due_by_provider(
        &self,
        until: DateTime<Utc>,
    ) -> Result<BTreeMap<String, DateTime<Utc>>, StoreError> {
        let read = || -> rusqlite::Result<_> {
            let mut statement = self.connection.prepare_cached(
                "SELECT provider, min(wake_at_ms) FROM occurrences INDEXED BY occurrences_by_wake
                 WHERE wake_at_ms IS NOT NULL AND wake_at_ms <= ?1 GROUP BY provider",
            )?;
            let rows = statement.query_map([ms(until)], |row| Ok((row.get(0)?, read_instant(row, 1)?)))?;
            rows.collect()
        };
        read().map_err(self.error())
    }
}
