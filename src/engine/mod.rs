//! The engine: claims what is due, steps it, commits, performs, and feeds the results back.
//!
//! One turn takes the answers that came back and the occurrences that are due, steps each through
//! [`lifecycle::step()`], commits all transitions in one transaction and only then makes the calls,
//! at most so many at once as a provider allows. A turn whose commit fails has not happened: nothing was called, and
//! answers wait for the next one.
//!
//! The engine sleeps to the earliest deadline, at most [`LONGEST_NAP`], so that a stepped clock or a suspend is
//! noticed. It never reads all rows: what is due comes through an index, in order, once.
//!
//! Absent on purpose: HTTP, SQL, signals, files. They are below the seams or in [`daemon`](crate::daemon).

mod apply;
mod clock_guard;
mod lanes;
mod perform;
mod report;
#[cfg(test)]
mod tests;

pub use apply::{Applied, ApplyError, ProviderSetup, Schedule};
pub use lanes::LaneLimits;

use crate::lifecycle::{self, Call, Event, State};
use crate::seams::{Clock, Entropy, Host, HostState};
use crate::store::{Batch, Counts, DueKey, HistoryEntry, MeetingSpec, Record, Store, StoreError};
use crate::transport::DateWitness;
use chrono::{DateTime, TimeDelta, Utc};
use clock_guard::{ClockChange, ClockGuard, Reading};
use lanes::Lane;
use perform::{CallResult, InFlight};
use report::Report;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// The engine wakes at least this often.
pub const LONGEST_NAP: Duration = Duration::from_secs(15);
/// How long calls in flight may take to come back when the daemon stops.
pub const STOP_GRACE: Duration = Duration::from_secs(10);
/// After a commit that failed, the engine tries again after this.
const STORE_PAUSE: Duration = Duration::from_secs(2);
/// A store that goes on failing is told of again after this.
const STORE_REMINDER: Duration = Duration::from_secs(300);
/// Occurrences stepped in one turn at most.
const TURN_SIZE: usize = 512;
/// Entries brought from the store to the queues in one turn at most.
const INTAKE: usize = 8192;
/// What is due and finds nothing to do (a rule with a flaw) is looked at again after this, instead of at once for ever.
const IDLE_PAUSE: TimeDelta = TimeDelta::seconds(1);
/// The limits of a provider that is not configured.
const NO_LIMITS: LaneLimits =
    LaneLimits { max_in_flight: 32, interval: Duration::ZERO, timeout: Duration::from_secs(30) };

/// What the engine is asked from outside.
#[derive(Debug)]
pub enum Command {
    /// Apply a schedule.
    Apply {
        /// The schedule.
        schedule: Box<Schedule>,
        /// Somebody said that it is meant, however much it cancels.
        is_accepted: bool,
        /// Takes the outcome.
        reply: oneshot::Sender<Result<Applied, ApplyError>>,
    },
    /// Everything else is up: tell the service manager and the log.
    Ready,
    /// Keep a note in the store, for `status`; `None` drops it.
    Remember {
        /// Under this key.
        key: &'static str,
        /// What to keep.
        value: Option<String>,
        /// Dropped once it is kept, or could not be.
        done: oneshot::Sender<()>,
    },
    /// Bring what the horizon reaches now into the store, and forget what is past its retention.
    Housekeep,
    /// Finish: see [`STOP_GRACE`].
    Stop {
        /// Why, for the log.
        signal: &'static str,
    },
}

/// What the engine needs from outside.
pub struct Outside {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Random markers.
    pub entropy: Arc<dyn Entropy>,
    /// Service manager and log.
    pub host: Arc<dyn Host>,
    /// What servers elsewhere say about the time.
    pub witness: Arc<DateWitness>,
    /// Where calls to providers run.
    pub calls: tokio::runtime::Handle,
}

/// The runner.
pub struct Engine {
    store: Box<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    host: Arc<dyn Host>,
    calls: tokio::runtime::Handle,
    guard: ClockGuard,
    lanes: BTreeMap<String, Lane>,
    specs: HashMap<String, Arc<MeetingSpec>>,
    /// The providers are known: a schedule was given, whether it was put in force or held. Before, nothing is called.
    is_configured: bool,
    /// The schedule in force; `None` until one was applied.
    in_force: Option<Box<Schedule>>,
    in_flight: HashMap<i64, InFlight>,
    last_ticket: u64,
    /// Everything in the store up to here is in a queue, in flight, or was seen.
    queued_until: DueKey,
    /// What came back and is not committed yet.
    results: Vec<CallResult>,
    results_in: mpsc::UnboundedReceiver<CallResult>,
    results_out: mpsc::UnboundedSender<CallResult>,
    /// While the store cannot be written: when that was last told, on the boot clock.
    store_failure_told: Option<Duration>,
    /// The store refused a turn: until all results are dealt with, each has a turn of its own.
    is_one_by_one: bool,
    /// The wall clock was set, and the store has not worked out the deadlines anew yet.
    is_rearm_due: bool,
    /// How much there is, kept up to date so that it need not be counted.
    tally: Counts,
    /// The last line told to the service manager.
    status_line: String,
}

