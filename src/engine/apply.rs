//! Applying a schedule: a diff against what the store holds, by identity.
//!
//! A meeting whose fingerprint is what was applied last is not looked at, unless the zone data are others than then: the
//! same rules may give other instants by them. In a changed one, occurrences are matched by
//! their identity; what the new rules do not give any more is matched with what they give newly on the same local day,
//! so that moving a series keeps its rooms; the rest is added or cancelled. The whole diff is worked out before any of it
//! is written, and held when it would cancel too much.

use super::horizon::{INSERTS_AT_ONCE, MATERIALISED_UNTIL};
use super::lanes::LaneLimits;
use super::turn::Turn;
use super::{Engine, Reading, lane};
use crate::config::{Meeting, ReloadGuard};
use crate::lifecycle::{Event, Occurrence, State, Times};
use crate::log::{LogEvent, counted, number};
use crate::providers::{Provider, RoomSpec};
use crate::schedule::{Instance, TooMany};
use crate::seeded_bug::{Bug, is_on};
use crate::store::{Batch, Cancellable, MeetingSpec, Record, StoreError, StoredMeeting};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most occurrences of one meeting that are worked out at once. `check` refuses a schedule with half as many from now to
/// the horizon; here those that have begun, and those since the last housekeeping, come in addition.
const MOST_OCCURRENCES: usize = 2 * crate::config::MAX_OCCURRENCES_PER_MEETING;
/// The key of the version of the zone data by which the occurrences in the store were reckoned.
pub(super) const ZONE_DATA: &str = "zone_data";
/// The version of the zone data in this program.
pub(super) const ZONE_DATA_HERE: &str = chrono_tz::IANA_TZDB_VERSION;
/// New zone data move nothing farther than this (a country that goes over the date line).
const FARTHEST_MOVE_OF_ZONE: TimeDelta = TimeDelta::days(2);

/// A schedule that can be put in force: valid, its providers made.
pub struct Schedule {
    /// The meetings by id.
    pub meetings: BTreeMap<String, Arc<Meeting>>,
    /// The providers.
    pub providers: Vec<ProviderSetup>,
    /// How far ahead occurrences are materialised.
    pub horizon: TimeDelta,
    /// How long occurrences that are over are kept.
    pub history: TimeDelta,
    /// What a schedule may cancel without an explicit word.
    pub guard: ReloadGuard,
}

impl std::fmt::Debug for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schedule").field("meetings", &self.meetings.len()).finish_non_exhaustive()
    }
}

/// A provider, ready to be called.
pub struct ProviderSetup {
    /// Its name in the schedule.
    pub name: String,
    /// The driver.
    pub provider: Arc<dyn Provider>,
    /// What it allows.
    pub limits: LaneLimits,
}

/// What applying a schedule did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Meetings in force.
    pub meetings: usize,
    /// Meetings that are new.
    pub added: usize,
    /// Meetings that differ from before.
    pub changed: usize,
    /// Meetings that are gone.
    pub removed: usize,
    /// Occurrences that are new.
    pub occurrences_added: usize,
    /// Occurrences that have other times.
    pub moved: usize,
    /// Occurrences that are cancelled, or that finish and are not in the schedule any more.
    pub cancelled: usize,
    /// Those of them that have a room.
    pub cancelled_with_room: usize,
    /// The first of what is removed or cancelled: meetings, then occurrences with a room.
    pub examples: Vec<String>,
}

impl Applied {
    /// How many examples are given.
    const MOST_EXAMPLES: usize = 5;

    /// Nothing differs from what was in force before.
    pub fn is_nothing(&self) -> bool {
        let Self {
            meetings: _,
            added,
            changed,
            removed,
            occurrences_added,
            moved,
            cancelled,
            cancelled_with_room,
            examples: _,
        } = self;
        [added, changed, removed, occurrences_added, moved, cancelled, cancelled_with_room]
            .iter()
            .all(|n| **n == 0)
    }

    fn add_example(&mut self, name: &str) {
        if self.examples.len() < Self::MOST_EXAMPLES {
            self.examples.push(name.to_owned());
        }
    }
}

