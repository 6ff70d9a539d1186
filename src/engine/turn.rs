//! One turn: what is due and what came back, stepped, committed, and only then told and called.

use super::clock_guard::Reading;
use super::perform::CallResult;
use super::quota::{Charge, Charged};
use super::report::{self, Report};
use super::{Engine, IDLE_PAUSE, INTAKE, LONGEST_NAP, TURN_SIZE, lane};
use crate::lifecycle::{self, Call, Event, Reason, State};
use crate::seeded_bug::{Bug, is_on};
use crate::store::{Batch, Due, DueKey, HistoryEntry, MeetingSpec, Record, StoreError, Update};
use chrono::{DateTime, Utc};
use foldhash::fast::RandomState as FastHash;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// The bits of a marker that tell its time, in milliseconds.
const MARKER_TIME_BITS: u32 = 48;

/// A call that leaves once its turn is committed.
pub(super) struct Outgoing {
    pub(super) record: Arc<Record>,
    pub(super) call: Call,
    /// What it draws of a daily quota.
    pub(super) charge: Option<Charge>,
}

/// What a turn gathers before it commits.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) batch: Batch,
    /// What to tell once it is committed.
    pub(super) reports: Vec<Report>,
    /// What to call once it is committed.
    pub(super) calls: Vec<Outgoing>,
    /// The occurrences in `batch.updates`.
    pub(super) written: HashSet<i64, FastHash>,
    /// The results that it deals with.
    pub(super) results: Vec<CallResult>,
}

impl Engine {
    pub(super) fn try_turn(&mut self, reading: Reading) -> Result<Duration, StoreError> {
        if !self.is_configured {
            return Ok(LONGEST_NAP);
        }
        if self.is_rearm_due {
            self.store.rearm(reading.now.wall)?;
            self.is_rearm_due = false;
            // The horizon has moved with the clock.
            self.housekeep();
        } else if self.housekeep_again_at.is_some_and(|at| at <= reading.boot) {
            self.housekeep();
        }
        self.quotas.load(&mut *self.store)?;
        if self.queued_until.wake_at > reading.now.wall {
            // The clock went back, by less than counts as a step: what was queued may not be due any more.
            self.requeue();
        }
        let mut turn = Turn::default();
        let outcome = if self.is_one_by_one {
            self.take_results(&mut turn, reading, 1);
            Ok(())
        } else {
            let ticks = self.take_in(reading)?;
            self.take_results(&mut turn, reading, usize::MAX);
            self.gather(&mut turn, &ticks, reading)
        };
        let outcome = outcome.and_then(|()| match turn.batch.is_empty() {
            true => Ok(()),
            false => self.store.commit(&turn.batch),
        });
        if let Err(error) = outcome {
            if is_on(Bug::ActsUncommitted) {
                self.committed(turn, reading);
                return Err(error);
            }
            let is_isolated = error.is_refusal() && self.isolate(&mut turn);
            self.undone(turn);
            if is_isolated {
                self.requeue();
                return Ok(Duration::ZERO);
            }
            return Err(error);
        }
        if self.is_one_by_one {
            self.is_one_by_one = !self.results.is_empty();
            self.committed(turn, reading);
            return Ok(Duration::ZERO);
        }
        if self.committed(turn, reading) {
            return Ok(Duration::ZERO);
        }
        let next = self.store.next_due(self.queued_until)?;
        let nap = self.nap(next, reading);
        if !nap.is_zero() {
            self.tell_status(next);
        }
        Ok(nap)
    }

    /// Steps what was noticed to be due, and what can be called.
    fn gather(&mut self, turn: &mut Turn, ticks: &[i64], reading: Reading) -> Result<(), StoreError> {
        for record in self.load(ticks)? {
            if !turn.written.contains(&record.seq) {
                self.step(turn, Arc::new(record), &Event::Tick, reading);
            }
        }
        self.claim(turn, reading)
    }

    /// The store refused this turn. One answer that makes no sense must not keep all others waiting: each is tried by
    /// itself, and the one that is refused even so counts as a failed call. Returns whether that changes anything.
    fn isolate(&mut self, turn: &mut Turn) -> bool {
        if turn.results.is_empty() {
            return false;
        }
        if !std::mem::replace(&mut self.is_one_by_one, true) {
            return true;
        }
        turn.results.iter_mut().all(CallResult::refuse)
    }

    /// A turn that did not become durable has not happened: its calls are not made, its results wait for the next one.
    pub(super) fn undone(&mut self, turn: Turn) {
        for outgoing in &turn.calls {
            lane(&mut self.lanes, &outgoing.record.provider).came_back();
        }
        self.quotas.forget();
        for result in &turn.results {
            if let Some(in_flight) = self.in_flight.get(&result.seq) {
                lane(&mut self.lanes, &in_flight.record.provider).is_out_again();
            }
        }
        self.results.extend(turn.results);
    }

