//! The machine's daemon: the real engine on its real store, driven by the real drivers, and how it dies.

use crate::Ms;
use crate::plain::PlainDriver;
use crate::plan::{Fault, Point};
use crate::rng::Rng;
use crate::seams::{ADMIN_SECRET, Dice, OneFile, Wire};
use crate::service::Ask;
use crate::setup::{LATEST, MINUTE, SECOND};
use crate::timetable::Which;
use crate::world::{Happening, Pending, Reply, State, World};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use convened::auth::{self, Accounts, TokenStore};
use convened::config::{self, Config};
use convened::daemon::assemble::{Assembler, BuiltInService};
use convened::engine::{Command, Engine, Outside, Schedule};
use convened::lifecycle::Call;
use convened::seams::{Clock, Entropy, Host};
use convened::store::{
    Batch, Cancellable, Counts, Due, DueKey, QuotaUse, Record, SqliteStore, Store, StoreError, StoredMeeting,
    UpcomingStart,
};
use convened::transport::{DateWitness, Transport, Witnessed};
use convened::web::Webhooks;
use http::Request;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// One life of the daemon.
pub(crate) struct Node {
    pub(crate) world: Arc<World>,
    pub(crate) number: u32,
    is_alive: AtomicBool,
    /// What the store last gave as the next deadline, in milliseconds; MIN: it was not asked since the last nap.
    pub(crate) next_due: AtomicI64,
    witness: Arc<DateWitness>,
}

/// So many files are known by heart.
const FILES_KEPT: usize = 64;

/// Unwinds the engine's task: it dies here.
struct Crash;

impl Node {
    pub(crate) fn is_alive(&self) -> bool {
        self.is_alive.load(Ordering::Relaxed)
    }

    pub(crate) fn kill(&self) {
        self.is_alive.store(false, Ordering::Relaxed);
    }

    /// A request leaves the daemon. `None`: the daemon is dead.
    pub(crate) fn begin_call(
        &self,
        request: &Request<Bytes>,
        timeout: Duration,
    ) -> Option<oneshot::Receiver<Reply>> {
        if !self.is_alive() {
            return None;
        }
        let ask = Ask::read(request);
        let mut state = self.world.lock();
        let (reply, receiver) = oneshot::channel();
        let is_sent = state.begin_call(self, ask, reply, timeout);
        self.world.nudge(state);
        is_sent.then_some(receiver)
    }
}

impl State {
    /// Notes a call and puts on the agenda what becomes of it. `false`: the daemon died before it left.
    fn begin_call(
        &mut self,
        node: &Node,
        ask: Ask,
        reply: oneshot::Sender<Reply>,
        timeout: Duration,
    ) -> bool {
        self.figures.calls += 1;
        let (seq, call) = self.check_call(node, &ask);
        let key = seq.and_then(|seq| self.seen.get(&seq)).and_then(|seen| seen.key);
        let (point, fault) = self.strike(Point::Call(call));
        self.say(|| format!("{} {} {}", ask.which.name(), call.as_str(), ask.target));
        self.note(call.as_str(), u64::from(point));
        let (low, high) = self.setup.latency;
        let latency = self.rng.between(low, high);
        let timeout = Ms::try_from(timeout.as_millis()).unwrap();
        let now = self.now();
        let (mut arrives, mut answer) = (Some(now + latency / 2), now + latency);
        match fault {
            Some(Fault::CrashBeforeCall) => {
                self.crash(&node.world, point);
                return false;
            }
            Some(Fault::RequestLost) => (arrives, answer) = (None, now + timeout),
            Some(Fault::AppliedLate) => {
                let late = now + timeout + self.draw(point, 1, LATEST);
                self.trouble_for(key, late);
                (arrives, answer) = (Some(late), now + timeout);
            }
            Some(Fault::Slow) => answer = now + timeout - 1,
            _ if self.out_until[ask.which as usize] > now => arrives = None,
            _ => {}
        }
        if fault.is_some() {
            self.trouble_for(key, answer);
        }
        self.last_call += 1;
        let id = self.last_call;
        let pending = Pending {
            ask,
            node: node.number,
            seq,
            key,
            fault,
            reply: Some(reply),
            outcome: None,
            arrived: None,
            pause: self.draw(point, 1, 90) * SECOND,
        };
        self.calls.insert(id, pending);
        if let Some(at) = arrives {
            self.put(at, Happening::Arrives(id));
        }
        self.put(answer, Happening::Answer(id));
        true
    }