/// What a turn gathers before it commits.
#[derive(Default)]
struct Turn {
    batch: Batch,
    /// What to tell once it is committed.
    reports: Vec<Report>,
    /// What to call once it is committed.
    calls: Vec<(Record, Call)>,
    /// The occurrences in `batch.updates`.
    written: HashSet<i64>,
    /// The results that it deals with.
    results: Vec<CallResult>,
}

impl Engine {
    /// An engine on `store`, with nothing in force yet.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(mut store: Box<dyn Store>, outside: Outside) -> Result<Self, StoreError> {
        let (results_out, results_in) = mpsc::unbounded_channel();
        let specs =
            store.meetings()?.into_iter().map(|meeting| (meeting.id, Arc::new(meeting.spec))).collect();
        Ok(Self {
            guard: ClockGuard::new(outside.clock.clone(), outside.witness),
            store,
            clock: outside.clock,
            entropy: outside.entropy,
            host: outside.host,
            calls: outside.calls,
            lanes: BTreeMap::new(),
            specs,
            is_configured: false,
            in_force: None,
            in_flight: HashMap::new(),
            queued_until: DueKey::START,
            last_ticket: 0,
            results: Vec::new(),
            results_in,
            results_out,
            store_failure_told: None,
            is_one_by_one: false,
            is_rearm_due: false,
            tally: Counts::default(),
            status_line: String::new(),
        })
    }

    /// Works until [`Command::Stop`] or until every sender of `commands` is gone.
    ///
    /// # Cancel safety
    /// Dropping the future is a crash: what was committed stands, calls in flight are looked up at the next start.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let nap = self.turn();
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Apply { schedule, is_accepted, reply }) => {
                        let outcome = self.apply(schedule, is_accepted);
                        // Whoever asked may be gone; what was applied stays applied.
                        let _ = reply.send(outcome);
                    }
                    Some(Command::Ready) => self.ready(),
                    Some(Command::Remember { key, value, done }) => {
                        self.remember(key, value);
                        drop(done);
                    }
                    Some(Command::Housekeep) => self.housekeep(),
                    Some(Command::Stop { signal }) => return self.stop(signal).await,
                    None => return self.stop("abandoned").await,
                },
                Some(result) = self.results_in.recv() => self.results.push(result),
                () = self.clock.sleep(nap) => {}
            }
        }
    }

    /// What was under way when the daemon last stopped is looked up.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn recover(&mut self) -> Result<(), StoreError> {
        let reading = self.guard.read();
        // The clock may have been wrong when the deadlines were written.
        self.store.rearm(reading.now.wall)?;
        let interrupted = self.store.interrupted()?;
        for seqs in interrupted.chunks(TURN_SIZE) {
            let mut turn = Turn::default();
            for mut record in self.store.load(seqs)? {
                let before = record.clone();
                record.call = None;
                self.step(&mut turn, before, record, &Event::Restarted, reading);
            }
            self.store.commit(&turn.batch)?;
            turn.reports.iter().for_each(|report| report.tell(&*self.host));
        }
        self.tally = self.store.counts()?;
        if !interrupted.is_empty() {
            let interrupted = u64::try_from(interrupted.len()).unwrap_or(u64::MAX);
            self.host.log(&crate::log::LogEvent::DaemonRecovered { interrupted });
        }
        Ok(())
    }

    /// One turn. Returns how long nothing will be due, if nothing comes from outside.
    fn turn(&mut self) -> Duration {
        let reading = self.read_clock();
        while self.results.len() < TURN_SIZE
            && let Ok(result) = self.results_in.try_recv()
        {
            self.results.push(result);
        }
        match self.try_turn(reading) {
            Ok(nap) => {
                if self.store_failure_told.take().is_some() {
                    self.host.log(&crate::log::LogEvent::StoreRecovered {});
                }
                self.host.notify(HostState::Alive);
                nap
            }
            Err(error) => {
                self.store_failed(&error);
                // The engine does its work and knows why it cannot: a restart by the watchdog would not help.
                self.host.notify(HostState::Alive);
                STORE_PAUSE
            }
        }
    }

    fn store_failed(&mut self, error: &StoreError) {
        let now = self.clock.boot();
        if self.store_failure_told.is_none_or(|told| now.saturating_sub(told) >= STORE_REMINDER) {
            self.host.log(&crate::log::LogEvent::StoreFailed { error: &error.to_string() });
            self.store_failure_told = Some(now);
        }
        // Entries were taken from the queues: fetch them again.
        self.requeue();
    }

    fn requeue(&mut self) {
        self.queued_until = DueKey::START;
        self.lanes.values_mut().for_each(Lane::clear);
    }

    /// Reads the clock, and sees to it when it was set. Every reading comes this way: each change is told once.
    fn read_clock(&mut self) -> Reading {
        let reading = self.guard.read();
        if let Some(change) = reading.change {
            self.clock_changed(change, reading);
        }
        reading
    }

    fn clock_changed(&mut self, change: ClockChange, reading: Reading) {
        match change {
            ClockChange::Stepped(by) => self.host.log(&crate::log::LogEvent::ClockStepped {
                by_s: by.num_seconds(),
                closing_waits_s: (reading.now.wall - reading.now.settled).num_seconds(),
            }),
            ClockChange::Settled => self.host.log(&crate::log::LogEvent::ClockSettled {}),
        }
        self.is_rearm_due = true;
        self.requeue();
    }

    fn try_turn(&mut self, reading: Reading) -> Result<Duration, StoreError> {
        if !self.is_configured {
            return Ok(LONGEST_NAP);
        }
        if self.is_rearm_due {
            self.store.rearm(reading.now.wall)?;
            self.is_rearm_due = false;
            // The horizon has moved with the clock.
            self.housekeep();
        }
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
        let nap = self.nap(reading)?;
        if !nap.is_zero() {
            self.tell_status()?;
        }
        Ok(nap)
    }

    fn ready(&mut self) {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let next_at = self.store.next_due(self.queued_until).ok().flatten().map(crate::log::Time);
        self.host.notify(HostState::Ready);
        self.host.log(&crate::log::LogEvent::DaemonReady {
            meetings: count(
                self.in_force.as_ref().map_or(self.specs.len(), |schedule| schedule.meetings.len()),
            ),
            occurrences: count(self.tally.pending),
            with_room: count(self.tally.with_room),
            next_at,
        });
    }

    fn remember(&mut self, key: &'static str, value: Option<String>) {
        let batch = Batch { meta: vec![(key, value)], ..Batch::default() };
        if let Err(error) = self.store.commit(&batch) {
            self.store_failed(&error);
        }
    }

    /// Keeps the line that `systemctl status` shows up to date.
    fn tell_status(&mut self) -> Result<(), StoreError> {
        let Counts { pending, with_room } = self.tally;
        let next = match self.store.next_due(self.queued_until)? {
            Some(next) => format!("; next action at {}", crate::log::Time(next)),
            None => String::new(),
        };
        let line = format!("rooms: {with_room}; planned: {}{next}", pending.saturating_sub(with_room));
        if line != self.status_line {
            self.host.notify(HostState::Status(line.clone()));
            self.status_line = line;
        }
        Ok(())
    }

    /// Steps what was noticed to be due, and what can be called.
    fn gather(&mut self, turn: &mut Turn, ticks: &[i64], reading: Reading) -> Result<(), StoreError> {
        for record in self.load(ticks)? {
            if !turn.written.contains(&record.seq) {
                self.step(turn, record.clone(), record, &Event::Tick, reading);
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
    fn undone(&mut self, turn: Turn) {
        for (record, _) in &turn.calls {
            lane(&mut self.lanes, &record.provider).came_back();
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
            if self.in_flight.contains_key(&entry.key.seq) {
                continue;
            }
            let lane = lane(&mut self.lanes, &entry.provider);
            if !entry.is_planned && !lane.is_free(reading.boot) {
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
            let record = Record { call: None, ..before.clone() };
            let answer = self.understand(&result, &record, reading);
            self.step(turn, before, record, &Event::Answered(answer), reading);
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
        let is_stale = self.in_flight.contains_key(&record.seq)
            || turn.written.contains(&record.seq)
            || record.wake_at.is_none_or(|at| at > reading.now.wall);
        if !is_stale {
            self.step(turn, record.clone(), record, &Event::Due, reading);
        }
    }

    /// Loads records, each by itself where one is damaged, so that it does not stop the others.
    fn load(&mut self, seqs: &[i64]) -> Result<Vec<Record>, StoreError> {
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

    /// Steps one record and notes in the turn what comes of it. `before` is what the store holds.
    fn step(&mut self, turn: &mut Turn, before: Record, record: Record, event: &Event, reading: Reading) {
        // A meeting without rules cannot be: they are written with its occurrences.
        if let Some(spec) = self.specs.get(&record.meeting).cloned() {
            self.step_by(&spec, turn, before, record, event, reading);
        }
    }

    fn step_by(
        &mut self,
        spec: &Arc<MeetingSpec>,
        turn: &mut Turn,
        before: Record,
        mut record: Record,
        event: &Event,
        reading: Reading,
    ) {
        let wall = reading.now.wall;
        let transition = lifecycle::step(&record.occurrence, event.clone(), &spec.policy, reading.now);
        record.occurrence = transition.next;
        record.wake_at = transition.wake_at;
        if let Some(last) = transition.changes.last() {
            if last.from != last.to || transition.changes.len() > 1 {
                record.changed_at = wall;
            }
            turn.batch.history.extend(transition.changes.iter().map(|change| HistoryEntry {
                seq: record.seq,
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
            if call == Call::Create && record.marker.is_none() {
                record.marker = Some(self.entropy.token());
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
        if record == before {
            return;
        }
        turn.calls.extend(transition.call.map(|call| (record.clone(), call)));
        turn.reports.push(Report::new(before, &record, transition.changes, event, spec.clone(), wall));
        turn.written.insert(record.seq);
        turn.batch.updates.push(record);
    }

    /// The turn is durable: brings memory in line, tells, and calls. Returns whether more is due at once.
    fn committed(&mut self, mut turn: Turn, reading: Reading) -> bool {
        for result in turn.results.drain(..) {
            if let Some(in_flight) = self.in_flight.remove(&result.seq) {
                lane(&mut self.lanes, &in_flight.record.provider).came_back();
            }
        }
        let mut has_more = false;
        for record in &turn.batch.updates {
            has_more |= self.written(record, reading.now.wall);
        }
        let inserted = turn.batch.inserts.len();
        self.tally.pending += inserted;
        for report in &turn.reports {
            report.count(&mut self.tally);
            report.tell(&*self.host);
        }
        for (record, call) in turn.calls.drain(..) {
            self.perform(record, call);
        }
        has_more
    }

    /// A record was written: queues it where the store's order would not bring it (any more). Returns whether it is due.
    fn written(&mut self, record: &Record, wall: DateTime<Utc>) -> bool {
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
            let is_to_make = matches!(life.state, State::Planned | State::Creating);
            let due = crate::store::Due {
                key,
                provider: record.provider.clone(),
                is_planned: life.state == State::Planned,
                deadline: if is_to_make { life.times.starts_at } else { wake_at },
            };
            lane(&mut self.lanes, &record.provider).push(&due);
        }
        wake_at <= wall
    }

    /// How long nothing will be due.
    fn nap(&mut self, reading: Reading) -> Result<Duration, StoreError> {
        let mut nap = LONGEST_NAP;
        if let Some(next) = self.store.next_due(self.queued_until)? {
            nap = nap.min((next - reading.now.wall).to_std().unwrap_or(Duration::ZERO));
        }
        for lane in self.lanes.values().filter(|lane| lane.has_queue()) {
            if let Some(free_at) = lane.free_at() {
                nap = nap.min(free_at.saturating_sub(reading.boot));
            }
        }
        Ok(nap)
    }

    /// Takes no more work, waits for the calls in flight, and records what came back. What did not is found at the next
    /// start.
    async fn stop(mut self, signal: &'static str) {
        use crate::log::LogEvent;
        let count = |calls: usize| u64::try_from(calls).unwrap_or(u64::MAX);
        self.host.notify(HostState::Stopping);
        self.host.log(&LogEvent::DaemonStopping { signal, calls_in_flight: count(self.in_flight.len()) });
        let mut grace = self.clock.sleep(STOP_GRACE);
        loop {
            self.record_results();
            if self.in_flight.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                Some(result) = self.results_in.recv() => self.results.push(result),
                () = &mut grace => break,
            }
        }
        self.host.log(&LogEvent::DaemonStopped { calls_given_up: count(self.in_flight.len()) });
    }

    /// Commits what came back, without claiming anything.
    fn record_results(&mut self) {
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

/// The queue of a provider; one that is not configured has one too, in which its occurrences wait.
fn lane<'a>(lanes: &'a mut BTreeMap<String, Lane>, provider: &str) -> &'a mut Lane {
    lanes.entry(provider.to_owned()).or_insert_with(|| Lane::new(None, NO_LIMITS))
}
