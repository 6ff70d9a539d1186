//! A stranger in front of the built-in meeting service: any sequence of requests to its paths. It never fails (5xx), never
//! opens a closed room, and never gives away a secret to somebody who did not send it.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use axum::Router;
use axum::body::{Body, to_bytes};
use convened::meeting_service::{ADMIN_SECRET_HEADER, MeetingService, ServiceSettings};
use convened_fuzz::{Counting, StillClock, beginning};
use http::{HeaderName, HeaderValue, Method, Request};
use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt as _;

#[derive(Arbitrary, Debug)]
struct Call<'a> {
    method: u8,
    path: Path<'a>,
    query: Option<&'a str>,
    is_admin: bool,
    token: Option<u8>,
    header: Option<(u8, &'a [u8])>,
    body: Option<Content<'a>>,
    pass: Option<u16>,
}

#[derive(Arbitrary, Debug)]
enum Path<'a> {
    Any(&'a str),
    /// One of the service's own, with rooms and people that there may be.
    Known {
        which: u8,
        room: u8,
        person: u8,
        odd: Option<&'a str>,
    },
}

#[derive(Arbitrary, Debug)]
enum Content<'a> {
    Bytes(&'a [u8]),
    Fields(Vec<(u8, Given<'a>)>),
}

#[derive(Arbitrary, Debug)]
enum Given<'a> {
    Null,
    Bool(bool),
    Number(i64),
    Small(u8),
    /// Around now, in milliseconds.
    Instant(i32),
    Float(f64),
    Text(&'a str),
    Known(u8),
    List(Vec<u8>),
}

const KEYS: [&str; 22] = [
    "roomUuid",
    "roomName",
    "userUuid",
    "userName",
    "password",
    "hostKey",
    "opensAt",
    "startsAt",
    "endsAt",
    "closesAt",
    "closesAtLatest",
    "muteOnEntry",
    "role",
    "enableAudio",
    "enableVideo",
    "enableChat",
    "state",
    "muteAllAudio",
    "muteAllChat",
    "nextId",
    "count",
    "closed",
];
const WORDS: [&str; 6] = ["r0", "r1", "ada", "bob", "secret", "1"];

fn value(given: &Given<'_>) -> Value {
    match given {
        Given::Null => Value::Null,
        Given::Bool(value) => json!(value),
        Given::Number(value) => json!(value),
        Given::Small(value) => json!(value % 4),
        Given::Instant(seconds) => json!(beginning().timestamp_millis() + i64::from(*seconds) * 1000),
        Given::Float(value) => json!(value),
        Given::Text(value) => json!(value),
        Given::Known(n) => json!(WORDS[usize::from(*n) % WORDS.len()]),
        Given::List(values) => json!(values),
    }
}

/// What was learned from the answers.
#[derive(Default)]
struct Learned {
    tokens: Vec<String>,
    rooms: Vec<String>,
    people: Vec<String>,
}

impl Learned {
    fn from(&mut self, answer: &Value) {
        let data = &answer["data"];
        for (key, list) in
            [("userToken", &mut self.tokens), ("roomId", &mut self.rooms), ("userId", &mut self.people)]
        {
            if let Some(text) = data[key].as_str() {
                list.push(text.to_owned());
            }
        }
        if let Some(link) = data["joinUrl"].as_str().and_then(|link| link.rsplit('/').next()) {
            self.rooms.push(link.to_owned());
        }
    }

    fn pick(list: &[String], n: u8, other: &'static str) -> String {
        list.get(usize::from(n) % (list.len() + 1)).cloned().unwrap_or_else(|| other.to_owned())
    }
}

fn path(path: &Path<'_>, learned: &Learned) -> String {
    let Path::Known { which, room, person, odd } = path else {
        let Path::Any(text) = path else { unreachable!("the other one") };
        return format!("/{text}");
    };
    let odd = odd.map(escape);
    let room = odd.clone().unwrap_or_else(|| Learned::pick(&learned.rooms, *room, "r0"));
    let person = Learned::pick(&learned.people, *person, "ada");
    let api = if which % 2 == 0 { "/scenario/meeting/apps/convened/v1" } else { "/conf/v1/apps/convened" };
    match which % 18 {
        0 | 1 => format!("{api}/room/entry"),
        2 => format!("{api}/room/{room}"),
        3 => format!("{api}/room/{room}/simple"),
        4 => format!("{api}/room/{room}/exit"),
        5 => format!("{api}/room/{room}/token/refresh"),
        6 => format!("{api}/room/{room}/user/page"),
        7 | 8 => format!("{api}/room/{room}/user/{person}"),
        9 => format!("{api}/room/{room}/user/{person}/exit"),
        10 => format!("{api}/room/{room}/user/{person}/host"),
        11 | 12 => format!("{api}/ext/rooms"),
        13 => format!("{api}/ext/rooms/{}", odd.unwrap_or_else(|| "r1".to_owned())),
        14 => format!("{api}/ext/rooms/r1/close"),
        15 => format!("/m/{room}"),
        16 => format!("/m/{room}/state"),
        _ => format!("/m/{room}/{}", if person.len() % 2 == 0 { "enter" } else { "leave" }),
    }
}

/// Some of it as a client writes it, some raw.
fn escape(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02x}")
                }
            },
        )
        .collect()
}

