//! The engine: claims what is due, steps it, commits, performs, and feeds the results back.
//!
//! One turn takes the answers that came back and the occurrences that are due, steps each through
//! [`lifecycle::step()`](crate::lifecycle::step()), commits all transitions in one transaction and only then makes the calls,
//! at most so many at once as a provider allows. A turn whose commit fails has not happened: nothing was called, and
//! answers wait for the next one.
//!
//! The engine sleeps to the earliest deadline, at most [`LONGEST_NAP`], so that a stepped clock or a suspend is
//! noticed. It never reads all rows: what is due comes through an index, in order, once.
//!
//! Absent on purpose: HTTP, SQL, signals, files. They are below the seams or in [`daemon`](crate::daemon).

mod apply;
mod clock_guard;
mod horizon;
mod inbox;
mod lanes;
mod perform;
mod quota;
mod report;
mod seats;
#[cfg(test)]
mod tests;
mod turn;

pub use apply::{Applied, ApplyError, ProviderSetup, Schedule};
pub use lanes::LaneLimits;

use crate::lifecycle::Event;
use crate::log::number;
use crate::seams::{Clock, Entropy, Host, HostState};
use crate::seeded_bug::{Bug, is_on};
use crate::store::{Batch, Counts, DueKey, MeetingSpec, Store, StoreError};
use crate::transport::DateWitness;
use chrono::{DateTime, TimeDelta, Utc};
use clock_guard::{ClockChange, ClockGuard, Reading};
use inbox::Inbox;
use lanes::Lane;
use perform::{CallResult, InFlight};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use turn::Turn;

/// The engine wakes at least this often.
pub const LONGEST_NAP: Duration = Duration::from_secs(15);
/// How long calls in flight may take to come back when the daemon stops.
pub const STOP_GRACE: Duration = Duration::from_secs(10);
/// After a commit that failed, the engine tries again after this.
const STORE_PAUSE: Duration = Duration::from_secs(2);
/// Housekeeping that failed is tried again after this, and not only when it is due.
const HOUSEKEEPING_PAUSE: Duration = Duration::from_secs(60);
/// A store that goes on failing is told of again after this.
const STORE_REMINDER: Duration = Duration::from_secs(300);
/// In a rush, a turn waits until one in so many of the calls under way has been answered,
const RUSH_SHARE: usize = 4;
/// but no longer than this.
const RUSH_PATIENCE: Duration = Duration::from_millis(1);
/// Occurrences stepped in one turn at most.
const TURN_SIZE: usize = 512;
/// Entries brought from the store to the queues in one turn at most.
const INTAKE: usize = 8192;
/// What is due and finds nothing to do (a rule with a flaw) is looked at again after this, instead of at once for ever.
const IDLE_PAUSE: TimeDelta = TimeDelta::seconds(1);
/// The key of what the clocks showed when they last agreed.
const CLOCK: &str = "clock";
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
    /// Something was heard of a room: look at it soon.
    Hint {
        /// The provider's name.
        provider: String,
        /// The room's id there.
        room_id: String,
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
    /// Who has which seat, as far as it was asked.
    seats: seats::Seats,
    /// The providers are known: a schedule was given, whether it was put in force or held. Before, nothing is called.
    is_configured: bool,
    /// The schedule in force; `None` until one was applied.
    in_force: Option<Box<Schedule>>,
    in_flight: HashMap<i64, InFlight, foldhash::fast::RandomState>,
    quotas: quota::Quotas,
    last_ticket: u64,
    /// Everything in the store up to here is in a queue, in flight, or was seen.
    queued_until: DueKey,
    /// What came back and is not committed yet.
    results: Vec<CallResult>,
    /// Where what comes back arrives.
    inbox: Arc<Inbox>,
    /// While the store cannot be written: when that was last told, on the boot clock.
    store_failure_told: Option<Duration>,
    /// Everything else is up, and the store is waited for.
    is_ready_due: bool,
    /// The store refused a turn: until all results are dealt with, each has a turn of its own.
    is_one_by_one: bool,
    /// The wall clock was set, and the store has not worked out the deadlines anew yet.
    is_rearm_due: bool,
    /// Housekeeping failed, and is to be tried again at this time of the boot clock.
    housekeep_again_at: Option<Duration>,
    /// How much there is, kept up to date so that it need not be counted.
    tally: Counts,
    /// The last line told to the service manager.
    status_line: String,
    /// The wall clock by which the last turn reckoned.
    turned_at: DateTime<Utc>,
    /// So many answers were committed in it.
    answers_last_turn: usize,
}

