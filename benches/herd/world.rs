//! The engine with its real store, driver and HTTP client; a server in another process; and the bare client.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use convened::config::{Meeting, ReloadGuard};
pub(super) use convened::engine::LaneLimits;
use convened::engine::{Command, Engine, Outside, ProviderSetup, Schedule};
use convened::lifecycle::{Occurrence, OnRemoved, Policy, Times, Warn};
use convened::log::LogEvent;
use convened::providers::meeting_service::{Driver, Settings};
use convened::schedule::{Repeat, Series};
use convened::seams::{Clock, Host, HostState, SystemClock, SystemEntropy};
use convened::store::{Batch, MeetingSpec, Record, SqliteStore, Store as _, StoredMeeting};
use convened::transport::{DateWitness, HttpClient, Transport};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

pub(super) const NO_LIMIT: LaneLimits =
    LaneLimits { max_in_flight: 32, interval: Duration::ZERO, timeout: Duration::from_secs(30) };
/// The lead of every meeting here.
pub(super) const LEAD: TimeDelta = TimeDelta::minutes(15);
const INSERTS: usize = 20_000;

/// The server's process.
pub(super) struct Child {
    process: std::process::Child,
    address: String,
    runtime: tokio::runtime::Runtime,
}

impl Child {
    pub(super) fn start() -> Self {
        let program = std::env::current_exe().unwrap();
        let mut process =
            std::process::Command::new(program).arg("--server").stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
        // As many threads as the daemon has.
        let workers = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 4);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
        Self { process, address: address.trim().to_owned(), runtime }
    }

    pub(super) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let client = HttpClient::new().unwrap();
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base_url()))
            .body(Bytes::from(body.to_owned()))
            .unwrap();
        let answer = self.runtime.block_on(client.send(request, Duration::from_secs(60))).unwrap();
        serde_json::from_slice(answer.body()).unwrap()
    }

    pub(super) fn stats(&self) -> Value {
        self.ask("GET", "/stats", "")
    }

    /// Forgets all rooms; allows `limit` requests a second from now on.
    pub(super) fn reset(&self, limit: Option<u32>) {
        self.ask("POST", "/reset", &serde_json::json!({ "limit": limit }).to_string());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a create of the driver looks like on the wire, sent by a client that keeps no state.
pub(super) fn bare_loop(child: &Child, rooms: usize, in_flight: usize) -> Duration {
    let client = Arc::new(HttpClient::new().unwrap());
    let next = Arc::new(AtomicUsize::new(0));
    let url = format!("{}/scenario/meeting/apps/convened/v1/ext/rooms", child.base_url());
    let begin = Instant::now();
    child.runtime.block_on(async {
        let tasks: Vec<_> = (0..in_flight)
            .map(|_| {
                let (client, next, url) = (client.clone(), next.clone(), url.clone());
                tokio::spawn(async move {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= rooms {
                            return;
                        }
                        let body = format!(
                            "{{\"closesAt\":1797000000000,\"closesAtLatest\":1797000000000,\"endsAt\":1797000000000,\
                             \"muteOnEntry\":0,\"opensAt\":1797000000000,\"password\":null,\"roomName\":\"bare {n}\",\
                             \"roomUuid\":\"{n:032x}\",\"startsAt\":1797000000000}}"
                        );
                        let request = http::Request::post(&url)
                            .header("accept", "application/json")
                            .header("content-type", "application/json")
                            .header("x-admin-secret", "secret")
                            .body(Bytes::from(body))
                            .unwrap();
                        let answer = client.send(request, Duration::from_secs(30)).await.unwrap();
                        assert_eq!(answer.status(), 200);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    begin.elapsed()
}

/// Counts what the engine logs. Nobody is woken before there is as much of it as is waited for: what the engine costs is
/// measured, not what listening to it costs.
#[derive(Default)]
struct Ears {
    awaited: Mutex<&'static str>,
    heard: AtomicUsize,
    wanted: AtomicUsize,
    enough: Mutex<Option<Sender<Result<(), &'static str>>>>,
}

impl Ears {
    fn expect(&self, event: &'static str, count: usize) -> Receiver<Result<(), &'static str>> {
        let (enough, wait) = channel();
        *self.awaited.lock().unwrap() = event;
        *self.enough.lock().unwrap() = Some(enough);
        self.heard.store(0, Ordering::SeqCst);
        self.wanted.store(count, Ordering::SeqCst);
        wait
    }

    fn tell(&self, outcome: Result<(), &'static str>) {
        if let Some(enough) = &*self.enough.lock().unwrap() {
            // Nobody listens at the end.
            let _ = enough.send(outcome);
        }
    }
}

impl Host for Ears {
    fn notify(&self, _: HostState) {}
    fn log(&self, event: &LogEvent<'_>) {
        let name = event.name();
        if ["meeting.failed", "meeting.missed", "store.failed"].contains(&name) {
            self.tell(Err(name));
        }
        if name == *self.awaited.lock().unwrap()
            && self.heard.fetch_add(1, Ordering::SeqCst) + 1 == self.wanted.load(Ordering::SeqCst)
        {
            self.tell(Ok(()));
        }
    }
}

/// A running engine on a store of its own.
pub(super) struct Run {
    folder: tempfile::TempDir,
    engine: mpsc::Sender<Command>,
    ears: Arc<Ears>,
    setup: Box<dyn Fn(Vec<Meeting>) -> Box<Schedule>>,
    due_at: Option<DateTime<Utc>>,
}

impl Run {
    pub(super) fn new(child: &Child, limits: LaneLimits) -> Self {
        let transport = Arc::new(HttpClient::new().unwrap());
        Self::on(child.runtime.handle().clone(), Arc::new(SystemClock), transport, child.base_url(), limits)
    }

    /// An engine whose calls run on `calls` and leave by `transport`.
    pub(super) fn on(
        calls: tokio::runtime::Handle,
        clock: Arc<dyn Clock>,
        transport: Arc<dyn Transport>,
        base_url: String,
        limits: LaneLimits,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(folder.path()).unwrap();
        let meeting = meeting();
        // As the daemon notes it: the occurrences that are put in by hand are not reckoned anew.
        let meta = vec![("zone_data", Some(chrono_tz::IANA_TZDB_VERSION.to_owned()))];
        store.commit(&Batch { meetings: vec![stored(&meeting)], meta, ..Batch::default() }).unwrap();
        let ears = Arc::new(Ears::default());
        let outside = Outside {
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            host: ears.clone(),
            witness: Arc::new(DateWitness::default()),
            calls,
        };
        let mut engine = Engine::new(Box::new(store), outside).unwrap();
        engine.recover().unwrap();
        let (sender, commands) = mpsc::channel(64);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(engine.run(commands));
        };
        std::thread::Builder::new().name("engine".to_owned()).spawn(run).unwrap();
        let setup = Box::new(move |meetings: Vec<Meeting>| {
            let settings = Settings::new(base_url.clone(), "secret".into());
            let driver = Driver::new(settings, transport.clone(), clock.clone());
            Box::new(Schedule {
                meetings: meetings
                    .into_iter()
                    .map(|meeting| (meeting.id.clone(), Arc::new(meeting)))
                    .collect(),
                providers: vec![ProviderSetup {
                    name: "bench".to_owned(),
                    provider: Arc::new(driver),
                    limits,
                }],
                horizon: TimeDelta::days(30),
                history: TimeDelta::days(90),
                guard: ReloadGuard::default(),
            })
        });
        Self { folder, engine: sender, ears, setup, due_at: None }
    }

    fn apply(&self, meetings: Vec<Meeting>) {
        let (reply, outcome) = oneshot::channel();
        let schedule = (self.setup)(meetings);
        let command = Command::Apply { schedule, is_accepted: true, reply };
        self.engine.blocking_send(command).unwrap();
        outcome.blocking_recv().unwrap().unwrap();
    }

    /// Puts occurrences into the store, then has the engine begin.
    fn insert(
        &self,
        create_ats: impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)>,
        title: impl Fn(DateTime<Utc>) -> String,
    ) {
        insert(self.folder.path(), create_ats, |at, _| title(at));
    }

    /// `rooms` occurrences, all due at one instant, `lead` from when all are in the store.
    pub(super) fn insert_herd(&mut self, rooms: usize, lead: Duration) {
        // Inserting takes a while; what is due meanwhile would be no herd.
        let allowance = Duration::from_micros(40 * u64::try_from(rooms).unwrap());
        let due_at = Utc::now() + lead + allowance;
        self.due_at = Some(due_at);
        self.insert((0..rooms).map(|_| (due_at, due_at + LEAD)), |_| "herd".to_owned());
        assert!(Utc::now() < due_at, "inserting took too long");
        self.apply(vec![meeting()]);
    }

    pub(super) fn insert_waiting(&self, count: i64) {
        let far = Utc::now() + TimeDelta::days(2);
        let all = (0..count).map(|n| far + TimeDelta::milliseconds(n * 37));
        self.insert(all.map(|at| (at, at + LEAD)), |_| "waiting".to_owned());
    }

    /// `count` occurrences due at random instants.
    pub(super) fn insert_spread(&self, count: usize, from: Duration, over: Duration) {
        let begin = Utc::now() + from;
        let mut state = 88_172_645_463_325_252_u64;
        let span = u64::try_from(over.as_millis()).unwrap();
        let all = (0..count).map(|_| {
            // Xorshift: the same instants in every run.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            begin + TimeDelta::milliseconds(i64::try_from(state % span).unwrap())
        });
        self.insert(all.map(|at| (at, at + LEAD)), |at| format!("due {}", at.timestamp_millis() * 1000));
        self.apply(vec![meeting()]);
    }

    /// All due at once, with starts `apart` from each other in a shuffled order of insertion: at a rate of one in `apart`,
    /// all are in time only if each is made in the order of the starts. The title is the start, in milliseconds since 1970.
    pub(super) fn insert_staggered(&mut self, count: usize, apart: TimeDelta, slack: TimeDelta) {
        let now = Utc::now() + TimeDelta::milliseconds(500);
        self.due_at = Some(now);
        let all = (0..count).map(|n| {
            let n = i32::try_from(n * 7919 % count).unwrap();
            (now, now + slack + apart * (n + 1))
        });
        insert(self.folder.path(), all, |_, starts_at| starts_at.timestamp_millis().to_string());
        self.apply(vec![meeting()]);
    }

    /// Waits for so many events since the schedule was applied; gives the time since the instant at which they were due.
    pub(super) fn until(&self, wait: &Receiver<Result<(), &'static str>>) -> Duration {
        let begin = self.due_at.unwrap_or_else(Utc::now);
        hear(wait);
        (Utc::now() - begin).to_std().unwrap()
    }

    /// What tells that there were so many events from now on.
    pub(super) fn expect(&self, event: &'static str, count: usize) -> Receiver<Result<(), &'static str>> {
        self.ears.expect(event, count)
    }

    /// Takes the meeting out of the schedule: all rooms are closed.
    pub(super) fn remove_all(&self, rooms: usize) -> Duration {
        let wait = self.expect("room.closed", rooms);
        let begin = Instant::now();
        self.apply(Vec::new());
        hear(&wait);
        begin.elapsed()
    }
}

fn hear(wait: &Receiver<Result<(), &'static str>>) {
    wait.recv_timeout(Duration::from_secs(300)).expect("the engine goes on").expect("nothing fails");
}

pub(super) fn insert(
    folder: &Path,
    create_ats: impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)>,
    title: impl Fn(DateTime<Utc>, DateTime<Utc>) -> String,
) {
    let mut store = SqliteStore::open(folder).unwrap();
    let mut all = create_ats.enumerate().peekable();
    while all.peek().is_some() {
        let inserts = all
            .by_ref()
            .take(INSERTS)
            .map(|(n, (wake_at, starts_at))| Record {
                seq: 0,
                id: format!("bench@{}-{n}", wake_at.timestamp_millis()),
                meeting: "bench".to_owned(),
                provider: "bench".to_owned(),
                title: Some(match title(wake_at, starts_at).as_str() {
                    "herd" => format!("herd {n}"),
                    due if due.starts_with("due ") => format!("{due} {n}"),
                    other => other.to_owned(),
                }),
                marker: None,
                occurrence: Occurrence::planned(Times {
                    starts_at,
                    ends_at: starts_at + TimeDelta::hours(1),
                }),
                wake_at: Some(wake_at),
                call: None,
                changed_at: wake_at,
            })
            .collect();
        store.commit(&Batch { inserts, ..Batch::default() }).unwrap();
    }
}

/// A meeting that gives nothing itself: the occurrences are put into the store.
fn meeting() -> Meeting {
    Meeting {
        id: "bench".to_owned(),
        title: "Bench".to_owned(),
        provider: "bench".to_owned(),
        series: Series {
            zone: chrono_tz::UTC,
            start: DateTime::UNIX_EPOCH.naive_utc().into(),
            repeat: Repeat::Once,
            except: Vec::new(),
            also: Vec::new(),
            overrides: BTreeMap::new(),
            duration: TimeDelta::hours(1),
        },
        policy: Policy {
            create_ahead: LEAD,
            close_delay: TimeDelta::minutes(5),
            extend: None,
            on_removed: OnRemoved::Finish,
            look_every: TimeDelta::minutes(5),
            no_show: None,
            warn: Warn::default(),
        },
        hosts: Vec::new(),
        participants: Vec::new(),
        settings: convened::providers::Settings::default(),
        passthrough: serde_json::Map::new(),
        location: String::new(),
    }
}

pub(super) fn stored(meeting: &Meeting) -> StoredMeeting {
    let spec =
        MeetingSpec { title: meeting.title.clone(), policy: meeting.policy.clone(), room: Arc::default() };
    StoredMeeting { id: meeting.id.clone(), fingerprint: meeting.fingerprint(), is_removed: false, spec }
}
