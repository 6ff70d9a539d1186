//! An OAuth authorization server, as strict as Zoom's: authorization code with PKCE, rotating refresh tokens,
//! `account_credentials`. It keeps its own truth, which a lost answer does not undo, and can be out of order on demand.
//!
//! For any test: `mod oauth` with a `#[path]`. It knows nothing of the crate and reads no clock: [`OAuthServer::set_now`].

#![allow(dead_code, reason = "each test uses what it needs")]
#![allow(clippy::unwrap_used, reason = "only tests use it")]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use url::Url;

/// A code is good for so many seconds.
pub(crate) const CODE_LIFE_S: i64 = 300;

/// An application that is registered.
#[derive(Debug, Clone)]
pub(crate) struct Application {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    /// Compared as they are, to the last slash; `:*` stands for any port.
    pub(crate) redirect_urls: Vec<String>,
    /// For `account_credentials`.
    pub(crate) account_id: Option<String>,
    pub(crate) scopes: String,
}

/// How the server behaves.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    pub(crate) access_life_s: i64,
    /// A refresh token that was rotated out is good for so long after that.
    pub(crate) grace_s: i64,
    /// Whoever comes with a retired one ends the grant.
    pub(crate) revokes_on_reuse: bool,
    /// Refresh tokens change with each use.
    pub(crate) rotates: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self { access_life_s: 3600, grace_s: 0, revokes_on_reuse: false, rotates: true }
    }
}

/// What the next token request meets.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// This answer, and nothing is done.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// Nobody can be reached.
    Unreachable,
    /// It never arrives; the connection breaks.
    LoseRequest,
    /// It is done; the connection breaks before the answer.
    LoseReply,
    /// It is done, and answered like this instead.
    DoneBut(u16, String),
    /// It is done once [`OAuthServer::release`] is called. Over loopback only.
    Hold,
    /// It is done, and answered once [`OAuthServer::release`] is called. Over loopback only.
    HoldReply,
}

/// What a person does at the service.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Consent {
    Yes,
    No,
}

/// A request to the token endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) grant_type: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) status: u16,
}

/// What comes back, if anything does.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// Nothing arrived there.
    NotSent,
    /// The connection broke.
    Lost,
}

#[derive(Debug, Clone)]
struct Code {
    client_id: String,
    redirect_url: String,
    challenge: String,
    issued_at: i64,
    is_used: bool,
}

/// A person's consent to one application.
#[derive(Debug, Clone, Default)]
struct GrantState {
    refresh: String,
    /// Rotated out, and when.
    retired: BTreeMap<String, i64>,
    is_revoked: bool,
}

#[derive(Debug, Clone)]
struct Access {
    client_id: String,
    scopes: BTreeSet<String>,
    expires_at: i64,
}

#[derive(Debug, Default)]
struct State {
    applications: Vec<Application>,
    habits: Habits,
    now: i64,
    issued: u64,
    seed: String,
    codes: BTreeMap<String, Code>,
    grants: BTreeMap<String, GrantState>,
    access: BTreeMap<String, Access>,
    faults: VecDeque<Fault>,
    asked: Vec<Asked>,
    held: usize,
    released: usize,
    waiting: usize,
    consent: Option<Consent>,
    problems: Vec<String>,
    secrets: Vec<String>,
}

/// The server.
#[derive(Debug)]
pub(crate) struct OAuthServer {
    state: Mutex<State>,
    changed: Condvar,
}

impl OAuthServer {
    /// With one application, and habits like Zoom's.
    pub(crate) fn new(application: Application) -> Arc<Self> {
        static SERVERS: AtomicU64 = AtomicU64::new(0);
        // Other servers' tokens are other ones.
        let seed = format!("{}.{}.", std::process::id(), SERVERS.fetch_add(1, Ordering::Relaxed));
        let state = State { applications: vec![application], seed, ..State::default() };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn habits(&self, change: impl FnOnce(&mut Habits)) {
        change(&mut self.state().habits);
    }

    pub(crate) fn application(&self, change: impl FnOnce(&mut Application)) {
        change(&mut self.state().applications[0]);
    }

    /// The time, in seconds since whenever.
    pub(crate) fn set_now(&self, now: i64) {
        self.state().now = now;
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.state().now += seconds;
    }

    /// What the next token requests meet, in order.
    pub(crate) fn then(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    pub(crate) fn forget_faults(&self) {
        self.state().faults.clear();
    }

    /// What the person at the browser says from now on; without it, `GET /oauth/authorize` says yes.
    pub(crate) fn people_say(&self, consent: Consent) {
        self.state().consent = Some(consent);
    }

    /// All requests to the token endpoint that arrived.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// What was wrong with requests, beyond what they were told.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.state().problems.clone()
    }

    /// Every token, code and secret that there ever was.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let state = self.state();
        let secrets = state.applications.iter().map(|application| application.client_secret.clone());
        secrets.chain(state.secrets.iter().cloned()).collect()
    }

