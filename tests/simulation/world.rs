//! The world: true time, an agenda of what happens when, the providers' truth, and the machine on which the daemon runs.
//!
//! Everything that the world does is an entry of one agenda, worked through by one task in the order of true time. A call
//! that reached a provider is such an entry, so that it is acted upon whether or not anybody still waits for its answer.

use crate::Ms;
use crate::check::Seen;
use crate::figures::Figures;
use crate::node::Node;
use crate::plan::{Fault, Point};
use crate::rng::Rng;
use crate::service::{Ask, Rooms};
use crate::setup::Setup;
use crate::timetable::{Key, Timetable};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use convened::engine::Command;
use convened::store::SqliteStore;
use convened::transport::TransportError;
use http::Response;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

/// Something on the agenda.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Happening {
    /// A request reaches its provider.
    Arrives(u64),
    /// The caller learns what came of it.
    Answer(u64),
    Start,
    Reload,
    Housekeep,
    Script(u32),
    /// The wall clock is set right.
    ClockSet,
    /// The operator saves the last good file.
    Mend,
    /// The room of an occurrence should be made about now; the version of the expectations it belongs to.
    Due(Key, u32),
    CheckKey(Key),
    CheckRoom(usize),
    Arrive(Key),
    Leave(Key),
    EndByHand(usize),
    DeleteRoom(usize),
    Heal,
    /// Is everything as it should be, and would anything be changed?
    Inspect,
    End,
}

struct Appointment {
    at: Ms,
    number: u64,
    what: Happening,
}

impl PartialEq for Appointment {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Appointment {}

impl PartialOrd for Appointment {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Appointment {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

pub(crate) type Reply = Result<Response<Bytes>, TransportError>;

/// A call that left the daemon.
pub(crate) struct Pending {
    pub(crate) ask: Ask,
    pub(crate) node: u32,
    pub(crate) seq: Option<i64>,
    pub(crate) key: Option<Key>,
    pub(crate) fault: Option<Fault>,
    pub(crate) reply: Option<oneshot::Sender<Reply>>,
    pub(crate) outcome: Option<Reply>,
    /// When it reached its provider, and how many people were in the room then.
    pub(crate) arrived: Option<(Ms, u32)>,
    /// The provider wants no call for so long.
    pub(crate) pause: Ms,
}

/// A world with everything in it.
pub(crate) struct World {
    state: Mutex<State>,
    wake: Notify,
    /// The clocks were touched.
    pub(crate) sky: Notify,
}

pub(crate) struct State {
    pub(crate) setup: Arc<Setup>,
    pub(crate) rng: Rng,
    epoch: Instant,
    suspended: Ms,
    /// The machine sleeps, and this is the time outside.
    pub(crate) asleep_at: Option<Ms>,
    pub(crate) wall_offset: Ms,
    /// When the clock that is wrong now is set right.
    pub(crate) clock_set_at: Ms,
    agenda: BinaryHeap<Reverse<Appointment>>,
    numbers: u64,
    next_wake: Ms,
    pub(crate) is_over: bool,

    pub(crate) node: Option<Arc<Node>>,
    pub(crate) nodes: u32,
    pub(crate) abort: Option<tokio::task::AbortHandle>,
    pub(crate) commands: Option<mpsc::Sender<Command>>,
    /// The store, where it stays open from one life of the daemon to the next.
    pub(crate) store: Option<Arc<Mutex<SqliteStore>>>,
    pub(crate) folder: PathBuf,
    pub(crate) folders: u32,

    pub(crate) file: Vec<u8>,
    /// What the file on disk says; `None` where it says nothing that could be understood.
    pub(crate) file_means: Option<Timetable>,
    /// What the operator last saved that is meant.
    pub(crate) draft: Timetable,
    /// Meetings that were taken out and may come back.
    pub(crate) shelf: BTreeMap<u32, crate::timetable::Entry>,
    pub(crate) expected: Timetable,
    pub(crate) pending: Option<Timetable>,
    pub(crate) version: u32,
    /// An instruction to the engine to apply a schedule is under way.
    pub(crate) is_applying: bool,
    /// This life of the daemon has a schedule in force, and not only what the store knows.
    pub(crate) has_schedule: bool,
    pub(crate) has_rescheduled: bool,

    pub(crate) rooms: Rooms,
    pub(crate) out_until: [Ms; 2],
    pub(crate) uncounted_until: [Ms; 2],
    pub(crate) disk_full_until: Ms,
    pub(crate) calls: HashMap<u64, Pending>,
    pub(crate) last_call: u64,
    /// Until when, and for which daemon, a provider wants no calls; and since when.
    pub(crate) blocked: [(Ms, u32, Ms); 2],
    pub(crate) sent: [VecDeque<Ms>; 2],
    /// The engine's naps are not skipped before.
    pub(crate) naps_until: Ms,

    pub(crate) points: u32,
    pub(crate) recorded: Vec<Point>,
    pub(crate) struck: Vec<(u32, Fault)>,