impl std::fmt::Display for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {} added, {} changed, {} removed; occurrences: {} added, {} moved, {} cancelled",
            counted(self.meetings, "meeting"),
            self.added,
            self.changed,
            self.removed,
            self.occurrences_added,
            self.moved,
            self.cancelled
        )
    }
}

/// Why a schedule was not applied. Nothing has changed.
#[derive(Debug)]
pub enum ApplyError {
    /// It would cancel too much at once; says what.
    Held(Applied),
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for ApplyError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl std::fmt::Display for ApplyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Held(diff) => write!(
                f,
                "it would remove {} and cancel {}, {} of them with a room ({}{})",
                counted(diff.removed, "meeting"),
                counted(diff.cancelled, "occurrence"),
                diff.cancelled_with_room,
                diff.examples.join(", "),
                if diff.removed + diff.cancelled_with_room > diff.examples.len() { ", …" } else { "" }
            ),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ApplyError {}

/// Where an occurrence goes: the identity and the instance that the new schedule gives it.
pub(super) struct Moved<'a> {
    pub(super) id: String,
    pub(super) instance: &'a Instance,
}

/// A diff in the making.
pub(super) struct Diff {
    pub(super) turn: Turn,
    pub(super) applied: Applied,
    pub(super) specs: Vec<(String, Arc<MeetingSpec>)>,
    pub(super) materialised_until: DateTime<Utc>,
    /// While the wall clock is ahead of the settled one: up to where it wants occurrences.
    pub(super) ahead_until: Option<DateTime<Utc>>,
    /// The zone data by which the store was reckoned, where they are others than this program's.
    pub(super) zone_data_before: Option<String>,
}

impl Engine {
    /// Puts `schedule` in force, or says why not.
    ///
    /// # Errors
    /// [`ApplyError::Held`] unless `is_accepted`; the schedule before stays in force.
    pub fn apply(&mut self, schedule: Box<Schedule>, is_accepted: bool) -> Result<Applied, ApplyError> {
        let reading = self.read_clock();
        if self.in_force.is_none() {
            // What is in the store needs its providers, even if the schedule is held.
            self.configure(&schedule);
        }
        let stored = self.store.meetings()?;
        if !is_accepted && let Some(removals) = self.massacre(&schedule, &stored)? {
            return Err(ApplyError::Held(removals));
        }
        let diff = self.diff(&schedule, stored, reading)?;
        let applied = diff.applied.clone();
        let zone_data_before = diff.zone_data_before.clone();
        if !is_accepted && is_massacre(&applied, &schedule.guard) {
            return Err(ApplyError::Held(applied));
        }
        self.configure(&schedule);
        if let Err(error) = self.commit_diff(diff, reading) {
            if let Some(before) = self.in_force.take() {
                self.configure(&before);
                self.in_force = Some(before);
            }
            return Err(error.into());
        }
        if let Some(before) = zone_data_before {
            let moved = number(applied.moved);
            self.host.log(&LogEvent::ScheduleZoneData { before: &before, now: ZONE_DATA_HERE, moved });
        }
        let is_first = self.in_force.replace(schedule).is_none();
        if is_first || !applied.is_nothing() {
            self.tell_applied(&applied);
        }
        // A longer horizon reaches further for the meetings that did not change, too.
        self.housekeep();
        Ok(applied)
    }

    /// Replaces the drivers and limits; queues and calls in flight stay.
    fn configure(&mut self, schedule: &Schedule) {
        self.is_configured = true;
        for setup in &schedule.providers {
            let lane = lane(&mut self.lanes, &setup.name);
            lane.provider = Some(setup.provider.clone());
            lane.limits = setup.limits;
        }
    }