    /// The daemon dies, with everything that only it knew.
    pub(crate) fn crash(&mut self, world: &Arc<World>, point: u32) {
        let Some(node) = self.node.take() else { return };
        node.kill();
        self.figures.crashes += 1;
        self.note("crash", u64::from(node.number));
        self.say(|| "the daemon dies".to_owned());
        self.forget_node();
        let mut rng = Rng::new(self.setup.seed ^ (u64::from(point) << 20), 5);
        if self.store.is_none() && rng.chance(125_000) {
            // As a kill leaves it: with its log, which the next one replays. Dropping the engine tidies the log away.
            self.folders += 1;
            let copy = self.folder.with_file_name(format!("state-{}", self.folders));
            copy_store(&self.folder, &copy);
            self.folder = copy;
        }
        let pause = match rng.below(8) {
            0 => rng.between(60, 1_200),
            _ => rng.between(1, 20),
        };
        let at = self.now() + pause * SECOND;
        self.put(at, Happening::Start);
        let _ = world;
    }

    pub(crate) fn forget_node(&mut self) {
        self.node = None;
        self.commands = None;
        self.is_applying = false;
        self.has_schedule = false;
        self.sent = Default::default();
        self.touch(self.now());
        if let Some(abort) = self.abort.take() {
            abort.abort();
        }
        for pending in self.calls.values_mut() {
            pending.reply = None;
        }
        for room in &mut self.rooms.all {
            room.is_truth_told = false;
            room.told = None;
        }
    }

    /// Starts the daemon, unless it runs or the file is not valid.
    pub(crate) fn start(&mut self, world: &Arc<World>) {
        if self.node.is_some() {
            return;
        }
        let Some(config) = self.load() else {
            self.put(self.now() + 30 * SECOND, Happening::Start);
            return;
        };
        self.nodes += 1;
        self.note("start", u64::from(self.nodes));
        self.say(|| "the daemon starts".to_owned());
        self.touch(self.now());
        let node = Arc::new(Node {
            world: world.clone(),
            number: self.nodes,
            is_alive: AtomicBool::new(true),
            next_due: AtomicI64::new(i64::MIN),
            witness: Arc::default(),
        });
        self.node = Some(node.clone());
        let (commands, receiver) = mpsc::channel(64);
        self.commands = Some(commands);
        let entropy = Dice(Mutex::new(Rng::new(self.setup.seed ^ u64::from(self.nodes), 6)));
        let outside = Outside {
            clock: node.clone(),
            entropy: Arc::new(entropy),
            host: node.clone(),
            witness: node.witness.clone(),
            calls: tokio::runtime::Handle::current(),
        };
        let task = tokio::spawn(live(node.clone(), self.folder.clone(), outside, receiver));
        self.abort = Some(task.abort_handle());
        tokio::spawn(watch_over(node, task));
        self.apply(world, &config, false);
    }

    /// What the file says. The same file says the same, and is read once.
    pub(crate) fn load(&self) -> Option<Config> {
        thread_local!(static READ: RefCell<HashMap<Vec<u8>, Option<Config>>> = RefCell::default());
        READ.with_borrow_mut(|read| {
            if let Some(config) = read.get(&self.file) {
                return config.clone();
            }
            let files = OneFile(self.file.clone());
            let config = config::load(Path::new(OneFile::PATH), &files, self.wall()).config;
            if read.len() >= FILES_KEPT {
                read.clear();
            }
            read.insert(self.file.clone(), config.clone());
            config
        })
    }

