//! How far ahead the store knows what will be: the horizon moves on with the clock, and what is past its retention is
//! forgotten.

use super::apply::{Applied, Diff, Moved, Schedule, instances, is_as_given, new_record};
use super::turn::Turn;
use super::{CLOCK, Engine, HOUSEKEEPING_PAUSE, Reading};
use crate::log::{LogEvent, number};
use crate::seeded_bug::{Bug, is_on};
use crate::store::{Batch, Record, StoreError};
use chrono::{DateTime, TimeDelta, Utc};
use std::ops::Range;

/// What the horizon should have reached longer ago than this is not made up for, however long the machine was off.
const LOOK_BACK: TimeDelta = TimeDelta::days(8);
/// The key of the instant up to which occurrences are in the store.
pub(super) const MATERIALISED_UNTIL: &str = "materialised_until_ms";
/// Occurrences inserted in one transaction at most, so that the log file of the database stays small.
pub(super) const INSERTS_AT_ONCE: usize = 4_000;

impl Engine {
    pub(super) fn insert_in_pieces(&mut self, inserts: Vec<Record>) -> Result<(), StoreError> {
        let mut inserts = inserts.into_iter().peekable();
        while inserts.peek().is_some() {
            let piece: Vec<Record> = inserts.by_ref().take(INSERTS_AT_ONCE).collect();
            let count = piece.len();
            self.store.commit(&Batch { inserts: piece, ..Batch::default() })?;
            self.tally.pending += count;
            // Many pieces take their time, and what is due meanwhile does not wait for the last of them.
            if inserts.peek().is_some() {
                self.requeue();
                self.turn();
            }
        }
        Ok(())
    }

    pub(super) fn materialised_until(&mut self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let text = self.store.meta(MATERIALISED_UNTIL)?;
        Ok(text.and_then(|text| text.parse().ok()).and_then(DateTime::from_timestamp_millis))
    }

    /// Brings what the horizon reaches now into the store, and forgets what is past its retention.
    pub(super) fn housekeep(&mut self) {
        self.housekeep_again_at = None;
        if let Err(error) = self.try_housekeep() {
            self.store_failed(&error);
            self.housekeep_again_at = Some(self.clock.boot().saturating_add(HOUSEKEEPING_PAUSE));
        }
    }

    fn try_housekeep(&mut self) -> Result<(), StoreError> {
        let reading = self.read_clock();
        if let Some(clock) = self.guard.to_remember()
            && self.store.meta(CLOCK)?.as_ref() != Some(&clock)
        {
            self.store.commit(&Batch { meta: vec![(CLOCK, Some(clock))], ..Batch::default() })?;
        }
        let Some(schedule) = self.in_force.take() else { return Ok(()) };
        let outcome = self.extend_horizon(&schedule, reading);
        let before = reading.now.settled - schedule.history;
        self.in_force = Some(schedule);
        outcome?;
        // A piece at a time, so that a turn is never kept waiting for long; the next round brings the rest.
        let occurrences = self.store.prune(before, INSERTS_AT_ONCE)?;
        if occurrences > 0 {
            let occurrences = number(occurrences);
            self.host.log(&LogEvent::StorePruned { occurrences });
        }
        Ok(())
    }

    fn extend_horizon(&mut self, schedule: &Schedule, reading: Reading) -> Result<(), StoreError> {
        if is_on(Bug::HorizonStands) {
            return Ok(());
        }
        let now = reading.now;
        let until = now.settled + schedule.horizon;
        if let Some(from) = self.materialised_until()?.filter(|from| *from < until) {
            let from = from.max(now.settled - LOOK_BACK);
            self.materialise(schedule, from..until, from, reading)?;
            let meta = vec![(MATERIALISED_UNTIL, Some(until.timestamp_millis().to_string()))];
            self.store.commit(&Batch { meta, ..Batch::default() })?;
        }
        if now.wall > now.settled {
            // What begins by the wall clock is opened, whether that is right or not; but it may be years off, and
            // nothing between is made up for before it is believed.
            let from = until.max(now.wall - LOOK_BACK);
            self.materialise(schedule, from..now.wall + schedule.horizon, now.wall, reading)?;
        }
        Ok(())
    }

    /// Brings the occurrences that begin in `window` into the store, but none that is over at `over_at`.
    fn materialise(
        &mut self,
        schedule: &Schedule,
        window: Range<DateTime<Utc>>,
        over_at: DateTime<Utc>,
        reading: Reading,
    ) -> Result<(), StoreError> {
        let mut inserts = Vec::new();
        let mut diff = Diff {
            turn: Turn::default(),
            applied: Applied::default(),
            specs: Vec::new(),
            materialised_until: window.end,
            ahead_until: None,
            zone_data_before: None,
        };
        for meeting in schedule.meetings.values() {
            let Ok(mut given) = instances(meeting, window.start, window.end) else {
                self.tell_too_many(meeting);
                continue;
            };
            let ids: Vec<String> = given.keys().cloned().collect();
            // In the store already: one that an edit or an override had moved beyond the horizon, or moves back into it.
            for record in self.store.by_id(&ids)? {
                let Some(instance) = given.remove(&record.id) else { continue };
                if is_as_given(&record, &instance) {
                    continue;
                }
                if let Some(spec) = self.specs.get(&meeting.id).cloned() {
                    let moved = Moved { id: record.id.clone(), instance: &instance };
                    self.diff_kept(&mut diff, record, &moved, meeting, &spec, false, reading);
                }
            }
            given.retain(|_, instance| instance.ends_at > over_at);
            inserts.extend(given.into_iter().map(|(id, i)| new_record(id, i, meeting, reading.now.wall)));
        }
        if !inserts.is_empty() || !diff.turn.batch.is_empty() {
            self.store.commit(&diff.turn.batch)?;
            self.requeue();
            self.committed(diff.turn, reading);
            self.insert_in_pieces(inserts)?;
        }
        Ok(())
    }
}