    /// Brings what is due now from the store to the queues. Returns what a full queue would keep from noticing that its
    /// time has come.
    fn take_in(&mut self, reading: Reading) -> Result<Vec<i64>, StoreError> {
        let mut ticks = Vec::new();
        let due = self.store.due(self.queued_until, reading.now.wall, INTAKE)?;
        for entry in due {
            self.queued_until = entry.key;
            // Its result, which always comes, queues it again.
            if self.in_flight.contains_key(&entry.key.seq) && !is_on(Bug::HandedOutTwice) {
                continue;
            }
            let lane = lane(&mut self.lanes, &entry.provider);
            if entry.state != State::Planned && !lane.is_free(reading.boot) {
                ticks.push(entry.key.seq);
            }
            lane.push(&entry);
        }
        Ok(ticks)
    }

    /// Steps what came back, at most `limit` results.
    fn take_results(&mut self, turn: &mut Turn, reading: Reading, limit: usize) {
        let results: Vec<CallResult> = self.results.drain(..self.results.len().min(limit)).collect();
        for result in results {
            if !self.is_awaited(&result) {
                continue;
            }
            let Some(in_flight) = self.in_flight.get(&result.seq) else { continue };
            let before = in_flight.record.clone();
            if let Some(charge) = &in_flight.charge {
                let used = self.quotas.settle(charge, result.outcome(), reading.now.wall, &*self.host);
                turn.batch.quotas.extend(used);
            }
            let answer = self.understand(&result, &before, reading);
            // Its place is free for what this same turn claims.
            lane(&mut self.lanes, &before.provider).came_back();
            self.step(turn, before, &Event::Answered(answer), reading);
            turn.results.push(result);
        }
    }

    /// Takes from each queue as much as its provider has room for, the most urgent first.
    fn claim(&mut self, turn: &mut Turn, reading: Reading) -> Result<(), StoreError> {
        let names: Vec<String> = self.lanes.keys().cloned().collect();
        for name in names {
            let mut stepped = 0;
            while stepped < TURN_SIZE {
                let Some(lane) = self.lanes.get_mut(&name) else { break };
                let places = lane.places(reading.boot).min(TURN_SIZE - stepped);
                let seqs: Vec<i64> = std::iter::from_fn(|| lane.pop()).take(places).collect();
                if seqs.is_empty() {
                    break;
                }
                stepped += seqs.len();
                for record in self.load(&seqs)? {
                    self.claim_one(turn, record, reading);
                }
            }
        }
        Ok(())
    }

    fn claim_one(&mut self, turn: &mut Turn, record: Record, reading: Reading) {
        // In flight already, written in this turn (it comes again), or moved later since it was queued.
        let is_stale = (self.in_flight.contains_key(&record.seq) && !is_on(Bug::HandedOutTwice))
            || turn.written.contains(&record.seq)
            || record.wake_at.is_none_or(|at| at > reading.now.wall);
        if !is_stale {
            self.step(turn, Arc::new(record), &Event::Due, reading);
        }
    }

    /// Loads records, each by itself where one is damaged, so that it does not stop the others.
    pub(super) fn load(&mut self, seqs: &[i64]) -> Result<Vec<Record>, StoreError> {
        match self.store.load(seqs) {
            Err(StoreError::BadRow { .. }) if seqs.len() > 1 => {
                let mut records = Vec::with_capacity(seqs.len());
                for seq in seqs {
                    records.extend(self.load(&[*seq])?);
                }
                Ok(records)
            }
            Err(error @ StoreError::BadRow { .. }) => {
                self.host.log(&crate::log::LogEvent::StoreFailed { error: &error.to_string() });
                Ok(Vec::new())
            }
            outcome => outcome,
        }
    }

    /// Steps one record, which is as the store holds it, and notes in the turn what comes of it.
    pub(super) fn step(&mut self, turn: &mut Turn, before: Arc<Record>, event: &Event, reading: Reading) {
        // A meeting without rules cannot be: they are written with its occurrences.
        if let Some(spec) = self.specs.get(&before.meeting).cloned() {
            self.step_by(&spec, turn, before, None, event, reading);
        }
    }