    /// What the daemon makes of a configuration, with the driver for tests where it belongs.
    pub(crate) fn schedule(&self, config: &Config) -> Option<Schedule> {
        let node = self.node.clone()?;
        let clock: Arc<dyn Clock> = node.clone();
        let witness = node.witness.clone();
        let wire: Arc<dyn Transport> = Arc::new(Wire(node.clone()));
        let transport: Arc<dyn Transport> = Arc::new(Witnessed::new(wire, witness, clock.clone()));
        let entropy: Arc<dyn Entropy> = Arc::new(Dice(Mutex::new(Rng::new(self.setup.seed, 7))));
        let host: Arc<dyn Host> = node.clone();
        // No provider here has an account; one empty store serves all worlds of a thread.
        thread_local!(static TOKENS: OnceCell<Arc<TokenStore>> = OnceCell::default());
        let tokens = || Arc::new(TokenStore::in_memory(None, entropy.clone()).expect("memory"));
        let accounts = Accounts::new(auth::Outside {
            store: TOKENS.with(|store| store.get_or_init(tokens).clone()),
            lock_dir: PathBuf::new(),
            transport: transport.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            host: host.clone(),
        });
        let assembler = Assembler {
            accounts: Arc::new(accounts),
            webhooks: Arc::new(Webhooks::new(clock.clone(), host)),
            transport: transport.clone(),
            clock: clock.clone(),
            files: Arc::new(OneFile(Vec::new())),
            built_in: BuiltInService {
                base_url: "http://house.sim".to_owned(),
                admin_secret: ADMIN_SECRET.to_owned().into(),
            },
        };
        let mut schedule = assembler.schedule(config).expect("no secrets are missing");
        for setup in schedule.providers.iter_mut().filter(|setup| setup.name == Which::Plain.name()) {
            let timeout = setup.limits.timeout;
            let lag = TimeDelta::milliseconds(self.find_lag());
            setup.provider = Arc::new(PlainDriver::new(transport.clone(), clock.clone(), timeout, lag));
        }
        Some(schedule)
    }

    /// When a room that was asked for is certain to show in a search of the plain service.
    pub(crate) fn find_lag(&self) -> Ms {
        self.setup.lag + LATEST + (self.setup.timetable.limits.timeout_s + 5) * SECOND
    }
}

/// The daemon's life.
async fn live(
    node: Arc<Node>,
    folder: PathBuf,
    outside: Outside,
    commands: mpsc::Receiver<Command>,
) -> Result<(), StoreError> {
    let kept = node.world.lock().store.clone();
    let inner = match kept {
        Some(store) => store,
        None => Arc::new(Mutex::new(SqliteStore::open(&folder)?)),
    };
    let store = SimStore { inner, node };
    let mut engine = Engine::new(Box::new(store), outside)?;
    engine.recover()?;
    Box::pin(engine.run(commands)).await;
    Ok(())
}

/// Sees what becomes of a life.
async fn watch_over(node: Arc<Node>, task: tokio::task::JoinHandle<Result<(), StoreError>>) {
    let outcome = task.await;
    let mut state = node.world.lock();
    match outcome {
        Err(error) if error.is_panic() => {
            if error.into_panic().downcast::<Crash>().is_err() {
                state.violate("the engine panicked");
            }
        }
        // Killed.
        Err(_) => {}
        Ok(outcome) => {
            if node.is_alive() {
                if let Err(error) = outcome {
                    state.say(|| format!("the daemon ends: {error}"));
                }
                // The service manager starts it again.
                node.kill();
                state.forget_node();
                let at = state.now() + 2 * SECOND;
                state.put(at, Happening::Start);
            }
        }
    }
    node.world.nudge(state);
}