    /// What the schedule would remove, where the meetings alone are too many: counted, not loaded, as a file that lost its
    /// end may cancel more occurrences than there is memory for.
    fn massacre(
        &mut self,
        schedule: &Schedule,
        stored: &[StoredMeeting],
    ) -> Result<Option<Applied>, StoreError> {
        let (kept, removed): (Vec<_>, Vec<_>) = stored
            .iter()
            .filter(|known| !known.is_removed)
            .partition(|known| schedule.meetings.contains_key(&known.id));
        let mut removals = Applied {
            meetings: schedule.meetings.len(),
            added: schedule.meetings.len() - kept.len(),
            removed: removed.len(),
            ..Applied::default()
        };
        if !is_massacre(&removals, &schedule.guard) {
            return Ok(None);
        }
        removed.iter().for_each(|known| removals.add_example(&known.id));
        for known in removed {
            let left = Applied::MOST_EXAMPLES - removals.examples.len();
            let Cancellable { counts, examples } = self.store.cancellable(&known.id, left)?;
            removals.cancelled += counts.pending;
            removals.cancelled_with_room += counts.with_room;
            examples.iter().for_each(|id| removals.add_example(id));
        }
        Ok(Some(removals))
    }

    fn diff(
        &mut self,
        schedule: &Schedule,
        stored: Vec<StoredMeeting>,
        reading: Reading,
    ) -> Result<Diff, StoreError> {
        let now = reading.now;
        let stored: BTreeMap<String, StoredMeeting> =
            stored.into_iter().map(|meeting| (meeting.id.clone(), meeting)).collect();
        let materialised_until =
            self.materialised_until()?.unwrap_or(now.settled).max(now.settled + schedule.horizon);
        let mut diff = Diff {
            turn: Turn::default(),
            applied: Applied::default(),
            specs: Vec::new(),
            materialised_until,
            ahead_until: (now.wall > now.settled).then_some(now.wall + schedule.horizon),
            zone_data_before: None,
        };
        let zone_data = self.store.meta(ZONE_DATA)?;
        let is_zone_data_new = zone_data.as_deref() != Some(ZONE_DATA_HERE);
        if is_zone_data_new {
            diff.turn.batch.meta.push((ZONE_DATA, Some(ZONE_DATA_HERE.to_owned())));
            // A store without any meeting has nothing to be reckoned anew, and one from before this note says nothing.
            let unknown = || "unknown".to_owned();
            diff.zone_data_before = (!stored.is_empty()).then(|| zone_data.unwrap_or_else(unknown));
        }
        diff.applied.meetings = schedule.meetings.len();
        for (id, meeting) in &schedule.meetings {
            let fingerprint = meeting.fingerprint();
            let known = stored.get(id);
            let is_as_before =
                known.is_some_and(|known| known.fingerprint == fingerprint && !known.is_removed);
            if is_as_before && !is_zone_data_new {
                continue;
            }
            let spec = Arc::new(spec(meeting));
            diff.turn.batch.meetings.push(StoredMeeting {
                id: id.clone(),
                fingerprint,
                is_removed: false,
                spec: (*spec).clone(),
            });
            diff.specs.push((id.clone(), spec.clone()));
            match known {
                Some(_) if is_as_before => {}
                Some(known) if !known.is_removed => diff.applied.changed += 1,
                Some(_) | None => diff.applied.added += 1,
            }
            self.diff_meeting(&mut diff, meeting, &spec, known.map(|known| (known, is_as_before)), reading)?;
        }
        for (id, known) in stored {
            if !known.is_removed && !schedule.meetings.contains_key(&id) {
                diff.applied.removed += 1;
                diff.applied.add_example(&id);
                self.diff_removed(&mut diff, known, reading)?;
            }
        }
        // What was materialised for the meetings that did not change reaches as far as before: the rest is housekeeping.
        Ok(diff)
    }