    /// As [`Engine::step`], by the rules of `spec`; with `altered`, from what the schedule has made of the record.
    pub(super) fn step_by(
        &mut self,
        spec: &Arc<MeetingSpec>,
        turn: &mut Turn,
        before: Arc<Record>,
        altered: Option<&Record>,
        event: &Event,
        reading: Reading,
    ) {
        let wall = reading.now.wall;
        let from = altered.unwrap_or(&before);
        let (surroundings, yields_to) = self.surroundings(from, spec, event, reading);
        let transition =
            lifecycle::step_among(&from.occurrence, event.clone(), &spec.policy, reading.now, surroundings);
        let is_room_lost = transition.next.generation != from.occurrence.generation
            && transition.changes.iter().any(|change| change.reason == Reason::RoomGone);
        if is_room_lost {
            turn.batch.inserts.extend(from.stray(wall));
        }
        let Charged { transition, charge, refusal } = self.charged(turn, spec, from, transition, reading);
        let event = refusal.as_ref().unwrap_or(event);
        let mut record = from.with(transition.next, transition.wake_at);
        if matches!(event, Event::Answered(_) | Event::Restarted) {
            record.call = None;
        }
        let mut history = Vec::new();
        if let Some(last) = transition.changes.last() {
            if last.from != last.to || transition.changes.len() > 1 {
                record.changed_at = wall;
            }
            history.extend(transition.changes.iter().map(|change| HistoryEntry {
                at: wall,
                generation: record.occurrence.generation,
                change: *change,
                detail: report::detail(&record, *change),
            }));
        }
        if record.occurrence.generation != before.occurrence.generation {
            record.marker = None;
        }
        if let Some(call) = transition.call {
            if call == Call::Create && (record.marker.is_none() || is_on(Bug::MarkerAnew)) {
                record.marker = Some(self.marker(wall));
            }
            lane(&mut self.lanes, &record.provider).sent(reading.boot);
            record.call = Some(call);
        }
        if record.call.is_some() {
            // Nothing is due before the call comes back.
            record.wake_at = before.wake_at.or(Some(wall));
        } else if *event == Event::Due && record.wake_at.is_some_and(|at| at <= wall) {
            record.wake_at = Some(wall + IDLE_PAUSE);
        } else if record.wake_at.is_some_and(|at| at <= wall)
            && let Some(since) = before.wake_at.filter(|at| *at <= wall)
        {
            // Due as before: it keeps its place, else the store would bring it again and again as long as its
            // provider is busy.
            record.wake_at = Some(since);
        }
        if record == *before {
            return;
        }
        let after = Arc::new(record);
        let record = after.clone();
        turn.calls.extend(transition.call.map(|call| Outgoing { record, call, charge }));
        turn.reports.push(
            Report::new(before.clone(), after.clone(), transition.changes, event, spec.clone(), wall)
                .with_warning(transition.warning)
                .yielding_to(yields_to),
        );
        turn.written.insert(after.seq);
        if is_on(Bug::CreateWithoutIntent) && after.call == Some(Call::Create) {
            return;
        }
        turn.batch.updates.push(Update { before, after, history });
    }

    /// A new marker, in the order of time: rooms that are made together stand together in the indexes of those who keep
    /// them. The 80 random bits behind the milliseconds cannot be guessed (the layout is that of a ULID, in hexadecimal).
    fn marker(&self, wall: DateTime<Utc>) -> String {
        let random = self.entropy.bits() & (u128::MAX >> MARKER_TIME_BITS);
        let time = u128::try_from(wall.timestamp_millis()).unwrap_or_default() << (128 - MARKER_TIME_BITS);
        format!("{:032x}", time | random)
    }

    /// The turn is durable: brings memory in line, tells, and calls. Returns whether more is due at once.
    pub(super) fn committed(&mut self, mut turn: Turn, reading: Reading) -> bool {
        self.answers_last_turn = turn.results.len();
        for result in turn.results.drain(..) {
            self.in_flight.remove(&result.seq);
        }
        let mut has_more = false;
        for update in &turn.batch.updates {
            has_more |= self.written(&update.after, reading.now.wall);
        }
        let inserted = turn.batch.inserts.len();
        self.tally.pending += inserted;
        // What is inserted is planned, or a stray.
        self.tally.with_room += turn.batch.inserts.iter().filter(|record| record.is_stray()).count();
        for report in &turn.reports {
            report.count(&mut self.tally);
            report.tell(&*self.host);
        }
        self.perform(turn.calls);
        has_more
    }

    /// A record was written: queues it where the store's order would not bring it (any more). Returns whether it is due.
    fn written(&mut self, record: &Arc<Record>, wall: DateTime<Utc>) -> bool {
        if record.call.is_some() {
            if let Some(in_flight) = self.in_flight.get_mut(&record.seq) {
                in_flight.record.clone_from(record);
            }
            return false;
        }
        let Some(wake_at) = record.wake_at else { return false };
        let key = DueKey { wake_at, seq: record.seq };
        if key <= self.queued_until {
            let life = &record.occurrence;
            let (state, starts_at) = (life.state, life.times.starts_at);
            let due = Due { key, provider: record.provider.clone(), state, starts_at };
            lane(&mut self.lanes, &record.provider).push(&due);
        }
        wake_at <= wall
    }

    /// How long nothing will be due, with the store's `next`.
    fn nap(&self, next: Option<DateTime<Utc>>, reading: Reading) -> Duration {
        let mut nap = LONGEST_NAP;
        if let Some(next) = next {
            nap = nap.min((next - reading.now.wall).to_std().unwrap_or(Duration::ZERO));
        }
        for lane in self.lanes.values().filter(|lane| lane.has_queue()) {
            if let Some(free_at) = lane.free_at() {
                nap = nap.min(free_at.saturating_sub(reading.boot));
            }
        }
        nap
    }

    /// Commits what came back, without claiming anything.
    pub(super) fn record_results(&mut self) {
        let reading = self.read_clock();
        let mut turn = Turn::default();
        self.take_results(&mut turn, reading, usize::MAX);
        match self.store.commit(&turn.batch) {
            Ok(()) => {
                self.committed(turn, reading);
            }
            Err(error) => {
                self.undone(turn);
                self.store_failed(&error);
            }
        }
    }
}