fn copy_store(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in [SqliteStore::FILE_NAME.to_owned(), format!("{}-wal", SqliteStore::FILE_NAME)] {
        if from.join(&name).exists() {
            std::fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

/// The real store, with the world's hand on every commit.
struct SimStore {
    inner: Arc<Mutex<SqliteStore>>,
    node: Arc<Node>,
}

impl SimStore {
    fn inner(&self) -> MutexGuard<'_, SqliteStore> {
        self.inner.lock().unwrap()
    }

    /// Something is about to be written.
    fn before(&self) -> Result<(u32, Option<Fault>), StoreError> {
        let mut state = self.node.world.lock();
        if !self.node.is_alive() {
            drop(state);
            std::panic::resume_unwind(Box::new(Crash));
        }
        let (point, fault) = state.strike(Point::Commit);
        match fault {
            Some(Fault::CrashBeforeCommit) => {
                state.crash(&self.node.world, point);
                self.node.world.nudge(state);
                std::panic::resume_unwind(Box::new(Crash));
            }
            Some(Fault::StoreFails) => {
                let until = state.now() + state.draw(point, 1, 20) * SECOND;
                state.disk_full_until = state.disk_full_until.max(until);
            }
            _ => {}
        }
        if state.disk_full_until > state.now() {
            let until = state.disk_full_until;
            state.touch(until);
            // Housekeeping that failed is tried again by one of the naps that follow.
            state.naps_until = state.naps_until.max(until + 2 * MINUTE);
            return Err(disk_full());
        }
        Ok((point, fault))
    }

    /// It was written.
    fn after(&self, (point, fault): (u32, Option<Fault>), batch: Option<&Batch>) {
        let mut state = self.node.world.lock();
        state.figures.commits += 1;
        if let Some(batch) = batch {
            state.committed(&self.node.world, batch);
        }
        if fault == Some(Fault::CrashAfterCommit) {
            state.crash(&self.node.world, point);
            self.node.world.nudge(state);
            std::panic::resume_unwind(Box::new(Crash));
        }
        self.node.world.nudge(state);
    }
}

fn disk_full() -> StoreError {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
    let source = rusqlite::Error::SqliteFailure(code, Some("database or disk is full".to_owned()));
    StoreError::Database { path: PathBuf::from(SqliteStore::FILE_NAME), source }
}

impl Store for SimStore {
    fn due(&mut self, after: DueKey, until: DateTime<Utc>, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.inner().due(after, until, limit)
    }

    fn next_due(&mut self, after: DueKey) -> Result<Option<DateTime<Utc>>, StoreError> {
        let next = self.inner().next_due(after)?;
        self.node.next_due.store(next.map_or(i64::MAX / 2, |at| at.timestamp_millis()), Ordering::Relaxed);
        Ok(next)
    }

    fn load(&mut self, seqs: &[i64]) -> Result<Vec<Record>, StoreError> {
        self.inner().load(seqs)
    }

    fn of_meeting(&mut self, meeting: &str, since: DateTime<Utc>) -> Result<Vec<Record>, StoreError> {
        self.inner().of_meeting(meeting, since)
    }

    fn by_id(&mut self, ids: &[String]) -> Result<Vec<Record>, StoreError> {
        self.inner().by_id(ids)
    }

    fn by_room(&mut self, provider: &str, room_id: &str) -> Result<Option<Record>, StoreError> {
        self.inner().by_room(provider, room_id)
    }

    fn quotas(&mut self) -> Result<Vec<QuotaUse>, StoreError> {
        self.inner().quotas()
    }

    fn interrupted(&mut self) -> Result<Vec<i64>, StoreError> {
        self.inner().interrupted()
    }

    fn meetings(&mut self) -> Result<Vec<StoredMeeting>, StoreError> {
        self.inner().meetings()
    }

    fn counts(&mut self) -> Result<Counts, StoreError> {
        self.inner().counts()
    }

    fn starts_of(
        &mut self,
        meeting: &str,
        provider: Option<&str>,
        between: Range<DateTime<Utc>>,
    ) -> Result<Vec<UpcomingStart>, StoreError> {
        self.inner().starts_of(meeting, provider, between)
    }

    fn cancellable(&mut self, meeting: &str, examples: usize) -> Result<Cancellable, StoreError> {
        self.inner().cancellable(meeting, examples)
    }

    fn meta(&mut self, key: &str) -> Result<Option<String>, StoreError> {
        self.inner().meta(key)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return self.inner().commit(batch);
        }
        let struck = self.before()?;
        self.inner().commit(batch)?;
        self.after(struck, Some(batch));
        Ok(())
    }

    fn rearm(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let struck = self.before()?;
        self.inner().rearm(now)?;
        self.after(struck, None);
        Ok(())
    }

    fn prune(&mut self, before: DateTime<Utc>, limit: usize) -> Result<usize, StoreError> {
        let struck = self.before()?;
        let count = self.inner().prune(before, limit)?;
        if count > 0 {
            let mut forgotten = self.node.world.lock().over();
            let left = self.inner().load(&forgotten)?;
            forgotten.retain(|seq| left.iter().all(|record| record.seq != *seq));
            self.node.world.lock().forget(&forgotten);
        }
        self.after(struck, None);
        Ok(count)
    }
}

/// Which call an ask is, by the occurrence's own record.
pub(crate) fn call_of(ask: &Ask, recorded: Option<Call>) -> Call {
    match recorded {
        Some(call) if ask.is(call) => call,
        _ => Call::ALL.into_iter().find(|call| ask.is(*call)).unwrap_or(Call::Look),
    }
}
