//! A world for accounts: a service with its own truth, a token store that outlives crashes, a clock that nobody waits for.

use super::emulator::{Application, OAuthServer, Reply};
use crate::auth::refresh::{Point, Probe};
use crate::auth::store::{NewPair, Tokens};
use crate::auth::{Account, Entry, Grant, OAuthClient, Outside, ScopeNeed, TokenKey, TokenStore};
use crate::log::LogEvent;
use crate::seams::{BoxFuture, Clock, Entropy, Host, HostState, SystemEntropy};
use crate::transport::{Transport, TransportError};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

pub(super) const CLIENT_ID: &str = "client-1";
pub(super) const SECRET: &str = "the client's secret";
/// Friday, 15 January 2027, 08:00 UTC.
pub(super) const START_S: i64 = 1_800_000_000;

/// Where a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    At(Point),
    /// The request has left, and reached nobody.
    Sending,
    /// The service has done its work; its answer is on the way.
    Replied,
}

pub(super) const EVERYWHERE: [Where; 6] = [
    Where::At(Point::Decided),
    Where::At(Point::IntentCommitted),
    Where::Sending,
    Where::Replied,
    Where::At(Point::Answered),
    Where::At(Point::PairCommitted),
];

pub(super) struct World {
    pub(super) server: Arc<OAuthServer>,
    folder: tempfile::TempDir,
    /// The wall clock, in milliseconds, when the next life begins.
    began_ms: AtomicI64,
    pub(super) grant: Grant,
    pub(super) secret: String,
    pub(super) key: Option<&'static str>,
    pub(super) log: Arc<Log>,
}

/// One process.
pub(super) struct Life {
    pub(super) account: Account,
    pub(super) outside: Outside,
    pub(super) clock: Arc<StillClock>,
    pub(super) alarm: Arc<Notify>,
    pub(super) client: OAuthClient,
}

/// The runtime's paused clock, with a wall clock that can be set.
pub(super) struct StillClock {
    begin: tokio::time::Instant,
    began_ms: i64,
    pub(super) set_by_ms: AtomicI64,
}