    fn diff_meeting(
        &mut self,
        diff: &mut Diff,
        meeting: &Meeting,
        spec: &Arc<MeetingSpec>,
        known: Option<(&StoredMeeting, bool)>,
        reading: Reading,
    ) -> Result<(), StoreError> {
        let wall = reading.now.wall;
        // The rules are as before; only the zone data may give other instants.
        let is_as_before = known.is_some_and(|(_, is_as_before)| is_as_before);
        let known = known.map(|(known, _)| known);
        // What began earlier is over.
        let from = reading.now.settled - longest(meeting);
        let mut known_records: BTreeMap<String, Record> = BTreeMap::new();
        if known.is_some() {
            let records = self.store.of_meeting(&meeting.id, from)?;
            // Strays have an end of their own, whatever the schedule says.
            let records = records.into_iter().filter(|record| !record.is_stray());
            known_records.extend(records.map(|record| (record.id.clone(), record)));
        }
        let from = known_records
            .values()
            .map(|record| record.occurrence.times.starts_at)
            .min()
            .unwrap_or(from)
            .min(from);
        // What the zone data move over the horizon's edge is still given, and not cancelled.
        let beyond = if is_as_before { FARTHEST_MOVE_OF_ZONE } else { TimeDelta::zero() };
        let given = instances(meeting, from, diff.materialised_until + beyond).and_then(|mut given| {
            if let Some(until) = diff.ahead_until {
                given.extend(instances(meeting, wall - longest(meeting), until)?);
            }
            Ok(given)
        });
        let Ok(mut given) = given else {
            self.tell_too_many(meeting);
            if let Some(meeting) = diff.turn.batch.meetings.last_mut() {
                // Nothing was worked out: the next schedule finds it changed.
                meeting.fingerprint = [0; 32];
            }
            return Ok(());
        };
        if known.is_some() {
            // A single meeting that was over long ago and gets a new date is known by its identity alone.
            let unseen: Vec<String> =
                given.keys().filter(|id| !known_records.contains_key(*id)).cloned().collect();
            known_records
                .extend(self.store.by_id(&unseen)?.into_iter().map(|record| (record.id.clone(), record)));
        }
        let is_spec_changed = known.is_some_and(|known| known.spec != **spec);

        let mut dropped = Vec::new();
        for (id, record) in known_records {
            let same =
                if is_on(Bug::ReloadByIndex) { given.pop_first().map(|(_, i)| i) } else { given.remove(&id) };
            match same {
                // Who is in a room, or was, came by other clocks than ours: what has begun by the zone data of then is
                // not put off, cut short or held twice by those of now.
                _ if is_as_before && has_begun(record.occurrence.state) => {}
                Some(instance) if is_as_before && is_as_given(&record, &instance) => {}
                Some(instance) => {
                    let kept = Moved { id, instance: &instance };
                    self.diff_kept(diff, record, &kept, meeting, spec, is_spec_changed, reading);
                }
                None if record.occurrence.state.is_final() => {}
                None => dropped.push(record),
            }
        }
        // Instances that are over are no news, and none is missed that was never in the schedule.
        given.retain(|_, instance| instance.ends_at > reading.now.settled);
        if is_as_before {
            let until = diff.ahead_until.unwrap_or(diff.materialised_until).max(diff.materialised_until);
            given.retain(|_, instance| instance.starts_at < until);
        }
        for record in dropped {
            let day = local_day(&record, meeting);
            let same_day = given.iter().find(|(_, instance)| Some(instance.original.date()) == day);
            match same_day.map(|(id, _)| id.clone()) {
                Some(id) => {
                    if let Some(instance) = given.remove(&id) {
                        let moved = Moved { id, instance: &instance };
                        self.diff_kept(diff, record, &moved, meeting, spec, is_spec_changed, reading);
                    }
                }
                None => self.cancel(diff, record, spec, reading),
            }
        }
        diff.applied.occurrences_added += given.len();
        diff.turn
            .batch
            .inserts
            .extend(given.into_iter().map(|(id, instance)| new_record(id, instance, meeting, wall)));
        Ok(())
    }

    /// An occurrence that is in the schedule before and after.
    #[expect(clippy::too_many_arguments, reason = "the parts of one diff, passed through")]
    pub(super) fn diff_kept(
        &mut self,
        diff: &mut Diff,
        record: Record,
        moved: &Moved<'_>,
        meeting: &Meeting,
        spec: &Arc<MeetingSpec>,
        is_spec_changed: bool,
        reading: Reading,
    ) {
        let before = self.current(record);
        let times = Times { starts_at: moved.instance.starts_at, ends_at: moved.instance.ends_at };
        let mut record = Record::clone(&before);
        record.id.clone_from(&moved.id);
        record.title.clone_from(&moved.instance.title);
        // Rooms that exist, or may exist, stay where they are; what has none yet goes to the meeting's provider.
        let life = &record.occurrence;
        if life.state == State::Planned
            || (life.state == State::Creating && life.may_come_since(reading.now.wall).is_none())
        {
            record.provider.clone_from(&meeting.provider);
        }
        diff.applied.moved += usize::from(before.occurrence.times != times);
        let seq = record.seq;
        let is_changed = is_spec_changed || record.title != before.title;
        let event = Event::Rescheduled { times, is_changed };
        self.step_by(spec, &mut diff.turn, before, Some(&record), &event, reading);
        // What was over and takes place again begins anew, too, perhaps at once. It has no call under way yet.
        if let Some(last) = diff.turn.batch.updates.last_mut()
            && last.after.seq == seq
            && last.after.provider != meeting.provider
            && begins_anew(&last.before, &last.after)
        {
            Arc::make_mut(&mut last.after).provider.clone_from(&meeting.provider);
        }
    }