impl Engine {
    /// An engine on `store`, with nothing in force yet.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(mut store: Box<dyn Store>, outside: Outside) -> Result<Self, StoreError> {
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
            seats: seats::Seats::default(),
            is_configured: false,
            in_force: None,
            in_flight: HashMap::default(),
            quotas: quota::Quotas::default(),
            queued_until: DueKey::START,
            last_ticket: 0,
            results: Vec::new(),
            inbox: Arc::default(),
            store_failure_told: None,
            is_ready_due: false,
            is_one_by_one: false,
            is_rearm_due: false,
            housekeep_again_at: None,
            tally: Counts::default(),
            status_line: String::new(),
            turned_at: DateTime::UNIX_EPOCH,
            answers_last_turn: 0,
        })
    }

    /// Works until [`Command::Stop`] or until every sender of `commands` is gone.
    ///
    /// # Cancel safety
    /// Dropping the future is a crash: what was committed stands, calls in flight are looked up at the next start.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let nap = self.turn();
            // What came back waits for nothing; what waits for the store waits with it.
            let nap = if self.gather_answers().await { Duration::ZERO } else { nap };
            let until = self.turned_at + nap;
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Apply { schedule, is_accepted, reply }) => {
                        let outcome = self.apply(schedule, is_accepted);
                        if let Err(ApplyError::Store(error)) = &outcome {
                            self.store_failed(error);
                        }
                        // Whoever asked may be gone; what was applied stays applied.
                        let _ = reply.send(outcome);
                    }
                    Some(Command::Ready) => self.ready(),
                    Some(Command::Remember { key, value, done }) => {
                        self.remember(key, value);
                        drop(done);
                    }
                    Some(Command::Hint { provider, room_id }) => self.hint(&provider, &room_id),
                    Some(Command::Housekeep) => self.housekeep(),
                    Some(Command::Stop { signal }) => return self.stop(signal).await,
                    None => return self.stop("abandoned").await,
                },
                () = self.inbox.wait(1) => drop(self.inbox.take(&mut self.results, usize::MAX)),
                () = self.clock.wait_until(until, nap) => {}
            }
        }
    }

    /// While many calls are under way, waits a moment for some of their answers, so that they share a commit: most of what a
    /// commit costs does not depend on how much is in it. Only when answers do come in a rush: a provider that hangs keeps
    /// nobody waiting. Returns whether any came.
    async fn gather_answers(&mut self) -> bool {
        let wanted = self.in_flight.len() / RUSH_SHARE;
        if wanted < 2 || self.answers_last_turn < 2 {
            return false;
        }
        let missing = wanted.saturating_sub(self.results.len());
        if missing > 0 {
            tokio::select! {
                biased;
                () = self.inbox.wait(missing) => {}
                () = self.clock.sleep(RUSH_PATIENCE) => {}
            }
        }
        self.inbox.take(&mut self.results, usize::MAX)
    }

    /// What was under way when the daemon last stopped is looked up.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn recover(&mut self) -> Result<(), StoreError> {
        // Set ahead by mistake and seen by the daemon before only: what follows must not take it for the time.
        if let Some(remembered) = self.store.meta(CLOCK)? {
            self.guard.remember(&remembered);
        }
        let reading = self.read_clock();
        // The clock may have been wrong when the deadlines were written.
        self.store.rearm(reading.now.wall)?;
        let mut interrupted = self.store.interrupted()?;
        if is_on(Bug::NotRecovered) {
            interrupted.clear();
        }
        for seqs in interrupted.chunks(TURN_SIZE) {
            let mut turn = Turn::default();
            for record in self.store.load(seqs)? {
                self.step(&mut turn, Arc::new(record), &Event::Restarted, reading);
            }
            self.store.commit(&turn.batch)?;
            turn.reports.iter().for_each(|report| report.tell(&*self.host));
        }
        self.tally = self.store.counts()?;
        if !interrupted.is_empty() {
            let interrupted = number(interrupted.len());
            self.host.log(&crate::log::LogEvent::DaemonRecovered { interrupted });
        }
        Ok(())
    }

    /// One turn. Returns how long nothing will be due, if nothing comes from outside.
    fn turn(&mut self) -> Duration {
        let reading = self.read_clock();
        let room = TURN_SIZE.saturating_sub(self.results.len());
        self.inbox.take(&mut self.results, room);
        self.answers_last_turn = 0;
        let outcome = self.try_turn(reading).and_then(|nap| self.prove_store().map(|()| nap));
        // Turns between the pieces of a large insert have noted their own.
        self.turned_at = reading.now.wall;
        match outcome {
            Ok(nap) => {
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

    /// A store that failed works again when something was written to it: a turn that had nothing to write shows nothing.
    fn prove_store(&mut self) -> Result<(), StoreError> {
        if self.store_failure_told.is_none() {
            return Ok(());
        }
        let now = self.clock.wall().timestamp().to_string();
        self.store.commit(&Batch { meta: vec![("proved_at", Some(now))], ..Batch::default() })?;
        self.store_failure_told = None;
        self.host.log(&crate::log::LogEvent::StoreRecovered {});
        if std::mem::take(&mut self.is_ready_due) {
            self.ready();
        }
        Ok(())
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

    /// Tells that everything is up, once the store can be written.
    fn ready(&mut self) {
        if self.store_failure_told.is_some() {
            self.is_ready_due = true;
            return;
        }
        let next_at = self.store.next_due(self.queued_until).ok().flatten().map(crate::log::Time);
        self.host.notify(HostState::Ready);
        self.host.log(&crate::log::LogEvent::DaemonReady {
            meetings: number(
                self.in_force.as_ref().map_or(self.specs.len(), |schedule| schedule.meetings.len()),
            ),
            occurrences: number(self.tally.pending),
            with_room: number(self.tally.with_room),
            next_at,
        });
    }

    /// Has a room looked at that something was heard of. One that has a call under way is left alone: should that have
    /// missed it, the next regular look will not.
    fn hint(&mut self, provider: &str, room_id: &str) {
        let reading = self.read_clock();
        let outcome = self.store.by_room(provider, room_id).and_then(|found| {
            let Some(record) = found.filter(|record| !self.in_flight.contains_key(&record.seq)) else {
                return Ok(());
            };
            let mut turn = Turn::default();
            self.step(&mut turn, Arc::new(record), &Event::Hinted, reading);
            self.store.commit(&turn.batch)?;
            self.committed(turn, reading);
            Ok(())
        });
        if let Err(error) = outcome {
            self.store_failed(&error);
        }
    }

    fn remember(&mut self, key: &'static str, value: Option<String>) {
        let batch = Batch { meta: vec![(key, value)], ..Batch::default() };
        if let Err(error) = self.store.commit(&batch) {
            self.store_failed(&error);
        }
    }

    /// Keeps the line that `systemctl status` shows up to date.
    fn tell_status(&mut self, next: Option<DateTime<Utc>>) {
        let Counts { pending, with_room } = self.tally;
        let next = match next {
            Some(next) => format!("; next action at {}", crate::log::Time(next)),
            None => String::new(),
        };
        let line = format!("rooms: {with_room}; planned: {}{next}", pending.saturating_sub(with_room));
        if line != self.status_line {
            self.host.notify(HostState::Status(line.clone()));
            self.status_line = line;
        }
    }

    /// Takes no more work, waits for the calls in flight, and records what came back. What did not is found at the next
    /// start.
    async fn stop(mut self, signal: &'static str) {
        use crate::log::LogEvent;
        self.host.notify(HostState::Stopping);
        self.host.log(&LogEvent::DaemonStopping { signal, calls_in_flight: number(self.in_flight.len()) });
        let mut grace = self.clock.sleep(STOP_GRACE);
        loop {
            self.record_results();
            if self.in_flight.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = self.inbox.wait(1) => drop(self.inbox.take(&mut self.results, usize::MAX)),
                () = &mut grace => break,
            }
        }
        self.host.log(&LogEvent::DaemonStopped { calls_given_up: number(self.in_flight.len()) });
    }
}

/// The queue of a provider; one that is not configured has one too, in which its occurrences wait.
#[expect(clippy::expect_used, reason = "an entry would cost a copy of the name each time")]
fn lane<'a>(lanes: &'a mut BTreeMap<String, Lane>, provider: &str) -> &'a mut Lane {
    if !lanes.contains_key(provider) {
        lanes.insert(provider.to_owned(), Lane::new(None, NO_LIMITS));
    }
    lanes.get_mut(provider).expect("it is there, or was just put there")
}
