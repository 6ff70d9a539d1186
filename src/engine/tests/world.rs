//! A small world for the engine: two clocks that only move when a test says so, a provider with a truth of its own, and
//! ears for what is logged.

use super::super::*;
use crate::config::{Meeting, ReloadGuard};
use crate::lifecycle::{Extend, OnRemoved, Policy, State, Warn};
use crate::log::LogEvent;
use crate::providers::{
    Capabilities, DailyQuota, Provider, ProviderError, Room, RoomRequest, Settings as RoomSettings, Shaped,
    Sight,
};
use crate::schedule::{Repeat, Rule, Series};
use crate::seams::BoxFuture;
use crate::store::{Record, SqliteStore};
use chrono::{DateTime, Utc};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) fn at(text: &str) -> DateTime<Utc> {
    format!("2026-11-23T{text}Z").parse().unwrap()
}

/// One meeting, at 09:00 for half an hour; the room is there from 08:45 to 09:35.
pub(super) fn meeting(id: &str) -> Meeting {
    Meeting {
        id: id.to_owned(),
        title: format!("Title of {id}"),
        provider: "house".to_owned(),
        series: Series {
            zone: chrono_tz::UTC,
            start: Some(at("09:00:00").naive_utc()),
            repeat: Repeat::Once,
            except: Vec::new(),
            also: Vec::new(),
            overrides: BTreeMap::new(),
            duration: TimeDelta::minutes(30),
        },
        policy: Policy {
            create_ahead: TimeDelta::minutes(15),
            close_delay: TimeDelta::minutes(5),
            extend: None,
            on_removed: OnRemoved::Finish,
            look_every: TimeDelta::minutes(5),
            no_show: None,
            warn: Warn::default(),
        },
        hosts: Vec::new(),
        participants: Vec::new(),
        settings: RoomSettings::default(),
        passthrough: serde_json::Map::new(),
        location: String::new(),
    }
}

pub(super) fn daily(id: &str) -> Meeting {
    let mut meeting = meeting(id);
    meeting.series.repeat = Repeat::Rule(Rule::parse("FREQ=DAILY").unwrap());
    meeting
}

pub(super) fn extending(mut meeting: Meeting) -> Meeting {
    meeting.policy.extend =
        Some(Extend { step: TimeDelta::minutes(10), max: TimeDelta::minutes(30), yields: true });
    meeting
}

/// The provider's truth about a room.
#[derive(Debug, Clone)]
pub(super) struct TrueRoom {
    pub(super) marker: String,
    pub(super) title: String,
    pub(super) ends_at: DateTime<Utc>,
    pub(super) is_open: bool,
    pub(super) people: u32,
    pub(super) closed_at: Option<DateTime<Utc>>,
}

/// What the provider does with one call.
#[derive(Debug, Clone)]
pub(super) enum Mood {
    /// Does what it is asked and answers.
    Well,
    /// Does it, and the answer is lost.
    LosesAnswer,
    /// Does nothing and says so.
    Says(ProviderError),
    /// Panics half way.
    Panics,
    /// Does nothing and never answers.
    Hangs,
    /// Does it and never answers.
    HangsAfter,
}

