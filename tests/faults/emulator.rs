//! A meeting service elsewhere, that outlives the daemon: it has its own truth about rooms, counts, checks every request
//! as strictly as can be, and is as bad a partner as it is told to be.
//!
//! A request that has arrived is carried out whatever becomes of whoever sent it: that is what makes lost answers real.

use crate::random::Random;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The secret that the emulator asks for.
const SECRET: &str = "the-emulator-lets-only-this-one-in";

/// The wall clock, in milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a test of the real binary runs in real time")]
pub(crate) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// How long something may take that should come soon.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `holds`; panics with what was waited for when it does not come.
#[expect(clippy::disallowed_methods, reason = "polls what a real process does, up to a deadline")]
pub(crate) fn wait_until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < deadline, "waited for in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A wait that is part of the experiment: the instant at which something is done to the daemon.
#[expect(clippy::disallowed_methods, reason = "a random instant is what is tested; nothing is waited for")]
pub(crate) fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

/// How bad a partner it is. All in percent of requests, chosen at random.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manners {
    /// The connection breaks before anything is done.
    pub(crate) loses_request: u64,
    /// The connection breaks after it was done.
    pub(crate) loses_answer: u64,
    /// HTTP 503, nothing done.
    pub(crate) refuses: u64,
    /// At most this long until it acts, and as long again until it answers.
    pub(crate) slowness: Duration,
    /// Exactly this long until it answers; it acts half-way.
    pub(crate) pause: Duration,
}

/// A room, as the emulator knows it.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) title: String,
    pub(crate) created_at: i64,
    pub(crate) closed_at: Option<i64>,
    /// People who were in the room when it was closed.
    pub(crate) put_out: u64,
    pub(crate) ends_at: i64,
    pub(crate) looks: u64,
}

/// Who is in the room of that title at an instant.
pub(crate) type People = Box<dyn Fn(&str, i64) -> u64 + Send>;

/// What the emulator knows.
#[derive(Default)]
pub(crate) struct Truth {
    /// By `roomUuid`.
    pub(crate) rooms: BTreeMap<String, Room>,
    /// What no daemon should ever send.
    pub(crate) violations: Vec<String>,
    /// Requests by application.
    pub(crate) requests: BTreeMap<String, u64>,
    /// Requests by what they asked for.
    pub(crate) calls: BTreeMap<&'static str, u64>,
    /// A create for a room that was there.
    pub(crate) repeated: u64,
    pub(crate) lost_answers: u64,
    manners: Manners,
    random: Option<Random>,
    people: Option<People>,
}

impl Truth {
    /// The room of a title; panics when there are several.
    pub(crate) fn room(&self, title: &str) -> Option<&Room> {
        let mut rooms = self.rooms.values().filter(|room| room.title == title);
        let room = rooms.next();
        assert!(rooms.next().is_none(), "two rooms of {title}");
        room
    }

    pub(crate) fn count(&self, call: &str) -> u64 {
        self.calls.get(call).copied().unwrap_or(0)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.as_mut().is_some_and(|random| random.percent(percent))
    }

    fn delay(&mut self, most: Duration) -> Duration {
        let most_us = u64::try_from(most.as_micros()).unwrap();
        let us = self.random.as_mut().map_or(0, |random| random.below(most_us));
        Duration::from_micros(us)
    }
}

/// The service.
pub(crate) struct Emulator {
    pub(crate) address: SocketAddr,
    truth: Arc<(Mutex<Truth>, Condvar)>,
    _runtime: tokio::runtime::Runtime,
}

impl Emulator {
    pub(crate) fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let truth: Arc<(Mutex<Truth>, Condvar)> = Arc::default();
        let shared = truth.clone();
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let shared = shared.clone();
                // A client that goes away ends its connection, nothing else.
                tokio::spawn(async move { serve(stream, shared).await.ok() });
            }
        });
        Self { address, truth, _runtime: runtime }
    }

    pub(crate) fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.0.lock().unwrap()
    }

    pub(crate) fn behave(&self, manners: Manners, seed: u64) {
        let mut truth = self.truth();
        truth.manners = manners;
        truth.random = Some(Random::new(seed));
    }

    pub(crate) fn people(&self, people: impl Fn(&str, i64) -> u64 + Send + 'static) {
        self.truth().people = Some(Box::new(people));
    }

    /// The table `[providers.elsewhere]` for a daemon that the emulator knows as `app`.
    pub(crate) fn provider(&self, app: &str, folder: &std::path::Path) -> String {
        std::fs::write(folder.join("admin"), SECRET).unwrap();
        format!(
            "[providers.elsewhere]\nkind = \"meeting-service\"\nbase_url = \"http://{}\"\napp_id = \"{app}\"\n\
             admin_secret = {{ file = \"{}\" }}\n",
            self.address,
            folder.join("admin").display()
        )
    }

    /// Waits for the next request of `app`, at most `patience`.
    pub(crate) fn wait_for_request(&self, app: &str, patience: Duration) {
        let count = |truth: &Truth| truth.requests.get(app).copied().unwrap_or(0);
        let truth = self.truth();
        let before = count(&truth);
        drop(self.truth.1.wait_timeout_while(truth, patience, |truth| count(truth) == before).unwrap());
    }
}

