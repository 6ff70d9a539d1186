//! What comes next on a seat: the next occurrence of the same series, or of one that has a host in common on the same
//! provider. An extension yields to it.
//!
//! It is asked only where an extension or a warning is decided. Which meetings a host has is derived from the rules in
//! memory; when they start is read from the store, for all meetings of a host at once, and kept for a short while: a herd
//! whose meetings end together and share a host costs one reading and not one for each.

use super::{Engine, Reading};
use crate::lifecycle::{Event, Next, Surroundings, asks_for_next};
use crate::store::{MeetingSpec, Record, StoreError, UpcomingStart};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashMap;
use std::time::Duration;

/// How long what was read of the store is used.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// An open room's start is not longer ago: length, extensions and close delay are a day each at most.
const LOOK_BACK: TimeDelta = TimeDelta::days(3);
/// No extension reaches further: a day, and a warning may be decided a day ahead.
const LOOK_AHEAD: TimeDelta = TimeDelta::hours(49);

/// Who has which seat.
#[derive(Debug, Default)]
pub(super) struct Seats {
    /// Meetings by host; `None`: to be derived from the rules.
    meetings: Option<HashMap<String, Vec<String>>>,
    /// By provider and host, in order.
    starts: HashMap<(String, String), Vec<UpcomingStart>>,
    /// When the oldest of them was read, on the boot clock.
    read_at: Duration,
}

impl Seats {
    /// The schedule has changed.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Engine {
    /// What a step of `record` has to know besides it, and the occurrence that it yields to.
    pub(super) fn surroundings(
        &mut self,
        record: &Record,
        spec: &MeetingSpec,
        event: &Event,
        reading: Reading,
    ) -> (Surroundings, Option<UpcomingStart>) {
        // Before the providers are known nobody can say whom a warning reaches.
        let can_announce = self.is_configured.then(|| {
            let provider = self.lanes.get(&record.provider).and_then(|lane| lane.provider.as_ref());
            provider.is_some_and(|provider| provider.capabilities().can_announce)
        });
        if !asks_for_next(&record.occurrence, event, &spec.policy, reading.now) {
            return (Surroundings { next: Next::NotAsked, can_announce }, None);
        }
        match self.next_on_seat(record, spec, reading) {
            Ok(Some(next)) => (Surroundings { next: Next::StartsAt(next.at), can_announce }, Some(next)),
            Ok(None) => (Surroundings { next: Next::Nothing, can_announce }, None),
            // What was known last counts. A store that cannot be read is told of where it cannot be written.
            Err(_) => (Surroundings { next: Next::NotAsked, can_announce }, None),
        }
    }

    /// The first occurrence that starts after this one and before it could be extended no further.
    fn next_on_seat(
        &mut self,
        record: &Record,
        spec: &MeetingSpec,
        reading: Reading,
    ) -> Result<Option<UpcomingStart>, StoreError> {
        let life = &record.occurrence;
        let after = life.times.starts_at;
        let until = life.closes_at_latest(&spec.policy);
        let of_series = self.store.starts_of(&record.meeting, None, after..until)?;
        let is_next =
            |start: &&UpcomingStart| start.at > after && start.at < until && start.seq != record.seq;
        let mut first = of_series.iter().find(is_next).cloned();
        for host in &spec.room.hosts {
            let starts = self.starts_of_host(&record.provider, host, reading)?;
            let from = starts.partition_point(|start| start.at <= after);
            let next = starts.get(from..).unwrap_or_default().iter().find(is_next).cloned();
            first = [first, next].into_iter().flatten().min();
        }
        Ok(first)
    }

    /// When meetings that a host leads on a provider start, around now.
    fn starts_of_host(
        &mut self,
        provider: &str,
        host: &str,
        reading: Reading,
    ) -> Result<&[UpcomingStart], StoreError> {
        if reading.boot.saturating_sub(self.seats.read_at) > KEPT_FOR {
            self.seats.starts.clear();
        }
        if self.seats.starts.is_empty() {
            self.seats.read_at = reading.boot;
        }
        let key = (provider.to_owned(), host.to_owned());
        if !self.seats.starts.contains_key(&key) {
            let around = around(reading.now.wall);
            let meetings = self.seats.meetings.get_or_insert_with(|| {
                let mut meetings = HashMap::<String, Vec<String>>::new();
                for (id, spec) in &self.specs {
                    for host in &spec.room.hosts {
                        meetings.entry(host.clone()).or_default().push(id.clone());
                    }
                }
                meetings
            });
            let mut starts = Vec::new();
            for meeting in meetings.get(host).into_iter().flatten() {
                starts.extend(self.store.starts_of(meeting, Some(provider), around.clone())?);
            }
            starts.sort();
            self.seats.starts.insert(key.clone(), starts);
        }
        Ok(self.seats.starts.get(&key).map_or(&[], Vec::as_slice))
    }
}

fn around(wall: DateTime<Utc>) -> std::ops::Range<DateTime<Utc>> {
    wall - LOOK_BACK..wall + LOOK_AHEAD
}