    /// The refresh token that is good now.
    pub(crate) fn current_refresh_token(&self, client_id: &str) -> Option<String> {
        let state = self.state();
        state.grants.get(client_id).filter(|grant| !grant.is_revoked).map(|grant| grant.refresh.clone())
    }

    /// Somebody withdraws the consent.
    pub(crate) fn revoke(&self, client_id: &str) {
        let mut state = self.state();
        if let Some(grant) = state.grants.get_mut(client_id) {
            grant.is_revoked = true;
        }
        state.access.retain(|_, access| access.client_id != client_id);
    }

    /// Access tokens end before their time.
    pub(crate) fn forget_access_tokens(&self) {
        self.state().access.clear();
    }

    /// What an access token allows; `None`: the API answers 401.
    pub(crate) fn scopes_of(&self, access_token: &str) -> Option<BTreeSet<String>> {
        let state = self.state();
        let access = state.access.get(access_token).filter(|access| access.expires_at > state.now)?;
        Some(access.scopes.clone())
    }

    /// A pair, as a login would give it: access and refresh token.
    pub(crate) fn grant(&self, client_id: &str) -> (String, String) {
        let mut state = self.state();
        let (access, refresh) = state.fresh_grant(client_id);
        (access, refresh)
    }

    /// Waits until so many requests are held.
    pub(crate) fn wait_for_held(&self, count: usize) {
        let state = self.state();
        let (state, wait) = self
            .changed
            .wait_timeout_while(state, std::time::Duration::from_secs(60), |state| state.held < count)
            .unwrap();
        assert!(!wait.timed_out(), "only {} requests came to be held", state.held);
    }

    /// Lets a held request go on.
    pub(crate) fn release(&self) {
        self.state().released += 1;
        self.changed.notify_all();
    }