/// A request, whole.
struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    /// Reads one from the connection; `None` at its end.
    async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<Self>> {
        loop {
            if let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let text = String::from_utf8(buffer[..head].to_vec()).unwrap();
                let mut lines = text.split("\r\n");
                let mut first = lines.next().unwrap().split(' ').map(str::to_owned);
                let (method, path) = (first.next().unwrap(), first.next().unwrap());
                let headers: BTreeMap<String, String> = lines
                    .filter_map(|line| line.split_once(": "))
                    .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                    .collect();
                let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
                let end = head + 4 + length;
                if buffer.len() >= end {
                    let body = buffer[head + 4..end].to_vec();
                    buffer.drain(..end);
                    return Ok(Some(Self { method, path, headers, body }));
                }
            }
            if stream.read_buf(buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<(Mutex<Truth>, Condvar)>) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(request) = Request::read(&mut stream, &mut buffer).await? {
        let (manners, before, after) = {
            let mut truth = shared.0.lock().unwrap();
            let app = request.path.split('/').nth(4).unwrap_or_default().to_owned();
            *truth.requests.entry(app).or_default() += 1;
            shared.1.notify_all();
            let manners = truth.manners;
            let half = manners.pause / 2;
            (manners, half + truth.delay(manners.slowness), half + truth.delay(manners.slowness))
        };
        tokio::time::sleep(before).await;
        let answer = {
            let mut truth = shared.0.lock().unwrap();
            if truth.chance(manners.loses_request) {
                return Ok(());
            }
            if truth.chance(manners.refuses) {
                (503, json!({ "code": 503, "msg": "not now" }))
            } else {
                let answer = act(&mut truth, &request);
                if truth.chance(manners.loses_answer) {
                    truth.lost_answers += 1;
                    return Ok(());
                }
                answer
            }
        };
        tokio::time::sleep(after).await;
        let body = answer.1.to_string();
        let head = format!(
            "HTTP/1.1 {} Whatever\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.0,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
    }
    Ok(())
}

/// Does what was asked, or refuses it and notes why.
fn act(truth: &mut Truth, request: &Request) -> (u16, Value) {
    match try_act(truth, request) {
        Ok(data) => (200, json!({ "code": 0, "msg": "Success", "data": data })),
        Err(Refusal::NoSuchRoom) => (404, json!({ "code": 20_404_100, "msg": "there is no such room" })),
        Err(Refusal::Closed) => (410, json!({ "code": 1_101_012, "msg": "the room is closed" })),
        Err(Refusal::Violation(what)) => {
            truth.violations.push(format!("{} {}: {what}", request.method, request.path));
            (400, json!({ "code": 400, "msg": what }))
        }
    }
}

enum Refusal {
    NoSuchRoom,
    Closed,
    Violation(String),
}

/// Notes what should not have been sent.
fn ensure(holds: bool, what: &str) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal::Violation(what.to_owned())) }
}