pub(super) struct Truth {
    pub(super) rooms: BTreeMap<String, TrueRoom>,
    pub(super) moods: VecDeque<(&'static str, Mood)>,
    pub(super) calls: Vec<(&'static str, DateTime<Utc>)>,
    pub(super) events: Vec<String>,
    wall: DateTime<Utc>,
    boot: Duration,
    random: u8,
    /// A flaw: every create gives this room.
    pub(super) gives_always: Option<&'static str>,
    /// The last sleep that somebody asked for; none ever ends.
    pub(super) slept: Option<Duration>,
    /// How many rooms were made.
    made: usize,
    /// What was shown in rooms, and when.
    pub(super) announced: Vec<(DateTime<Utc>, String)>,
    status_line: String,
}

impl Truth {
    pub(super) fn open_rooms(&self) -> Vec<&TrueRoom> {
        self.rooms.values().filter(|room| room.is_open).collect()
    }

    pub(super) fn only_room(&mut self) -> &mut TrueRoom {
        assert_eq!(self.rooms.len(), 1, "{:?}", self.rooms);
        self.rooms.values_mut().next().unwrap()
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.wall
    }

    pub(super) fn calls_of(&self, name: &str) -> usize {
        self.calls.iter().filter(|(call, _)| *call == name).count()
    }
}

#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Truth>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Truth> {
        // A panicking call is one of the faults.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call, and says what becomes of it.
    fn mood(&self, call: &'static str) -> Mood {
        let mut truth = self.lock();
        let now = truth.wall;
        truth.calls.push((call, now));
        match truth.moods.iter().position(|(of, _)| *of == call) {
            Some(at) => truth.moods.remove(at).map_or(Mood::Well, |(_, mood)| mood),
            None => Mood::Well,
        }
    }

    async fn call<T>(
        &self,
        call: &'static str,
        act: impl FnOnce(&mut Truth) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        match self.mood(call) {
            Mood::Well => act(&mut self.lock()),
            Mood::LosesAnswer => {
                let _ = act(&mut self.lock());
                Err(ProviderError::OutcomeUnknown("connection reset".to_owned()))
            }
            Mood::Says(error) => Err(error),
            Mood::Panics => panic!("a flaw in the driver"),
            Mood::Hangs => std::future::pending().await,
            Mood::HangsAfter => {
                let _ = act(&mut self.lock());
                std::future::pending().await
            }
        }
    }
}

impl Clock for Shared {
    fn wall(&self) -> DateTime<Utc> {
        self.lock().wall
    }
    fn boot(&self) -> Duration {
        self.lock().boot
    }
    fn boot_id(&self) -> Option<String> {
        Some("the only boot".to_owned())
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.lock().slept = Some(duration);
        Box::pin(std::future::pending())
    }
}

impl Entropy for Shared {
    fn fill(&self, bytes: &mut [u8]) {
        let mut truth = self.lock();
        truth.random += 1;
        bytes.fill(truth.random);
    }
}

impl Host for Shared {
    fn notify(&self, state: HostState) {
        if let HostState::Status(line) = state {
            self.lock().status_line = line;
        }
    }
    fn log(&self, event: &LogEvent<'_>) {
        self.lock().events.push(event.to_string());
    }
}

/// No idempotency key: a second create makes a second room.
struct FakeProvider {
    shared: Shared,
    capabilities: Capabilities,
}

impl Provider for FakeProvider {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn create<'a>(&'a self, request: &'a RoomRequest) -> BoxFuture<'a, Result<Shaped, ProviderError>> {
        Box::pin(self.shared.call("create", move |truth| {
            if let Some(id) = truth.gives_always {
                return Ok(room_of(id).into());
            }
            // An id is never given twice, whatever became of its room.
            truth.made += 1;
            let id = format!("room-{}", truth.made);
            let room = TrueRoom {
                marker: request.marker.clone(),
                title: request.title.clone(),
                ends_at: request.ends_at,
                is_open: true,
                people: 0,
                closed_at: None,
            };
            truth.rooms.insert(id.clone(), room);
            Ok(room_of(&id).into())
        }))
    }

    fn find<'a>(&'a self, request: &'a RoomRequest) -> BoxFuture<'a, Result<Option<Room>, ProviderError>> {
        Box::pin(self.shared.call("find", move |truth| {
            Ok(truth.rooms.iter().find(|(_, room)| room.marker == request.marker).map(|(id, _)| room_of(id)))
        }))
    }

    fn quota_of(&self, request: &RoomRequest) -> Option<String> {
        Some(request.spec.hosts.first().cloned().unwrap_or_else(|| "me".to_owned()))
    }