    fn hold(&self) {
        let mut state = self.state();
        state.held += 1;
        let number = state.held;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| state.released < number).unwrap());
    }

    /// What a person does who opens `authorize_url`; gives the URL that the browser is led to.
    pub(crate) fn consent(&self, authorize_url: &str, says: Consent) -> Result<String, String> {
        let url = Url::parse(authorize_url).unwrap();
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let value = |key: &str| query.get(key).cloned().unwrap_or_default();
        let mut state = self.state();
        let application = state.applications.iter().find(|it| it.client_id == value("client_id")).cloned();
        let application = application.ok_or("Invalid client id (4702)")?;
        if !application.redirect_urls.iter().any(|known| is_redirect(known, &value("redirect_uri"))) {
            return Err("Invalid redirect url (4709)".to_owned());
        }
        if value("response_type") != "code" {
            return Err("unsupported response_type".to_owned());
        }
        if value("code_challenge_method") != "S256" || value("code_challenge").len() != 43 {
            state.problems.push("no PKCE with S256".to_owned());
        }
        if value("state").len() < 32 {
            state.problems.push("a state that can be guessed".to_owned());
        }
        let mut back = Url::parse(&value("redirect_uri")).unwrap();
        match says {
            Consent::No => {
                back.query_pairs_mut().append_pair("error", "access_denied");
            }
            Consent::Yes => {
                let code = state.random("code");
                back.query_pairs_mut().append_pair("code", &code);
                let issued_at = state.now;
                state.codes.insert(
                    code,
                    Code {
                        client_id: application.client_id,
                        redirect_url: value("redirect_uri"),
                        challenge: value("code_challenge"),
                        issued_at,
                        is_used: false,
                    },
                );
            }
        }
        back.query_pairs_mut().append_pair("state", &value("state"));
        Ok(back.into())
    }

    /// Answers a request. `None`: it is for somebody else.
    pub(crate) fn handle(
        &self,
        method: &str,
        target: &str,
        headers: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Option<Reply> {
        let path = target.split('?').next().unwrap_or_default();
        match (method, path) {
            ("GET", "/oauth/authorize") => {
                let says = self.state().consent.unwrap_or(Consent::Yes);
                Some(match self.consent(&format!("http://localhost{target}"), says) {
                    Ok(location) => Reply::Answer {
                        status: 302,
                        headers: vec![("location".to_owned(), location)],
                        body: Vec::new(),
                    },
                    Err(why) => json_answer(400, &json!({ "reason": why })),
                })
            }
            ("POST", "/oauth/token") => Some(self.token(target, headers, body)),
            _ => None,
        }
    }

    fn token(&self, target: &str, headers: &BTreeMap<String, String>, body: &[u8]) -> Reply {
        let fault = self.state().faults.pop_front();
        match &fault {
            Some(Fault::Unreachable) => return Reply::NotSent,
            Some(Fault::LoseRequest) => return Reply::Lost,
            Some(Fault::Answer(status, more, text)) => {
                self.state().asked.push(Asked {
                    grant_type: "(not read)".to_owned(),
                    refresh_token: None,
                    status: *status,
                });
                let mut headers: Vec<(String, String)> =
                    more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
                headers.push(("content-type".to_owned(), "application/json".to_owned()));
                return Reply::Answer { status: *status, headers, body: text.clone().into_bytes() };
            }
            Some(Fault::Hold) => self.hold(),
            _ => {}
        }
        let reply = self.state().token(target, headers, body);
        match fault {
            Some(Fault::LoseReply) => Reply::Lost,
            Some(Fault::DoneBut(status, text)) => {
                Reply::Answer { status, headers: Vec::new(), body: text.into_bytes() }
            }
            Some(Fault::HoldReply) => {
                self.hold();
                reply
            }
            _ => reply,
        }
    }

    /// Answers on loopback as long as the process lives; gives its URL.
    pub(crate) fn serve(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                std::thread::spawn(move || server.exchange(stream));
            }
        });
        url
    }

    /// One request and its answer; then the connection is closed, as somebody may have died.
    fn exchange(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let reply = self.handle(&method, &target, &headers, &body);
        let reply = reply.unwrap_or_else(|| json_answer(404, &json!({ "reason": "no such page" })));
        let Reply::Answer { status, headers, body } = reply else { return None };
        let mut head =
            format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = reader.into_inner();
        stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
        stream.write_all(&body).ok()
    }
}

impl State {
    fn token(&mut self, target: &str, headers: &BTreeMap<String, String>, body: &[u8]) -> Reply {
        if target.contains('?') {
            self.problems.push("something in the URL of a token request".to_owned());
        }
        if headers.get("content-type").map(String::as_str) != Some("application/x-www-form-urlencoded") {
            self.problems.push(format!("content type {:?}", headers.get("content-type")));
        }
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
        let value = |key: &str| form.get(key).cloned().unwrap_or_default();
        let grant_type = value("grant_type");
        let answer = match self.client_of(headers) {
            None => Err((400, "Invalid client_id or client_secret", "invalid_client")),
            Some(application) => match grant_type.as_str() {
                "refresh_token" => self.refresh(&application, &value("refresh_token")),
                "authorization_code" => self.code(&application, &form),
                "account_credentials" => self.account(&application, &value("account_id")),
                _ => Err((400, "unsupported grant type", "unsupported_grant_type")),
            },
        };
        let (status, body) = match answer {
            Ok(body) => (200, body),
            Err((status, reason, error)) => (status, json!({ "reason": reason, "error": error })),
        };
        let refresh_token = form.get("refresh_token").cloned();
        self.asked.push(Asked { grant_type, refresh_token, status });
        json_answer(status, &body)
    }

    fn client_of(&self, headers: &BTreeMap<String, String>) -> Option<Application> {
        let credentials = headers.get("authorization")?.strip_prefix("Basic ")?;
        let text = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
        let (id, secret) = text.split_once(':')?;
        let is_it = |it: &&Application| it.client_id == id && it.client_secret == secret;
        self.applications.iter().find(is_it).cloned()
    }