impl Clock for StillClock {
    fn wall(&self) -> DateTime<Utc> {
        let at = DateTime::from_timestamp_millis(self.began_ms).unwrap()
            + TimeDelta::from_std(self.boot()).unwrap();
        at + TimeDelta::milliseconds(self.set_by_ms.load(Ordering::Relaxed))
    }
    fn boot(&self) -> Duration {
        self.begin.elapsed()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The service, in the same process; each request is a moment on its clock, which nobody can set.
struct Wire {
    server: Arc<OAuthServer>,
    clock: Arc<StillClock>,
    /// Dies there.
    crash: Option<(Where, Arc<Notify>)>,
}

impl Transport for Wire {
    fn send(
        &self,
        request: http::Request<Bytes>,
        _timeout: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
        Box::pin(async move {
            self.crash_at(Where::Sending).await;
            // Long enough for others to come in between, both ways.
            self.clock.sleep(Duration::from_millis(50)).await;
            let now = self.clock.began_ms / 1000 + i64::try_from(self.clock.boot().as_secs()).unwrap();
            self.server.set_now(now);
            let headers: BTreeMap<String, String> = request
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect();
            let target = request.uri().path_and_query().unwrap().as_str();
            let reply =
                self.server.handle(request.method().as_str(), target, &headers, request.body()).unwrap();
            self.crash_at(Where::Replied).await;
            self.clock.sleep(Duration::from_millis(50)).await;
            match reply {
                Reply::NotSent => Err(TransportError::NotSent("connection refused".to_owned())),
                Reply::Lost => Err(TransportError::AnswerLost("connection reset".to_owned())),
                Reply::Answer { status, headers, body } => {
                    let mut response = http::Response::builder().status(status);
                    for (name, value) in headers {
                        response = response.header(name, value);
                    }
                    Ok(response.body(Bytes::from(body)).unwrap())
                }
            }
        })
    }
}

impl Wire {
    async fn crash_at(&self, place: Where) {
        if let Some((crash, died)) = &self.crash
            && *crash == place
        {
            died.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// What was logged.
#[derive(Default)]
pub(super) struct Log(Mutex<Vec<String>>);

impl Host for Log {
    fn notify(&self, _state: HostState) {}
    fn log(&self, event: &LogEvent<'_>) {
        self.0.lock().unwrap().push(event.to_string());
    }
}

impl Log {
    /// Every line.
    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// The lines of an event.
    pub(super) fn of(&self, event: &str) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| line.split(' ').next() == Some(event)).cloned().collect()
    }
}

pub(super) fn application() -> Application {
    Application {
        client_id: CLIENT_ID.to_owned(),
        client_secret: SECRET.to_owned(),
        redirect_urls: vec!["http://127.0.0.1:8687/callback".to_owned()],
        account_id: None,
        scopes: "meeting:write:meeting meeting:read:meeting".to_owned(),
    }
}

impl World {
    /// Somebody has logged in at the start.
    pub(super) fn new() -> Self {
        let world = Self::without_login();
        world.log_in();
        world
    }

    pub(super) fn without_login() -> Self {
        let server = OAuthServer::new(application());
        server.set_now(START_S);
        Self {
            server,
            folder: tempfile::tempdir().unwrap(),
            began_ms: AtomicI64::new(START_S * 1000),
            grant: Grant::RefreshToken,
            secret: SECRET.to_owned(),
            key: None,
            log: Arc::default(),
        }
    }

    /// A server-to-server application.
    pub(super) fn with_credentials() -> Self {
        let mut world = Self::without_login();
        world.server.application(|application| application.account_id = Some("account-1".to_owned()));
        world.grant = Grant::AccountCredentials { account_id: "account-1".to_owned() };
        world
    }

    /// Somebody has logged in just now, by another process.
    pub(super) fn log_in(&self) -> u64 {
        let (access, refresh) = self.server.grant(CLIENT_ID);
        let issued_at = DateTime::from_timestamp_millis(self.began_ms.load(Ordering::Relaxed)).unwrap();
        let tokens =
            Tokens { access: access.into(), refresh: Some(SecretString::from(refresh)), previous: None };
        let expires_at = issued_at + TimeDelta::seconds(3600);
        let scopes = ["meeting:write:meeting".to_owned()].into();
        let pair = NewPair { tokens, scopes, issued_at, expires_at };
        self.store().put("acme", "refresh_token", CLIENT_ID, Some(issued_at), &pair).unwrap()
    }

    pub(super) fn store(&self) -> TokenStore {
        let key = self.key.map(|key| TokenKey::parse(&SecretString::from(key)).unwrap());
        TokenStore::open(self.folder.path(), key, Arc::new(SystemEntropy)).unwrap().inline()
    }

    pub(super) fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// What the store knows.
    pub(super) fn entry(&self) -> Entry {
        self.store().row("acme").unwrap().unwrap().entry
    }

    /// The refresh token that is stored.
    pub(super) fn stored(&self) -> String {
        let store = self.store();
        let row = store.row("acme").unwrap().unwrap();
        store.tokens(&row).unwrap().refresh.unwrap().expose_secret().to_owned()
    }

    pub(super) fn client(&self) -> OAuthClient {
        OAuthClient {
            provider: "acme".to_owned(),
            grant: self.grant.clone(),
            client_id: CLIENT_ID.to_owned(),
            client_secret: SecretString::from(self.secret.as_str()),
            auth_url: "http://zoom.example".to_owned(),
            scopes_needed: vec![
                ScopeNeed::new("create a meeting", &["meeting:write:meeting", "meeting:write"]),
                ScopeNeed::new("delete a meeting", &["meeting:delete:meeting", "meeting:write"]),
            ],
            timeout: Duration::from_secs(30),
        }
    }

    /// Time goes by while no process runs.
    pub(super) fn pass(&self, seconds: i64) {
        self.began_ms.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    /// A process that does `work`, and dies where it is told. `None`: it did.
    pub(super) fn live<T, F: Future<Output = T>>(
        &self,
        crash: Option<Where>,
        work: impl FnOnce(Life) -> F,
    ) -> Option<T> {
        self.live_to(crash, 1, work)
    }

    /// As [`World::live`]; it dies when it comes there for the `nth` time.
    pub(super) fn live_to<T, F: Future<Output = T>>(
        &self,
        crash: Option<Where>,
        nth: usize,
        work: impl FnOnce(Life) -> F,
    ) -> Option<T> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let died = Arc::new(Notify::new());
        let (outcome, elapsed) = runtime.block_on(async {
            let began_ms = self.began_ms.load(Ordering::Relaxed);
            let clock = Arc::new(StillClock {
                begin: tokio::time::Instant::now(),
                began_ms,
                set_by_ms: AtomicI64::new(0),
            });
            let wire = Wire {
                server: self.server.clone(),
                clock: clock.clone(),
                crash: crash.map(|place| (place, died.clone())),
            };
            let outside = Outside {
                store: Arc::new(self.store()),
                lock_dir: self.folder.path().to_owned(),
                transport: Arc::new(wire),
                clock: clock.clone(),
                entropy: Arc::new(NoEntropy),
                host: self.log.clone(),
            };
            let (alarm, client) = (Arc::new(Notify::new()), self.client());
            let probe = probe(crash, nth, died.clone());
            let account = Account::new(client.clone(), outside.clone(), alarm.clone(), probe);
            let work = work(Life { account, outside, clock: clock.clone(), alarm, client });
            let outcome = tokio::select! {
                biased;
                () = died.notified() => None,
                outcome = work => Some(outcome),
            };
            (outcome, clock.boot())
        });
        // What was under way is gone with it.
        drop(runtime);
        self.began_ms.fetch_add(i64::try_from(elapsed.as_millis()).unwrap(), Ordering::Relaxed);
        outcome
    }
}

fn probe(crash: Option<Where>, nth: usize, died: Arc<Notify>) -> Probe {
    let Some(Where::At(place)) = crash else { return Probe::default() };
    let count = Arc::new(AtomicUsize::new(0));
    Probe(Some(Arc::new(move |point| {
        let is_it = point == place && count.fetch_add(1, Ordering::Relaxed) + 1 == nth;
        let died = died.clone();
        Box::pin(async move {
            if is_it {
                died.notify_one();
                std::future::pending::<()>().await;
            }
        })
    })))
}

struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}