    pub(crate) seen: HashMap<i64, Seen>,
    pub(crate) seq_of_marker: HashMap<String, i64>,
    pub(crate) seq_of_key: HashMap<Key, i64>,
    pub(crate) seq_of_room: HashMap<(usize, String), i64>,
    /// The marks of rooms that were gone, and are looked for.
    pub(crate) strays: HashSet<String>,
    pub(crate) open_of_key: HashMap<Key, Vec<usize>>,
    pub(crate) ended_early: HashMap<Key, ()>,
    pub(crate) trouble_of: HashMap<Key, Ms>,
    /// The last thing that went wrong for all; may be in the future.
    pub(crate) trouble: Ms,
    pub(crate) told: BTreeMap<&'static str, u64>,
    /// The schedule is applied once more, to see that it changes nothing.
    pub(crate) is_inspecting: bool,
    /// When people are in: from, until, how many.
    pub(crate) presence: HashMap<Key, (Ms, Ms, u32)>,

    pub(crate) figures: Figures,
    pub(crate) trace: u64,
    pub(crate) violation: Option<String>,
}

impl World {
    pub(crate) fn new(
        setup: Arc<Setup>,
        folder: PathBuf,
        store: Option<Arc<Mutex<SqliteStore>>>,
    ) -> Arc<Self> {
        let timetable = setup.timetable.clone();
        let mut state = State {
            rng: Rng::new(setup.seed, 2),
            epoch: Instant::now(),
            suspended: 0,
            asleep_at: None,
            wall_offset: 0,
            clock_set_at: 0,
            agenda: BinaryHeap::new(),
            numbers: 0,
            next_wake: Ms::MAX,
            is_over: false,
            node: None,
            nodes: 0,
            abort: None,
            commands: None,
            store,
            folder,
            folders: 0,
            file: timetable.to_toml().into_bytes(),
            file_means: Some(timetable.clone()),
            draft: timetable.clone(),
            shelf: BTreeMap::new(),
            expected: Timetable { entries: BTreeMap::new(), ..timetable },
            pending: None,
            version: 0,
            is_applying: false,
            has_schedule: false,
            has_rescheduled: false,
            rooms: Rooms::default(),
            out_until: [0; 2],
            uncounted_until: [0; 2],
            disk_full_until: 0,
            calls: HashMap::new(),
            last_call: 0,
            blocked: [(0, 0, 0); 2],
            sent: Default::default(),
            naps_until: 0,
            points: 0,
            recorded: Vec::new(),
            struck: Vec::new(),
            seen: HashMap::new(),
            seq_of_marker: HashMap::new(),
            seq_of_key: HashMap::new(),
            seq_of_room: HashMap::new(),
            strays: HashSet::new(),
            open_of_key: HashMap::new(),
            ended_early: HashMap::new(),
            trouble_of: HashMap::new(),
            trouble: setup.from,
            told: BTreeMap::new(),
            is_inspecting: false,
            presence: HashMap::new(),
            figures: Figures::default(),
            trace: 0xcbf2_9ce4_8422_2325,
            violation: None,
            setup,
        };
        state.plan_run();
        Arc::new(Self { state: Mutex::new(state), wake: Notify::new(), sky: Notify::new() })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A crash in the middle of a commit is one of the faults.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was put on the agenda from outside of the world's own task.
    pub(crate) fn nudge(&self, state: MutexGuard<'_, State>) {
        let is_earlier = state.agenda.peek().is_some_and(|Reverse(next)| next.at < state.next_wake);
        let is_over = state.is_over;
        drop(state);
        if is_earlier || is_over {
            self.wake.notify_one();
        }
    }

    /// Works through the agenda until it is over.
    pub(crate) async fn run(self: &Arc<Self>) {
        loop {
            let until = {
                let mut state = self.lock();
                while let Some(what) = state.take_due() {
                    state.happen(self, what);
                    if state.is_over {
                        return;
                    }
                }
                state.next_wake = state.agenda.peek().map_or(Ms::MAX, |Reverse(next)| next.at);
                state.mono(state.next_wake)
            };
            tokio::select! {
                biased;
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(until) => {}
            }
            if self.lock().is_over {
                return;
            }
        }
    }
}

impl State {
    fn plan_run(&mut self) {
        let setup = self.setup.clone();
        self.put(setup.from, Happening::Start);
        self.put(setup.from + setup.housekeep_every, Happening::Housekeep);
        for (number, (at, _)) in setup.script.iter().enumerate() {
            self.put(*at, Happening::Script(u32::try_from(number).unwrap()));
        }
        self.put(setup.heal_at, Happening::Heal);
        self.put(setup.until - crate::setup::MINUTE, Happening::Inspect);
        self.put(setup.until, Happening::End);
    }

    /// True time.
    pub(crate) fn now(&self) -> Ms {
        self.asleep_at.unwrap_or_else(|| self.setup.from + self.elapsed() + self.suspended)
    }

