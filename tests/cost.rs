//! What a room costs, counted instead of timed: commits, rows and reads of the store, and allocations. A change that makes
//! a herd dearer is seen here on any machine; `cargo bench --bench herd` tells how fast it is.

#![expect(clippy::unwrap_used, reason = "in a test, whatever goes wrong ends it")]

use chrono::{DateTime, TimeDelta, Utc};
use convened::config::ReloadGuard;
use convened::engine::{Command, Engine, LaneLimits, Outside, ProviderSetup, Schedule};
use convened::lifecycle::{Occurrence, OnRemoved, Policy, Sight, Times, Warn};
use convened::log::LogEvent;
use convened::providers::{Capabilities, Provider, ProviderError, Room, RoomRequest, Shaped};
use convened::seams::{BoxFuture, Clock, Entropy, Host, HostState};
use convened::store::{
    Batch, Cancellable, Counts, Due, DueKey, MeetingSpec, QuotaUse, Record, SqliteStore, Store, StoreError,
    StoredMeeting, UpcomingStart,
};
use convened::transport::DateWitness;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ROOMS: usize = 2_000;
const IN_FLIGHT: usize = 64;

/// The runtime's paused clock, which goes on when nobody has anything to do.
struct PausedClock(tokio::time::Instant);

impl PausedClock {
    const START_S: i64 = 1_795_510_800;
}

impl Clock for PausedClock {
    fn wall(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(Self::START_S, 0).unwrap() + TimeDelta::from_std(self.boot()).unwrap()
    }
    fn boot(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let from = bytes.len() - n.len();
        bytes[from..].copy_from_slice(&n);
    }
}

/// Says when all rooms were made.
struct Ears {
    made: AtomicUsize,
    done: Mutex<Option<tokio::sync::oneshot::Sender<()>>>,
}

impl Host for Ears {
    fn notify(&self, _: HostState) {}
    fn log(&self, event: &LogEvent<'_>) {
        if event.name() == "room.created"
            && self.made.fetch_add(1, Ordering::Relaxed) + 1 == ROOMS
            && let Some(done) = self.done.lock().unwrap().take()
        {
            done.send(()).unwrap();
        }
    }
}

/// Answers at once.
struct Prompt(Capabilities);

impl Provider for Prompt {
    fn capabilities(&self) -> &Capabilities {
        &self.0
    }
    fn create<'a>(&'a self, request: &'a RoomRequest) -> BoxFuture<'a, Result<Shaped, ProviderError>> {
        let id = request.marker.clone();
        let join_url = format!("https://house.example/{id}");
        Box::pin(std::future::ready(Ok(Room { id, join_url, host_url: None }.into())))
    }
    fn find<'a>(&'a self, _: &'a RoomRequest) -> BoxFuture<'a, Result<Option<Room>, ProviderError>> {
        unreachable!("no answer is lost")
    }
    fn look<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Sight, ProviderError>> {
        unreachable!("no room is looked at before all are made")
    }
    fn update<'a>(&'a self, _: &'a str, _: &'a RoomRequest) -> BoxFuture<'a, Result<Shaped, ProviderError>> {
        unreachable!("nothing changes")
    }
    fn close<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
        unreachable!("nothing is closed")
    }
}

/// What the engine asked of the store.
#[derive(Debug, Default)]
struct Asked {
    commits: AtomicUsize,
    updates: AtomicUsize,
    lines: AtomicUsize,
    loaded: AtomicUsize,
    queued: AtomicUsize,
}

/// The real store, with everything that goes through it counted.
struct Counted {
    inner: SqliteStore,
    asked: Arc<Asked>,
}

impl Store for Counted {
    fn due(&mut self, after: DueKey, until: DateTime<Utc>, limit: usize) -> Result<Vec<Due>, StoreError> {
        let due = self.inner.due(after, until, limit)?;
        self.asked.queued.fetch_add(due.len(), Ordering::Relaxed);
        Ok(due)
    }
    fn next_due(&mut self, after: DueKey) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.inner.next_due(after)
    }
    fn load(&mut self, seqs: &[i64]) -> Result<Vec<Record>, StoreError> {
        self.asked.loaded.fetch_add(seqs.len(), Ordering::Relaxed);
        self.inner.load(seqs)
    }
    fn of_meeting(&mut self, meeting: &str, since: DateTime<Utc>) -> Result<Vec<Record>, StoreError> {
        self.inner.of_meeting(meeting, since)
    }
    fn by_id(&mut self, ids: &[String]) -> Result<Vec<Record>, StoreError> {
        self.inner.by_id(ids)
    }
    fn starts_of(
        &mut self,
        meeting: &str,
        provider: Option<&str>,
        between: std::ops::Range<DateTime<Utc>>,
    ) -> Result<Vec<UpcomingStart>, StoreError> {
        self.inner.starts_of(meeting, provider, between)
    }
    fn interrupted(&mut self) -> Result<Vec<i64>, StoreError> {
        self.inner.interrupted()
    }
    fn meetings(&mut self) -> Result<Vec<StoredMeeting>, StoreError> {
        self.inner.meetings()
    }
    fn by_room(&mut self, provider: &str, room_id: &str) -> Result<Option<Record>, StoreError> {
        self.inner.by_room(provider, room_id)
    }
    fn quotas(&mut self) -> Result<Vec<QuotaUse>, StoreError> {
        self.inner.quotas()
    }
    fn counts(&mut self) -> Result<Counts, StoreError> {
        self.inner.counts()
    }
    fn cancellable(&mut self, meeting: &str, examples: usize) -> Result<Cancellable, StoreError> {
        self.inner.cancellable(meeting, examples)
    }
    fn meta(&mut self, key: &str) -> Result<Option<String>, StoreError> {
        self.inner.meta(key)
    }
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.asked.commits.fetch_add(1, Ordering::Relaxed);
        self.asked.updates.fetch_add(batch.updates.len(), Ordering::Relaxed);
        let lines = batch.updates.iter().map(|update| update.history.len()).sum();
        self.asked.lines.fetch_add(lines, Ordering::Relaxed);
        self.inner.commit(batch)
    }
    fn rearm(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.inner.rearm(now)
    }
    fn prune(&mut self, before: DateTime<Utc>, limit: usize) -> Result<usize, StoreError> {
        self.inner.prune(before, limit)
    }
}