    fn refresh(&mut self, application: &Application, token: &str) -> Result<serde_json::Value, Refusal> {
        const STALE: Refusal = (400, "Invalid Token!", "invalid_grant");
        let (now, habits) = (self.now, self.habits.clone());
        let grant = self.grants.get_mut(&application.client_id).ok_or(STALE)?;
        if grant.is_revoked {
            return Err(STALE);
        }
        if grant.refresh != token {
            let retired_at = grant.retired.get(token).copied();
            if retired_at.is_none_or(|at| now - at >= habits.grace_s) {
                grant.is_revoked |= retired_at.is_some() && habits.revokes_on_reuse;
                return Err(STALE);
            }
        }
        let refresh = if habits.rotates { self.random("refresh") } else { token.to_owned() };
        let grant = self.grants.entry(application.client_id.clone()).or_default();
        let before = std::mem::replace(&mut grant.refresh, refresh.clone());
        if before != refresh {
            // A token that goes out of use again keeps its first hour.
            grant.retired.entry(before).or_insert(now);
        }
        let access = self.access(application);
        Ok(self.pair(application, &access, Some(&refresh)))
    }

    fn code(
        &mut self,
        application: &Application,
        form: &BTreeMap<String, String>,
    ) -> Result<serde_json::Value, Refusal> {
        let value = |key: &str| form.get(key).cloned().unwrap_or_default();
        let now = self.now;
        let code =
            self.codes.get_mut(&value("code")).ok_or((400, "Invalid authorization code", "invalid_grant"))?;
        if code.client_id != application.client_id || code.redirect_url != value("redirect_uri") {
            return Err((400, "Redirect URI mismatch", "invalid_request"));
        }
        if code.is_used || now - code.issued_at > CODE_LIFE_S {
            return Err((400, "authorization code expired", "invalid_grant"));
        }
        if URL_SAFE_NO_PAD.encode(Sha256::digest(value("code_verifier").as_bytes())) != code.challenge {
            return Err((400, "code verifier mismatch", "invalid_grant"));
        }
        code.is_used = true;
        let (access, refresh) = self.fresh_grant(&application.client_id);
        self.secrets.push(value("code_verifier"));
        Ok(self.pair(application, &access, Some(&refresh)))
    }

    fn account(&mut self, application: &Application, account_id: &str) -> Result<serde_json::Value, Refusal> {
        match application.account_id.as_deref() {
            None => Err((400, "Account does not enabled the OAuth app type", "invalid_request")),
            Some(known) if known != account_id => Err((400, "Account does not exist", "invalid_request")),
            Some(_) => {
                let access = self.access(application);
                Ok(self.pair(application, &access, None))
            }
        }
    }

    /// A new consent ends what there was before.
    fn fresh_grant(&mut self, client_id: &str) -> (String, String) {
        let application = self.applications.iter().find(|it| it.client_id == client_id).cloned().unwrap();
        self.access.retain(|_, access| access.client_id != client_id);
        let refresh = self.random("refresh");
        let grant = GrantState { refresh: refresh.clone(), ..GrantState::default() };
        self.grants.insert(client_id.to_owned(), grant);
        (self.access(&application), refresh)
    }

    fn access(&mut self, application: &Application) -> String {
        let token = self.random("access");
        let access = Access {
            client_id: application.client_id.clone(),
            scopes: application.scopes.split(' ').map(str::to_owned).collect(),
            expires_at: self.now + self.habits.access_life_s,
        };
        self.access.insert(token.clone(), access);
        token
    }

    fn pair(&self, application: &Application, access: &str, refresh: Option<&str>) -> serde_json::Value {
        let mut pair = json!({
            "access_token": access,
            "token_type": "bearer",
            "expires_in": self.habits.access_life_s,
            "scope": application.scopes,
            "api_url": "https://api.zoom.us",
        });
        if let Some(refresh) = refresh {
            pair["refresh_token"] = refresh.into();
        }
        pair
    }

    /// A token that nobody has seen before, with the characters that encodings change.
    fn random(&mut self, kind: &str) -> String {
        self.issued += 1;
        let digest = Sha256::digest(format!("{}{}{kind}", self.seed, self.issued));
        let token = format!("{}/+\"{}", STANDARD.encode(digest), self.issued);
        self.secrets.push(token.clone());
        token
    }
}

fn is_redirect(known: &str, url: &str) -> bool {
    match known.split_once(":*") {
        None => known == url,
        Some((host, path)) => {
            let port = url.strip_prefix(host).and_then(|rest| rest.strip_prefix(':'));
            port.and_then(|rest| rest.strip_suffix(path)).is_some_and(|port| port.parse::<u16>().is_ok())
        }
    }
}

type Refusal = (u16, &'static str, &'static str);

fn json_answer(status: u16, body: &serde_json::Value) -> Reply {
    Reply::Answer {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.to_string().into_bytes(),
    }
}