    fn look<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Sight, ProviderError>> {
        Box::pin(self.shared.call("look", move |truth| {
            let room = truth.rooms.get(id).ok_or(ProviderError::NotFound)?;
            Ok(Sight { is_open: room.is_open, occupancy: Some(room.people) })
        }))
    }

    fn update<'a>(
        &'a self,
        id: &'a str,
        request: &'a RoomRequest,
    ) -> BoxFuture<'a, Result<Shaped, ProviderError>> {
        Box::pin(self.shared.call("update", move |truth| {
            let room = truth.rooms.get_mut(id).ok_or(ProviderError::NotFound)?;
            let is_written = room.title != request.title || room.ends_at != request.ends_at;
            room.title.clone_from(&request.title);
            room.ends_at = request.ends_at;
            Ok(Shaped { is_written, ..room_of(id).into() })
        }))
    }

    fn close<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(self.shared.call("close", move |truth| {
            let now = truth.wall;
            let room = truth.rooms.get_mut(id).ok_or(ProviderError::NotFound)?;
            room.is_open = false;
            room.closed_at.get_or_insert(now);
            Ok(())
        }))
    }

    fn announce<'a>(&'a self, id: &'a str, text: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(self.shared.call("announce", move |truth| {
            let now = truth.wall;
            truth.rooms.get(id).filter(|room| room.is_open).ok_or(ProviderError::NotFound)?;
            truth.announced.push((now, text.to_owned()));
            Ok(())
        }))
    }
}

fn room_of(id: &str) -> Room {
    Room { id: id.to_owned(), join_url: format!("https://house.example/{id}"), host_url: None }
}

/// An engine in its world.
pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) shared: Shared,
    folder: tempfile::TempDir,
    pub(super) limits: LaneLimits,
    pub(super) guard: ReloadGuard,
    /// The provider shows messages in rooms.
    pub(super) can_announce: bool,
    pub(super) quota: Option<DailyQuota>,
    /// Instead of the fake one.
    pub(super) provider: Option<Arc<dyn Provider>>,
}

impl World {
    /// It is 08:00; nothing is scheduled.
    pub(super) fn new() -> Self {
        let shared = Shared(Arc::new(Mutex::new(Truth {
            rooms: BTreeMap::new(),
            moods: VecDeque::new(),
            calls: Vec::new(),
            events: Vec::new(),
            wall: at("08:00:00"),
            boot: Duration::from_secs(1000),
            random: 0,
            gives_always: None,
            announced: Vec::new(),
            slept: None,
            made: 0,
            status_line: String::new(),
        })));
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(&shared, folder.path());
        let limits =
            LaneLimits { max_in_flight: 32, interval: Duration::ZERO, timeout: Duration::from_secs(30) };
        Self {
            engine,
            shared,
            folder,
            limits,
            guard: ReloadGuard { rooms: 5, percent: 50 },
            can_announce: true,
            quota: None,
            provider: None,
        }
    }

    /// A world with these meetings in force.
    pub(super) fn with(meetings: impl IntoIterator<Item = Meeting>) -> Self {
        let mut world = Self::new();
        world.apply(meetings).unwrap();
        world
    }

    pub(super) fn schedule(&self, meetings: impl IntoIterator<Item = Meeting>) -> Box<Schedule> {
        let capabilities = Capabilities {
            create_is_idempotent: false,
            find_lag: TimeDelta::zero(),
            reports_occupancy: true,
            can_announce: self.can_announce,
            longest_lead: None,
            daily_quota: self.quota,
            unsupported_settings: BTreeMap::new(),
        };
        let fake = || Arc::new(FakeProvider { shared: self.shared.clone(), capabilities });
        let provider = self.provider.clone().unwrap_or_else(|| fake());
        Box::new(Schedule {
            meetings: meetings.into_iter().map(|meeting| (meeting.id.clone(), Arc::new(meeting))).collect(),
            providers: vec![ProviderSetup { name: "house".to_owned(), provider, limits: self.limits }],
            horizon: TimeDelta::days(30),
            history: TimeDelta::days(90),
            guard: self.guard,
        })
    }