fn try_act(truth: &mut Truth, request: &Request) -> Result<Value, Refusal> {
    let header = |name: &str| request.headers.get(name).map(String::as_str).unwrap_or_default();
    ensure(header("x-admin-secret") == SECRET, "the admin secret is missing or wrong")?;
    ensure(header("accept") == "application/json", "it does not say that it wants JSON")?;
    ensure(!header("host").is_empty(), "no host")?;
    let parts: Vec<&str> = request.path.split('/').collect();
    let [_, "scenario", "meeting", "apps", _, "v1", "ext", "rooms", rest @ ..] = &parts[..] else {
        return Err(Refusal::Violation("no such path".to_owned()));
    };
    let body = if request.method == "POST" {
        ensure(header("content-type") == "application/json", "the body is not said to be JSON")?;
        let body = serde_json::from_slice::<Map<String, Value>>(&request.body);
        body.map_err(|error| Refusal::Violation(format!("the body is no JSON object: {error}")))?
    } else {
        ensure(request.body.is_empty(), "a body where none belongs")?;
        Map::new()
    };
    let now = now_ms();
    match (request.method.as_str(), rest) {
        ("POST", []) => create(truth, &body, now),
        ("GET", [uuid]) => {
            *truth.calls.entry("look").or_default() += 1;
            truth.rooms.get_mut(*uuid).ok_or(Refusal::NoSuchRoom)?.looks += 1;
            view(truth, uuid, now)
        }
        ("POST", [uuid]) => {
            *truth.calls.entry("update").or_default() += 1;
            let ends_at = check_wish(&body, false)?;
            let room = truth.rooms.get_mut(*uuid).ok_or(Refusal::NoSuchRoom)?;
            if room.closed_at.is_some() {
                return Err(Refusal::Closed);
            }
            ensure(body["roomName"] == *room.title, "another meeting's wish for this room")?;
            ensure(ends_at >= room.ends_at, "the end moves to an earlier time")?;
            room.ends_at = ends_at;
            view(truth, uuid, now)
        }
        ("POST", [uuid, "close"]) => {
            *truth.calls.entry("close").or_default() += 1;
            ensure(body.is_empty(), "a close takes nothing")?;
            let title = truth.rooms.get(*uuid).ok_or(Refusal::NoSuchRoom)?.title.clone();
            let people = truth.people.as_ref().map_or(0, |people| people(&title, now));
            let room = truth.rooms.get_mut(*uuid).ok_or(Refusal::NoSuchRoom)?;
            if room.closed_at.is_none() {
                room.closed_at = Some(now);
                room.put_out = people;
            }
            view(truth, uuid, now)
        }
        _ => Err(Refusal::Violation("no such call".to_owned())),
    }
}

fn create(truth: &mut Truth, body: &Map<String, Value>, now: i64) -> Result<Value, Refusal> {
    *truth.calls.entry("create").or_default() += 1;
    let ends_at = check_wish(body, true)?;
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let (uuid, title) = (text("roomUuid"), text("roomName"));
    ensure(uuid.len() == 32 && uuid.bytes().all(|b| b.is_ascii_hexdigit()), "no marker of ours")?;
    ensure(!title.is_empty(), "no title")?;
    if truth.rooms.contains_key(&uuid) {
        truth.repeated += 1;
    } else {
        let room = Room { title, created_at: now, closed_at: None, put_out: 0, ends_at, looks: 0 };
        truth.rooms.insert(uuid.clone(), room);
    }
    view(truth, &uuid, now)
}

/// Checks what a room should be; gives its end.
fn check_wish(body: &Map<String, Value>, is_new: bool) -> Result<i64, Refusal> {
    const KEYS: [&str; 8] = [
        "roomName",
        "opensAt",
        "startsAt",
        "endsAt",
        "closesAt",
        "closesAtLatest",
        "password",
        "muteOnEntry",
    ];
    ensure(body.contains_key("roomUuid") == is_new, "`roomUuid` belongs into a create, and only there")?;
    for key in KEYS {
        ensure(body.contains_key(key), &format!("`{key}` is missing"))?;
    }
    for key in body.keys() {
        ensure(KEYS.contains(&key.as_str()) || key == "roomUuid", &format!("`{key}` is unknown"))?;
    }
    let times: Vec<i64> = ["startsAt", "endsAt", "closesAt", "closesAtLatest"]
        .into_iter()
        .filter_map(|key| body[key].as_i64())
        .collect();
    ensure(times.len() == 4 && times.is_sorted() && times[0] < times[1], "the times make no sense")?;
    Ok(times[1])
}

fn view(truth: &Truth, uuid: &str, now: i64) -> Result<Value, Refusal> {
    let room = truth.rooms.get(uuid).ok_or(Refusal::NoSuchRoom)?;
    let is_open = room.closed_at.is_none();
    let people = truth.people.as_ref().map_or(0, |people| people(&room.title, now));
    Ok(json!({
        "roomUuid": uuid,
        "isOpen": is_open,
        "occupancy": if is_open { people } else { 0 },
        "joinUrl": format!("http://127.0.0.1/m/{uuid}"),
        "hostUrl": format!("http://127.0.0.1/m/{uuid}#host"),
    }))
}