    fn diff_removed(
        &mut self,
        diff: &mut Diff,
        known: StoredMeeting,
        reading: Reading,
    ) -> Result<(), StoreError> {
        let spec = Arc::new(known.spec.clone());
        for record in self.store.of_meeting(&known.id, reading.now.wall)? {
            if !record.occurrence.state.is_final() && !record.is_stray() {
                self.cancel(diff, record, &spec, reading);
            }
        }
        diff.turn.batch.meetings.push(StoredMeeting { is_removed: true, ..known });
        Ok(())
    }

    /// An occurrence that the schedule does not give any more.
    fn cancel(&mut self, diff: &mut Diff, record: Record, spec: &Arc<MeetingSpec>, reading: Reading) {
        let record = self.current(record);
        if record.occurrence.is_removed {
            return;
        }
        diff.applied.cancelled += 1;
        let has_room = record.occurrence.state.has_open_room() || record.occurrence.state == State::Creating;
        if has_room {
            diff.applied.cancelled_with_room += 1;
            diff.applied.add_example(&record.id);
        }
        self.step_by(spec, &mut diff.turn, record, None, &Event::Removed, reading);
    }

    /// The record in flight, where one is: it is newer than the store's.
    fn current(&self, record: Record) -> Arc<Record> {
        match self.in_flight.get(&record.seq) {
            Some(in_flight) => in_flight.record.clone(),
            None => Arc::new(record),
        }
    }

    fn commit_diff(&mut self, mut diff: Diff, reading: Reading) -> Result<(), StoreError> {
        let inserts = std::mem::take(&mut diff.turn.batch.inserts);
        let until = diff.materialised_until.timestamp_millis().to_string();
        if self.materialised_until()?.is_none() {
            // The first schedule of this store: everything reaches as far.
            diff.turn.batch.meta.push((MATERIALISED_UNTIL, Some(until)));
        }
        // Cancelling and moving comes first, in one transaction, the fingerprints of a large schedule last.
        let meetings = std::mem::take(&mut diff.turn.batch.meetings);
        let mut first = Batch { meetings: meetings.clone(), ..std::mem::take(&mut diff.turn.batch) };
        let is_small = inserts.len() <= INSERTS_AT_ONCE;
        let late = if is_small {
            first.inserts = inserts;
            Vec::new()
        } else {
            // A crash from here on leaves meetings whose fingerprint matches nothing: the next start adds what is missing.
            for meeting in &mut first.meetings {
                meeting.fingerprint = [0; 32];
            }
            inserts
        };
        self.store.commit(&first)?;
        // What is durable is in memory before anything else can fail: rules, and what is new about calls in flight.
        diff.turn.batch = first;
        self.specs.extend(diff.specs);
        self.seats.forget();
        // New occurrences may stand before what was queued last.
        self.requeue();
        self.committed(diff.turn, reading);
        if !is_small {
            self.insert_in_pieces(late)?;
            self.store.commit(&Batch { meetings, ..Batch::default() })?;
        }
        Ok(())
    }

    /// `check` refuses this; a horizon that grew while the daemon was down can still bring it here.
    pub(super) fn tell_too_many(&self, meeting: &Meeting) {
        let problem = format!(
            "meeting {:?} has more than {MOST_OCCURRENCES} occurrences within the horizon: they stay as they are",
            meeting.id
        );
        let help = Some("give it a rule with fewer occurrences, or lower `horizon`");
        self.host.log(&LogEvent::ScheduleWarning { location: &meeting.location, problem: &problem, help });
    }