/// A store with a herd, all due an hour after the clock's start.
fn store(folder: &std::path::Path) -> SqliteStore {
    let due = DateTime::from_timestamp(PausedClock::START_S, 0).unwrap() + TimeDelta::hours(1);
    let policy = Policy {
        create_ahead: TimeDelta::minutes(15),
        close_delay: TimeDelta::minutes(5),
        extend: None,
        on_removed: OnRemoved::Finish,
        look_every: TimeDelta::minutes(5),
        no_show: None,
        warn: Warn::default(),
    };
    let spec = MeetingSpec { title: "Herd".to_owned(), policy, room: Arc::default() };
    let meeting = StoredMeeting { id: "herd".to_owned(), fingerprint: [0; 32], is_removed: true, spec };
    let starts_at = due + TimeDelta::minutes(15);
    let times = Times { starts_at, ends_at: starts_at + TimeDelta::hours(1) };
    let inserts = (0..ROOMS)
        .map(|n| Record {
            seq: 0,
            id: format!("herd@{n}"),
            meeting: "herd".to_owned(),
            provider: "house".to_owned(),
            title: None,
            marker: None,
            occurrence: Occurrence::planned(times),
            wake_at: Some(due),
            call: None,
            changed_at: due,
        })
        .collect();
    let mut store = SqliteStore::open(folder).unwrap();
    store.commit(&Batch { meetings: vec![meeting], inserts, ..Batch::default() }).unwrap();
    store
}

fn schedule() -> Box<Schedule> {
    let capabilities = Capabilities {
        create_is_idempotent: true,
        find_lag: TimeDelta::zero(),
        reports_occupancy: true,
        can_announce: false,
        longest_lead: None,
        daily_quota: None,
        unsupported_settings: BTreeMap::new(),
    };
    let limits =
        LaneLimits { max_in_flight: IN_FLIGHT, interval: Duration::ZERO, timeout: Duration::from_secs(30) };
    Box::new(Schedule {
        meetings: BTreeMap::new(),
        providers: vec![ProviderSetup {
            name: "house".to_owned(),
            provider: Arc::new(Prompt(capabilities)),
            limits,
        }],
        horizon: TimeDelta::days(30),
        history: TimeDelta::days(90),
        guard: ReloadGuard::default(),
    })
}

/// Has the rooms made, and counts from when the schedule is in force.
fn make_herd() -> (Arc<Asked>, u64) {
    let folder = tempfile::tempdir().unwrap();
    let asked = Arc::new(Asked::default());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let store = Counted { inner: store(folder.path()), asked: asked.clone() };
    let (done, all_made) = tokio::sync::oneshot::channel();
    let (commands, engine) = runtime.block_on(async {
        let outside = Outside {
            clock: Arc::new(PausedClock(tokio::time::Instant::now())),
            entropy: Arc::new(Counter(AtomicU64::new(0))),
            host: Arc::new(Ears { made: AtomicUsize::new(0), done: Mutex::new(Some(done)) }),
            witness: Arc::new(DateWitness::default()),
            calls: tokio::runtime::Handle::current(),
        };
        let mut engine = Engine::new(Box::new(store), outside).unwrap();
        engine.recover().unwrap();
        let (commands, orders) = tokio::sync::mpsc::channel(8);
        let engine = tokio::spawn(engine.run(orders));
        let (reply, applied) = tokio::sync::oneshot::channel();
        let apply = Command::Apply { schedule: schedule(), is_accepted: true, reply };
        commands.send(apply).await.unwrap();
        applied.await.unwrap().unwrap();
        (commands, engine)
    });
    for counter in [&asked.commits, &asked.updates, &asked.lines, &asked.loaded, &asked.queued] {
        counter.store(0, Ordering::Relaxed);
    }
    let allocations = allocation_counter::measure(|| runtime.block_on(async { all_made.await.unwrap() }));
    drop(commands);
    runtime.block_on(engine).unwrap();
    (asked, allocations.count_total)
}

#[test]
fn a_herd_costs_no_more_than_it_did() {
    let (asked, allocations) = make_herd();
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let [commits, updates, lines] = [&asked.commits, &asked.updates, &asked.lines].map(count);
    let [loaded, queued] = [&asked.loaded, &asked.queued].map(count);
    let allocations = allocations / u64::try_from(ROOMS).unwrap();
    println!(
        "{ROOMS} rooms: {commits} commits, {updates} rows and {lines} lines of history written, {queued} rows read into \
         queues, {loaded} loaded; {allocations} allocations a room"
    );
    // The intent and the answer of a room, each with its line, and its row read once for the queue and once to be stepped.
    assert_eq!((updates, lines), (2 * ROOMS, 2 * ROOMS));
    assert_eq!((queued, loaded), (ROOMS, ROOMS));
    // One commit takes the answers of all calls under way and the intents of as many new ones.
    assert!(commits <= ROOMS / IN_FLIGHT + 4, "{commits} commits");
    assert!(allocations <= 38, "{allocations} allocations a room");
}
