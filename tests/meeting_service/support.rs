//! A service with a clock in the test's hand, and short words for calling it.

use axum::body::Body;
use chrono::{DateTime, TimeDelta, Utc};
use convened::meeting_service::{MeetingService, ServiceSettings};
use convened::seams::{BoxFuture, Clock, SystemEntropy};
use http::{HeaderMap, Request};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::ServiceExt as _;

pub(crate) const V1: &str = "/scenario/meeting/apps/convened/v1";
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// Both clocks; nothing moves them but the test.
pub(crate) struct HandClock(Mutex<(DateTime<Utc>, Duration)>);

impl HandClock {
    /// Time passes.
    pub(crate) fn pass(&self, duration: Duration) {
        let mut now = self.0.lock().unwrap();
        now.0 += TimeDelta::from_std(duration).unwrap();
        now.1 += duration;
    }

    /// Somebody sets the wall clock.
    pub(crate) fn step(&self, by: TimeDelta) {
        self.0.lock().unwrap().0 += by;
    }
}

impl Clock for HandClock {
    fn wall(&self) -> DateTime<Utc> {
        self.0.lock().unwrap().0
    }

    fn boot(&self) -> Duration {
        self.0.lock().unwrap().1
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {:?}", self.text))
    }

    /// The envelope's data, of an answer that must be a success.
    pub(crate) fn data(&self) -> Value {
        let mut envelope = self.json();
        assert_eq!((self.status, &envelope["code"]), (200, &json!(0)), "{}", self.text);
        envelope["data"].take()
    }

    /// Status and code of a refusal, which must say something.
    pub(crate) fn refusal(&self) -> (u16, i64) {
        let envelope = self.json();
        assert!(envelope["msg"].as_str().is_some_and(|msg| !msg.is_empty()), "{}", self.text);
        (self.status, envelope["code"].as_i64().unwrap())
    }
}

/// Somebody in a room.
pub(crate) struct Person {
    pub(crate) room: String,
    pub(crate) id: String,
    pub(crate) token: String,
}

pub(crate) struct World {
    pub(crate) clock: Arc<HandClock>,
    pub(crate) service: MeetingService,
    pub(crate) folder: Arc<tempfile::TempDir>,
    router: axum::Router,
    settings: ServiceSettings,
}

impl World {
    /// An empty service at nine o'clock.
    pub(crate) fn new() -> Self {
        Self::with(ServiceSettings::new("https://meet.example"))
    }

    pub(crate) fn with(settings: ServiceSettings) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let start = "2026-11-23T09:00:00Z".parse().unwrap();
        let clock = Arc::new(HandClock(Mutex::new((start, Duration::from_secs(5000)))));
        let service = open(&folder, &clock, &settings);
        let router = service.router();
        Self { clock, service, folder, router, settings }
    }

    /// The process ends and starts again on the same file.
    pub(crate) fn restart(self) -> Self {
        let Self { clock, service, folder, router, settings } = self;
        // The file is closed with the last who could use it.
        drop((router, service));
        let service = open(&folder, &clock, &settings);
        let router = service.router();
        Self { clock, service, folder, router, settings }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join(MeetingService::FILE_NAME)
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.wall().timestamp_millis()
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], String::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], body.to_string()).await
    }

    /// An administrative call; a body makes it a POST.
    pub(crate) async fn admin(&self, path: &str, body: Option<&Value>) -> Answer {
        let secret = self.service.admin_secret().expose_secret().to_owned();
        let method = if body.is_some() { "POST" } else { "GET" };
        let body = body.map(Value::to_string).unwrap_or_default();
        self.send(method, &format!("{V1}/ext/rooms{path}"), &[("x-admin-secret", &secret)], body).await
    }

    /// A call of somebody in a room, to a path below it.
    pub(crate) async fn by(&self, person: &Person, method: &str, path: &str, body: &Value) -> Answer {
        let path = format!("{V1}/room/{}{path}", person.room);
        self.send(method, &path, &[("token", &person.token)], body.to_string()).await
    }

    /// Makes a room ahead: opens now, starts in ten minutes, lasts thirty, closes five later, an hour after at the latest.
    pub(crate) async fn schedule(&self, uuid: &str, also: Value) -> Value {
        let mut body = json!({
            "roomUuid": uuid,
            "roomName": "Stand-up",
            "startsAt": self.now() + 10 * MINUTE,
            "endsAt": self.now() + 40 * MINUTE,
            "closesAt": self.now() + 45 * MINUTE,
            "closesAtLatest": self.now() + 105 * MINUTE,
        });
        body.as_object_mut().unwrap().extend(also.as_object().unwrap().clone());
        self.admin("", Some(&body)).await.data()
    }

    pub(crate) async fn try_enter(&self, uuid: &str, user: &str, also: Value) -> Answer {
        let mut body = json!({ "roomUuid": uuid, "roomName": uuid, "userUuid": user, "userName": user });
        body.as_object_mut().unwrap().extend(also.as_object().unwrap().clone());
        self.post(&format!("{V1}/room/entry"), &body).await
    }

    pub(crate) async fn enter_with(&self, uuid: &str, user: &str, also: Value) -> Person {
        let data = self.try_enter(uuid, user, also).await.data();
        let text = |key: &str| data[key].as_str().unwrap().to_owned();
        Person { room: text("roomId"), id: text("userId"), token: text("userToken") }
    }

    pub(crate) async fn enter(&self, uuid: &str, user: &str) -> Person {
        self.enter_with(uuid, user, json!({})).await
    }

    pub(crate) async fn occupancy(&self, uuid: &str) -> u64 {
        self.admin(&format!("/{uuid}"), None).await.data()["occupancy"].as_u64().unwrap()
    }

    /// Room and user as the person sees them.
    pub(crate) async fn info(&self, person: &Person) -> Value {
        self.by(person, "GET", "", &Value::Null).await.data()
    }
}

fn open(folder: &tempfile::TempDir, clock: &Arc<HandClock>, settings: &ServiceSettings) -> MeetingService {
    let path = folder.path().join(MeetingService::FILE_NAME);
    MeetingService::open(&path, clock.clone(), Arc::new(SystemEntropy), settings.clone()).unwrap()
}