    fn tell_applied(&self, applied: &Applied) {
        self.host.log(&LogEvent::ScheduleApplied {
            meetings: number(applied.meetings),
            added: number(applied.added),
            changed: number(applied.changed),
            removed: number(applied.removed),
            occurrences_added: number(applied.occurrences_added),
            moved: number(applied.moved),
            cancelled: number(applied.cancelled),
        });
    }
}

/// There was nothing yet, or what there was is over: another provider can make its room.
fn begins_anew(before: &Record, after: &Record) -> bool {
    match after.occurrence.state {
        State::Planned => true,
        State::Creating => after.occurrence.generation != before.occurrence.generation,
        State::Ready
        | State::Live
        | State::Ended
        | State::Closing
        | State::Closed
        | State::Failed
        | State::Missed
        | State::Cancelled => false,
    }
}

/// More is cancelled than a slip of the editor should be able to.
fn is_massacre(diff: &Applied, guard: &ReloadGuard) -> bool {
    let before = diff.meetings - diff.added.min(diff.meetings) + diff.removed;
    if is_on(Bug::GuardOff) {
        return false;
    }
    diff.cancelled_with_room > guard.rooms
        || (diff.removed > 0 && diff.removed * 100 > usize::from(guard.percent) * before)
}

/// The store has it as the rules give it.
pub(super) fn is_as_given(record: &Record, instance: &Instance) -> bool {
    let Times { starts_at, ends_at } = record.occurrence.times;
    (starts_at, ends_at) == (instance.starts_at, instance.ends_at)
        && record.occurrence.state != State::Cancelled
}

/// The meeting is on, or was held.
fn has_begun(state: State) -> bool {
    match state {
        State::Live | State::Ended | State::Closing | State::Closed => true,
        State::Planned
        | State::Creating
        | State::Ready
        | State::Failed
        | State::Missed
        | State::Cancelled => false,
    }
}

fn spec(meeting: &Meeting) -> MeetingSpec {
    MeetingSpec {
        title: meeting.title.clone(),
        policy: meeting.policy.clone(),
        room: Arc::new(RoomSpec {
            timezone: Some(meeting.series.zone.name().to_owned()),
            hosts: meeting.hosts.clone(),
            participants: meeting.participants.clone(),
            settings: meeting.settings.clone(),
            passthrough: meeting.passthrough.clone(),
        }),
    }
}

/// What the rules give between `from` and `until`, by identity.
pub(super) fn instances(
    meeting: &Meeting,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<BTreeMap<String, Instance>, TooMany> {
    let id = |instance: &Instance| meeting.series.occurrence_id(&meeting.id, instance.original);
    let instances = meeting.series.expand(from..until, MOST_OCCURRENCES)?;
    Ok(instances.into_iter().map(|instance| (id(&instance), instance)).collect())
}

/// The longest that an occurrence of the meeting lasts.
fn longest(meeting: &Meeting) -> TimeDelta {
    let series = &meeting.series;
    let overrides = series.overrides.values().filter_map(|differs| differs.duration);
    overrides.fold(series.duration, TimeDelta::max)
}

pub(super) fn new_record(id: String, instance: Instance, meeting: &Meeting, wall: DateTime<Utc>) -> Record {
    let occurrence = Occurrence::planned(Times { starts_at: instance.starts_at, ends_at: instance.ends_at });
    Record {
        seq: 0,
        id,
        meeting: meeting.id.clone(),
        provider: meeting.provider.clone(),
        title: instance.title,
        marker: None,
        wake_at: Some(occurrence.create_at(&meeting.policy)),
        occurrence,
        call: None,
        changed_at: wall,
    }
}

/// The local day of the original start, as its identity tells; of a single meeting, that of its start.
fn local_day(record: &Record, meeting: &Meeting) -> Option<NaiveDate> {
    match record.id.split_once('@') {
        Some((_, original)) => original.get(..10)?.parse().ok(),
        None => Some(record.occurrence.times.starts_at.with_timezone(&meeting.series.zone).date_naive()),
    }
}