    fn elapsed(&self) -> Ms {
        Ms::try_from(self.epoch.elapsed().as_millis()).unwrap()
    }

    pub(crate) fn wall(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.now() + self.wall_offset).unwrap()
    }

    /// Time since boot, suspend included; the machine was booted some time before the run.
    pub(crate) fn boot(&self) -> Duration {
        Duration::from_millis((self.now() - self.setup.from + crate::setup::HOUR).unsigned_abs())
    }

    /// When the timers, which stand still while the machine sleeps, will show true time `at`.
    pub(crate) fn mono(&self, at: Ms) -> Instant {
        let after = (at - self.setup.from - self.suspended).clamp(0, 400 * crate::setup::DAY);
        self.epoch + Duration::from_millis(after.unsigned_abs())
    }

    pub(crate) fn put(&mut self, at: Ms, what: Happening) {
        self.numbers += 1;
        self.agenda.push(Reverse(Appointment { at, number: self.numbers, what }));
    }

    fn take_due(&mut self) -> Option<Happening> {
        let now = self.now();
        let Reverse(next) = self.agenda.peek()?;
        if next.at > now {
            return None;
        }
        self.agenda.pop().map(|Reverse(next)| next.what)
    }

    /// The machine sleeps for `length`; the world outside goes on.
    pub(crate) fn suspend(&mut self, world: &Arc<World>, length: Ms) {
        let mut wakes_at = (self.now() + length).min(self.setup.heal_at);
        if self.wall_offset != 0 {
            // A wrong clock that has stood for as long as it is wrong is believed, and right so.
            wakes_at = wakes_at.min(self.clock_set_at);
        }
        if wakes_at <= self.now() {
            return;
        }
        self.trouble = self.trouble.max(wakes_at);
        self.asleep_at = Some(self.now());
        while let Some(Reverse(next)) = self.agenda.peek() {
            if next.at > wakes_at {
                break;
            }
            let Some(Reverse(next)) = self.agenda.pop() else { break };
            self.asleep_at = self.asleep_at.max(Some(next.at));
            match next.what {
                // What happens on this machine waits.
                Happening::Start
                | Happening::Reload
                | Happening::Housekeep
                | Happening::Script(_)
                | Happening::Mend
                | Happening::ClockSet
                | Happening::Heal
                | Happening::Inspect
                | Happening::End => self.put(wakes_at + 1, next.what),
                what => self.happen(world, what),
            }
        }
        self.suspended += wakes_at - (self.setup.from + self.elapsed() + self.suspended);
        self.asleep_at = None;
        world.sky.notify_waiters();
    }

    /// The next point of the run; the fault that strikes there.
    pub(crate) fn strike(&mut self, point: Point) -> (u32, Option<Fault>) {
        let number = self.points;
        self.points += 1;
        let now = self.now();
        let fault = if let Some(plan) = &self.setup.plan {
            if now < self.setup.heal_at {
                self.recorded.push(point);
            }
            plan.faults.get(&number).copied().filter(|fault| point.faults().contains(fault))
        } else if now < self.setup.heal_at {
            let rate = match point {
                Point::Call(_) => self.setup.call_faults,
                Point::Commit => self.setup.commit_faults,
            };
            let mut rng = Rng::new(self.setup.seed ^ (u64::from(number) << 20), 3);
            if rng.chance(rate) {
                let fault = rng.pick(point.faults());
                self.setup.kinds.contains(&fault).then_some(fault)
            } else {
                None
            }
        } else {
            None
        };
        if let Some(fault) = fault {
            self.figures.faults += 1;
            self.struck.push((number, fault));
            self.say(|| format!("point {number}: {}", fault.name()));
        }
        (number, fault)
    }

    /// A random number that hangs on the point alone.
    pub(crate) fn draw(&self, point: u32, low: Ms, high: Ms) -> Ms {
        Rng::new(self.setup.seed ^ (u64::from(point) << 20), 4).between(low, high)
    }

    /// Adds to the trace, which is the same for the same seed.
    pub(crate) fn note(&mut self, what: &str, number: u64) {
        let time = self.now().unsigned_abs();
        for part in [what.len() as u64 ^ u64::from(what.as_bytes()[0]) << 8, number, time] {
            self.trace = (self.trace ^ part).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
        }
    }

    /// Tells what happens, where somebody asked for it.
    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.setup.is_loud {
            let at = DateTime::from_timestamp_millis(self.now()).unwrap();
            println!("{}  {}", at.format("%F %T%.3f"), what());
        }
    }

    pub(crate) fn violate(&mut self, what: &str) {
        self.say(|| format!("VIOLATION {what}"));
        if self.violation.is_none() {
            let at = DateTime::from_timestamp_millis(self.now()).unwrap();
            self.violation = Some(format!("{what} (at {})", at.format("%F %T%.3f")));
        }
        self.is_over = true;
    }

    pub(crate) fn touch(&mut self, until: Ms) {
        self.trouble = self.trouble.max(until);
    }
}