    pub(super) fn apply(
        &mut self,
        meetings: impl IntoIterator<Item = Meeting>,
    ) -> Result<Applied, ApplyError> {
        let schedule = self.schedule(meetings);
        self.engine.apply(schedule, false)
    }

    /// The process dies, and another one starts.
    pub(super) fn crash(&mut self) {
        self.shared.lock().moods.clear();
        self.engine = engine(&self.shared, self.folder.path());
        self.engine.recover().unwrap();
    }

    /// Lets time pass up to `until`, with everything that is due in between. Calls take no time.
    pub(super) async fn run_until(&mut self, until: DateTime<Utc>) {
        loop {
            let nap = self.settle().await;
            let left = until - self.shared.lock().wall;
            if left <= TimeDelta::zero() {
                return;
            }
            let nap = TimeDelta::from_std(nap).unwrap().max(TimeDelta::milliseconds(1)).min(left);
            self.pass(nap, nap);
        }
    }

    /// Turns until nothing is due and no call is under way but those that hang.
    pub(super) async fn settle(&mut self) -> Duration {
        loop {
            let nap = self.engine.turn();
            // Enough for every call of this turn to come back, as they wait for nothing.
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            if nap > Duration::ZERO && self.engine.inbox.is_empty() {
                return nap;
            }
        }
    }

    /// The clocks go on.
    pub(super) fn pass(&self, wall: TimeDelta, boot: TimeDelta) {
        let mut truth = self.shared.lock();
        truth.wall += wall;
        truth.boot += boot.to_std().unwrap();
    }

    /// From now on nothing can be written to the store; or it can again.
    pub(super) fn break_store(&self, is_broken: bool) {
        let other = rusqlite::Connection::open(self.folder.path().join(SqliteStore::FILE_NAME)).unwrap();
        let sql = match is_broken {
            true => {
                "CREATE TRIGGER broken BEFORE UPDATE ON occurrences BEGIN SELECT RAISE(ABORT, 'broken'); END"
            }
            false => "DROP TRIGGER broken",
        };
        other.execute_batch(sql).unwrap();
    }

    /// From now on no occurrence can be added to the store; or it can again.
    pub(super) fn fill_store(&self, is_full: bool) {
        let other = rusqlite::Connection::open(self.folder.path().join(SqliteStore::FILE_NAME)).unwrap();
        let sql = match is_full {
            true => "CREATE TRIGGER full BEFORE INSERT ON occurrences BEGIN SELECT RAISE(ABORT, 'full'); END",
            false => "DROP TRIGGER full",
        };
        other.execute_batch(sql).unwrap();
    }

    /// The provider's next call of that name goes like this.
    pub(super) fn next(&self, call: &'static str, mood: Mood) {
        self.shared.lock().moods.push_back((call, mood));
    }

    pub(super) fn record(&mut self, id: &str) -> Record {
        let mut found = self.engine.store.by_id(&[id.to_owned()]).unwrap();
        assert_eq!(found.len(), 1, "{id}");
        found.remove(0)
    }

    pub(super) fn state(&mut self, id: &str) -> State {
        self.record(id).occurrence.state
    }

    /// The names of the events so far, and forgets them.
    pub(super) fn events(&self) -> Vec<String> {
        let events = std::mem::take(&mut self.shared.lock().events);
        events.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }
}

fn engine(shared: &Shared, folder: &std::path::Path) -> Engine {
    let outside = Outside {
        clock: Arc::new(shared.clone()),
        entropy: Arc::new(shared.clone()),
        host: Arc::new(shared.clone()),
        witness: Arc::new(DateWitness::default()),
        calls: tokio::runtime::Handle::current(),
    };
    Engine::new(Box::new(SqliteStore::open(folder).unwrap()), outside).unwrap()
}