fn folder() -> tempfile::TempDir {
    // In memory where that is possible: the disk would be most of the work.
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
}

fn request(call: &Call<'_>, learned: &Learned, secret: &str) -> Option<Request<Body>> {
    let method = match call.method % 8 {
        0..=3 => Method::POST,
        4..=6 => Method::GET,
        _ => Method::from_bytes(if call.method > 128 { b"DELETE" } else { b"OPTIONS" }).ok()?,
    };
    let mut uri = path(&call.path, learned);
    if let Some(query) = call.query {
        uri = format!("{uri}?{query}");
    }
    let mut request = Request::builder().method(method).uri(uri).header("content-type", "application/json");
    if call.is_admin {
        request = request.header(ADMIN_SECRET_HEADER, secret);
    }
    if let Some(token) = call.token {
        request = request.header("token", Learned::pick(&learned.tokens, token, "none"));
    }
    if let Some((name, value)) = call.header {
        let names = ["cookie", "token", "x-admin-secret", "content-type", "content-length", "host", "origin"];
        let name = HeaderName::from_static(names[usize::from(name) % names.len()]);
        request = request.header(name, HeaderValue::from_bytes(value).ok()?);
    }
    let body = match &call.body {
        None => Vec::new(),
        Some(Content::Bytes(bytes)) => bytes.to_vec(),
        Some(Content::Fields(fields)) => {
            let mut object = Map::new();
            for (key, given) in fields {
                object.insert(KEYS[usize::from(*key) % KEYS.len()].to_owned(), value(given));
            }
            // What is needed to get anywhere, unless it was given.
            for (key, word) in
                [("roomUuid", "r1"), ("userUuid", "ada"), ("userName", "Ada"), ("roomName", "R")]
            {
                object.entry(key).or_insert_with(|| json!(word));
            }
            Value::Object(object).to_string().into_bytes()
        }
    };
    request.body(Body::from(body)).ok()
}

async fn look_at_r1(router: &Router, secret: &str) -> Option<bool> {
    let request = Request::get("/scenario/meeting/apps/convened/v1/ext/rooms/r1")
        .header(ADMIN_SECRET_HEADER, secret)
        .body(Body::empty())
        .expect("a request");
    let answer = router.clone().oneshot(request).await.expect("infallible");
    let body = to_bytes(answer.into_body(), 1 << 22).await.expect("a body");
    let answer: Value = serde_json::from_slice(&body).expect("JSON");
    answer["data"]["isOpen"].as_bool()
}

async fn run(calls: &[Call<'_>]) {
    let folder = folder();
    let clock = Arc::new(StillClock::new());
    let mut settings = ServiceSettings::new("https://meet.example");
    settings.max_entered_rooms = 3;
    settings.max_users_per_room = 3;
    let file = folder.path().join(MeetingService::FILE_NAME);
    let service = MeetingService::open(&file, clock.clone(), Arc::new(Counting::default()), settings)
        .expect("a service");
    let secret = service.admin_secret().expose_secret().to_owned();
    let router = service.router();
    let mut learned = Learned::default();
    let mut was_closed = false;
    for call in calls {
        if let Some(seconds) = call.pass {
            clock.pass(Duration::from_secs(seconds.into()));
        }
        let Some(request) = request(call, &learned, &secret) else { continue };
        let what = format!("{} {}", request.method(), request.uri());
        let is_api =
            ["/scenario/meeting/", "/conf/"].iter().any(|lead| request.uri().path().starts_with(lead));
        let knows_secret =
            request.headers().get(ADMIN_SECRET_HEADER).is_some_and(|value| value == secret.as_str());
        let answer = router.clone().oneshot(request).await.expect("infallible");
        let status = answer.status();
        assert!(!status.is_server_error(), "{what}: {status}");
        for (name, value) in answer.headers() {
            assert!(!value.as_bytes().contains(&b'\n'), "{what}: {name}");
        }
        let body = to_bytes(answer.into_body(), 1 << 22).await.expect("a body");
        let text = String::from_utf8_lossy(&body);
        assert!(!text.contains(&secret), "{what} gives away the admin secret");
        if is_api {
            let answer: Value =
                serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{what}: {status} {text}"));
            assert!(answer["code"].is_i64(), "{what}: {text}");
            assert_eq!(answer["code"] == 0, status.is_success(), "{what}: {status} {text}");
            if !knows_secret {
                assert!(answer["data"]["hostUrl"].is_null(), "{what}: {text}");
            }
            learned.from(&answer);
        }
        let is_open = look_at_r1(&router, &secret).await;
        assert!(!(was_closed && is_open == Some(true)), "{what} opened a closed room");
        was_closed |= is_open == Some(false);
    }
    if calls.len() % 4 == 0 {
        service.sweep().await.expect("a database");
    }
    // No token is anybody else's: each was given once.
    let distinct: BTreeSet<&String> = learned.tokens.iter().collect();
    assert_eq!(distinct.len(), learned.tokens.len());
}

fuzz_target!(|input: &[u8]| {
    let mut u = Unstructured::new(input);
    let mut calls = Vec::new();
    while calls.len() < 24
        && !u.is_empty()
        && let Ok(call) = Call::arbitrary(&mut u)
    {
        calls.push(call);
    }
    convened_fuzz::block_on(run(&calls));
});
