//! An emulator of Zoom's meetings API, as strict as what is known of the real one: it refuses what Zoom refuses, ignores
//! what Zoom ignores, keeps what it made, counts what is limited, and misbehaves where a test wants it to.
//!
//! Whether a bearer token is good, a [`Tokens`] decides: [`FixedTokens`] for tests of the driver alone.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::missing_panics_doc,
    reason = "for tests, each of which uses a part"
)]

pub mod check;
pub mod http;

use self::http::{Request, Response};
use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;

/// Who a token speaks for.
#[derive(Debug, Clone)]
pub struct Grant {
    pub scopes: BTreeSet<String>,
    /// The user that `me` is.
    pub user: String,
    /// A token of the account (server-to-server): it names users, and its scopes end in `:admin`.
    pub is_account: bool,
}

/// Says who a bearer token speaks for; `None`: it is not, or no longer, good.
pub trait Tokens: Send + Sync {
    fn grant(&self, bearer: &str) -> Option<Grant>;
}

/// Tokens that are good until a test takes them away.
#[derive(Debug, Default)]
pub struct FixedTokens(pub Mutex<BTreeMap<String, Grant>>);

/// All granular scopes that the life of a meeting needs.
pub const SCOPES: [&str; 6] = [
    "meeting:write:meeting",
    "meeting:read:list_meetings",
    "meeting:read:meeting",
    "meeting:update:meeting",
    "meeting:delete:meeting",
    "meeting:update:status",
];

impl FixedTokens {
    pub fn with(token: &str, is_account: bool) -> Self {
        let tokens = Self::default();
        tokens.add(token, is_account);
        tokens
    }

    pub fn add(&self, token: &str, is_account: bool) {
        let suffix = if is_account { ":admin" } else { "" };
        let scopes = SCOPES.iter().map(|scope| format!("{scope}{suffix}")).collect();
        let grant = Grant { scopes, user: "host@example.com".to_owned(), is_account };
        self.0.lock().unwrap().insert(token.to_owned(), grant);
    }
}

impl Tokens for FixedTokens {
    fn grant(&self, bearer: &str) -> Option<Grant> {
        self.0.lock().unwrap().get(bearer).cloned()
    }
}

/// What happens to the next request of an operation.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is carried out, and the connection breaks before the answer.
    LosesReply,
    /// It is not carried out, and the connection breaks.
    Breaks,
    /// It is carried out, and this is answered all the same.
    DoesAndSays(Response),
    /// It is not carried out, and this is answered.
    Says(Response),
    /// It is carried out, and no answer ever comes.
    HangsAfter,
    /// It is carried out when the test says so ([`Zoom::carry_out_late`]), long after the connection broke.
    IsLate,
    /// Says that it was done, and does nothing.
    Pretends,
}

/// How the service behaves where what is known leaves it open, or where accounts differ.
#[derive(Debug, Clone)]
pub struct Manners {
    /// A meeting that goes on can be changed and deleted.
    pub takes_changes_while_live: bool,
    /// What `end` says to a meeting that does not go on: 204, or 400 with this code, or 404 with 3001.
    pub end_of_idle: (u16, i64),
    /// A new meeting is in lists only after this.
    pub list_lag: TimeDelta,
    /// Meetings on a page at most.
    pub page_cap: usize,
    /// Settings that the account has locked: they are so whatever is asked.
    pub locked: BTreeMap<String, Value>,
    /// Creates and updates a day for each host.
    pub daily_cap: u32,
    /// Users of the account.
    pub users: BTreeSet<String>,
    /// The zone that a start without zone is read in.
    pub zone: chrono_tz::Tz,
    /// Ending says yes, and the meeting goes on.
    pub end_does_nothing: bool,
    /// The language of errors.
    pub is_russian: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            takes_changes_while_live: false,
            end_of_idle: (204, 0),
            list_lag: TimeDelta::zero(),
            page_cap: 300,
            locked: BTreeMap::new(),
            daily_cap: 100,
            users: BTreeSet::from(["host@example.com".to_owned(), "other@example.com".to_owned()]),
            zone: chrono_tz::America::Los_Angeles,
            end_does_nothing: false,
            is_russian: false,
        }
    }
}

/// A meeting as the service has it.
#[derive(Debug, Clone)]
pub struct Meeting {
    pub id: i64,
    pub uuid: String,
    pub host: String,
    /// What a get shows, but for what the fields here say.
    pub fields: Map<String, Value>,
    pub starts_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub people: u32,
}

impl Meeting {
    pub fn is_live(&self) -> bool {
        self.people > 0
    }

    pub fn agenda(&self) -> &str {
        self.fields.get("agenda").and_then(Value::as_str).unwrap_or_default()
    }
}

/// The service's truth.
pub struct State {
    pub now: DateTime<Utc>,
    /// The clock of this machine is that of the service.
    pub is_in_real_time: bool,
    pub meetings: BTreeMap<i64, Meeting>,
    pub deleted: Vec<Meeting>,
    /// Instances that are over: their uuid.
    pub past: Vec<String>,
    pub writes: BTreeMap<(String, String), u32>,
    pub faults: VecDeque<(&'static str, Fault)>,
    /// The request of that number (from 0) is never answered, and carried out or not.
    pub hangs_at: Option<(usize, bool)>,
    pub manners: Manners,
    /// Every request, as method and path.
    pub requests: Vec<String>,
    /// Bodies that were refused, by what is wrong with them.
    pub refused: Vec<Value>,
    late: Vec<(Grant, Request)>,
    last_id: i64,
    last_uuid: u32,
}

/// A running emulator.
#[derive(Clone)]
pub struct Zoom {
    state: Arc<Mutex<State>>,
    tokens: Arc<dyn Tokens>,
    pub base_url: String,
}

const BASE: &str = "v2";

fn fault(status: u16, code: i64, message: &str) -> Response {
    Response::json(status, &json!({ "code": code, "message": message }))
}

/// The answer of a host's daily cap: no header tells it from others.
pub fn daily_cap_answer() -> Response {
    let message = "You have exceeded the daily rate limit (100) of Meeting Create/Update API requests permitted for this \
                   particular user. You may resume these requests at GMT 00:00:00.";
    fault(429, 429, message)
        .with("x-ratelimit-category", "Light")
        .with("x-ratelimit-limit", "6000")
        .with("x-ratelimit-remaining", "5893")
}

impl Zoom {
    /// Starts one on a port that the system chooses. It is `now` there until a test says otherwise.
    pub async fn start(tokens: Arc<dyn Tokens>, now: DateTime<Utc>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/{BASE}", listener.local_addr().unwrap());
        let zoom = Self { state: Arc::new(Mutex::new(State::new(now))), tokens, base_url };
        let server = zoom.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move {
                    let Some(request) = http::read(&mut stream).await else { return };
                    let Some(answer) = server.serve(&request) else { return };
                    match answer {
                        Some(answer) => answer.send(&mut stream).await,
                        None => std::future::pending().await,
                    }
                });
            }
        });
        zoom
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request of `operation` (`create`, `list`, `get`, `update`, `end`, `delete`) meets this.
    pub fn next(&self, operation: &'static str, fault: Fault) {
        self.lock().faults.push_back((operation, fault));
    }

    /// Requests that were late are carried out now.
    pub fn carry_out_late(&self) {
        let mut state = self.lock();
        for (grant, request) in std::mem::take(&mut state.late) {
            let _ = state.carry_out(&grant, &request);
        }
    }

    /// Somebody goes into a meeting: it goes on from then.
    pub fn enter(&self, id: &str, people: u32) {
        let mut state = self.lock();
        state.meetings.get_mut(&id.parse().unwrap()).unwrap().people += people;
    }

    /// An emulator without a listener, for a transport that hands requests over itself.
    pub fn unplugged(tokens: Arc<dyn Tokens>, now: DateTime<Utc>) -> Self {
        let base_url = format!("http://zoom.example/{BASE}");
        Self { state: Arc::new(Mutex::new(State::new(now))), tokens, base_url }
    }

    /// What is to be answered: `None` breaks the connection, `Some(None)` never answers.
    pub fn serve(&self, request: &Request) -> Option<Option<Response>> {
        let mut state = self.lock();
        if state.is_in_real_time {
            state.now = Utc::now();
        }
        state.requests.push(request.line());
        let bearer = request.headers.get("authorization").and_then(|text| text.strip_prefix("Bearer "));
        let Some(grant) = bearer.and_then(|bearer| self.tokens.grant(bearer)) else {
            return Some(Some(fault(401, 124, "Invalid access token.")));
        };
        let Some(operation) = operation(request) else {
            return Some(Some(fault(404, 2300, "This API endpoint is not recognized.")));
        };
        if let Some(refusal) = missing_scope(operation, &grant) {
            return Some(Some(refusal));
        }
        if let Some((number, is_done)) = state.hangs_at
            && state.requests.len() == number + 1
        {
            if is_done {
                let _ = state.carry_out(&grant, request);
            }
            return Some(None);
        }
        let at = state.faults.iter().position(|(of, _)| *of == operation);
        let met = at.and_then(|at| state.faults.remove(at)).map(|(_, fault)| fault);
        match met {
            None => Some(Some(state.carry_out(&grant, request))),
            Some(Fault::LosesReply) => {
                let _ = state.carry_out(&grant, request);
                None
            }
            Some(Fault::Breaks) => None,
            Some(Fault::DoesAndSays(answer)) => {
                let _ = state.carry_out(&grant, request);
                Some(Some(answer))
            }
            Some(Fault::Says(answer)) => Some(Some(answer)),
            Some(Fault::HangsAfter) => {
                let _ = state.carry_out(&grant, request);
                Some(None)
            }
            Some(Fault::IsLate) => {
                state.late.push((grant, request.clone()));
                None
            }
            Some(Fault::Pretends) => Some(Some(Response::empty(204))),
        }
    }
}

fn operation(request: &Request) -> Option<&'static str> {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    Some(match (request.method.as_str(), path.as_slice()) {
        ("POST", [BASE, "users", _, "meetings"]) => "create",
        ("GET", [BASE, "users", _, "meetings"]) => "list",
        ("GET", [BASE, "meetings", _]) => "get",
        ("PATCH", [BASE, "meetings", _]) => "update",
        ("DELETE", [BASE, "meetings", _]) => "delete",
        ("PUT", [BASE, "meetings", _, "status"]) => "end",
        _ => return None,
    })
}

fn missing_scope(operation: &str, grant: &Grant) -> Option<Response> {
    let scope = match operation {
        "create" => "meeting:write:meeting",
        "list" => "meeting:read:list_meetings",
        "get" => "meeting:read:meeting",
        "update" => "meeting:update:meeting",
        "delete" => "meeting:delete:meeting",
        _ => "meeting:update:status",
    };
    let admin = format!("{scope}:admin");
    let is_there = grant.scopes.contains(&admin) || (!grant.is_account && grant.scopes.contains(scope));
    (!is_there).then(|| {
        let message = format!("Invalid access token, does not contain scopes:[{scope}, {admin}].");
        fault(400, 4711, &message)
    })
}

impl State {
    fn new(now: DateTime<Utc>) -> Self {
        Self {
            now,
            is_in_real_time: false,
            meetings: BTreeMap::new(),
            deleted: Vec::new(),
            past: Vec::new(),
            writes: BTreeMap::new(),
            faults: VecDeque::new(),
            hangs_at: None,
            manners: Manners::default(),
            requests: Vec::new(),
            refused: Vec::new(),
            late: Vec::new(),
            last_id: 91_234_567_889,
            last_uuid: 0,
        }
    }

    fn carry_out(&mut self, grant: &Grant, request: &Request) -> Response {
        match operation(request) {
            Some("create") => self.create(grant, request),
            Some("list") => self.list(grant, request),
            Some("get") => self.get(request),
            Some("update") => self.update(request),
            Some("delete") => self.delete(request),
            _ => self.end(request),
        }
    }

    fn user(&self, grant: &Grant, request: &Request) -> Result<String, Response> {
        let named = request.path[2].as_str();
        match (named, grant.is_account) {
            ("me", false) => Ok(grant.user.clone()),
            ("me", true) => Err(fault(400, 300, "Invalid user id.")),
            (_, false) => Err(fault(400, 4711, "Invalid access token, does not contain scopes:[user].")),
            (named, true) if self.manners.users.contains(named) => Ok(named.to_owned()),
            _ => Err(fault(404, 1001, &format!("User does not exist: {}.", named))),
        }
    }

    /// Counts a create or update, unless the day's are used up.
    fn count(&mut self, host: &str) -> Result<(), Response> {
        let used = self.writes.entry((host.to_owned(), self.now.date_naive().to_string())).or_insert(0);
        if *used >= self.manners.daily_cap {
            return Err(daily_cap_answer());
        }
        *used += 1;
        Ok(())
    }

    fn valid(&mut self, kind: &str, request: &Request) -> Result<Map<String, Value>, Response> {
        let is_json =
            request.headers.get("content-type").is_some_and(|kind| kind.starts_with("application/json"));
        let body = request.json().filter(|_| is_json);
        let Some(Value::Object(body)) = body else {
            self.refused.push(json!("not JSON"));
            return Err(fault(400, 300, "Request Body should be a valid JSON object."));
        };
        let errors = check::body(kind, &Value::Object(body.clone()));
        if errors.is_empty() {
            return Ok(body);
        }
        self.refused.extend(errors.iter().cloned());
        Err(Response::json(400, &json!({ "code": 300, "message": "Validation Failed.", "errors": errors })))
    }

    /// As Zoom reads a start: with `Z` an instant, else the local time of the zone; an offset is dropped, and what cannot
    /// be read is now.
    fn start(&self, body: &Map<String, Value>, zone: &str) -> DateTime<Utc> {
        let Some(text) = body.get("start_time").and_then(Value::as_str) else { return self.now };
        let zone: chrono_tz::Tz = zone.parse().unwrap_or(self.manners.zone);
        let digits: String = text.chars().take(19).collect();
        let Ok(local) = NaiveDateTime::parse_from_str(&digits, "%Y-%m-%dT%H:%M:%S") else { return self.now };
        if text.len() > 19 {
            return local.and_utc();
        }
        zone.from_local_datetime(&local).earliest().map_or(self.now, |start| start.to_utc())
    }

    fn new_uuid(&mut self) -> String {
        self.last_uuid += 1;
        format!("/uuid//{}==", self.last_uuid)
    }

    fn lock_settings(&self, fields: &mut Map<String, Value>) {
        let settings = fields.entry("settings").or_insert_with(|| json!({})).as_object_mut().unwrap();
        for (key, value) in &self.manners.locked {
            settings.insert(key.clone(), value.clone());
        }
        if settings.get("waiting_room") == Some(&json!(true)) {
            settings.insert("join_before_host".to_owned(), json!(false));
        }
    }

    fn create(&mut self, grant: &Grant, request: &Request) -> Response {
        let host = match self.user(grant, request) {
            Ok(host) => host,
            Err(refusal) => return refusal,
        };
        let mut fields = match self.valid("create", request) {
            Ok(fields) => fields,
            Err(refusal) => return refusal,
        };
        if let Err(refusal) = self.count(&host) {
            return refusal;
        }
        self.last_id += 1;
        let id = self.last_id;
        let zone = fields.get("timezone").and_then(Value::as_str).unwrap_or_default().to_owned();
        let starts_at = self.start(&fields, &zone);
        let mut settings = json!({
            "host_video": false, "participant_video": false, "join_before_host": false, "mute_upon_entry": false,
            "waiting_room": true, "auto_recording": "none", "approval_type": 2, "use_pmi": false,
        });
        for (key, value) in fields.get("settings").and_then(Value::as_object).into_iter().flatten() {
            settings[key] = value.clone();
        }
        fields.insert("settings".to_owned(), settings);
        fields.entry("duration").or_insert(json!(60));
        fields.entry("type").or_insert(json!(2));
        fields.entry("timezone").or_insert_with(|| json!(self.manners.zone.name()));
        fields.entry("password").or_insert(json!("a1B2c3"));
        fields.remove("default_password");
        self.lock_settings(&mut fields);
        let uuid = self.new_uuid();
        let meeting = Meeting { id, uuid, host, fields, starts_at, created_at: self.now, people: 0 };
        let shown = self.show(&meeting);
        self.meetings.insert(id, meeting);
        Response::json(201, &shown)
    }

    fn show(&self, meeting: &Meeting) -> Value {
        let mut shown = meeting.fields.clone();
        shown.insert("id".to_owned(), json!(meeting.id));
        shown.insert("uuid".to_owned(), json!(meeting.uuid));
        shown.insert("host_id".to_owned(), json!("H1"));
        shown.insert("host_email".to_owned(), json!(meeting.host));
        shown.insert("status".to_owned(), json!(if meeting.is_live() { "started" } else { "waiting" }));
        let utc = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        shown.insert("start_time".to_owned(), json!(utc(meeting.starts_at)));
        shown.insert("created_at".to_owned(), json!(utc(meeting.created_at)));
        shown.insert("join_url".to_owned(), json!(format!("https://example.zoom.us/j/{}?pwd=x", meeting.id)));
        shown.insert(
            "start_url".to_owned(),
            json!(format!("https://example.zoom.us/s/{}?zak=HOST", meeting.id)),
        );
        shown.insert("creation_source".to_owned(), json!("open_api"));
        Value::Object(shown)
    }

    fn missing(&self, id: &str) -> Response {
        match self.manners.is_russian {
            true => fault(404, 3001, &format!("Конференция не существует: {id}.")),
            false => fault(404, 3001, &format!("Meeting does not exist: {id}.")),
        }
    }

    fn found(&self, request: &Request) -> Result<i64, Response> {
        let id = request.path[2].as_str();
        id.parse().ok().filter(|id| self.meetings.contains_key(id)).ok_or_else(|| self.missing(id))
    }

    fn get(&self, request: &Request) -> Response {
        if !check::query("get_query", &request.query).is_empty() {
            return fault(400, 300, "Validation Failed.");
        }
        match self.found(request) {
            Ok(id) => Response::json(200, &self.show(&self.meetings[&id])),
            Err(refusal) => refusal,
        }
    }

    fn list(&self, grant: &Grant, request: &Request) -> Response {
        let errors = check::query("list_query", &request.query);
        if !errors.is_empty() {
            return Response::json(
                400,
                &json!({ "code": 300, "message": "Validation Failed.", "errors": errors }),
            );
        }
        let host = match self.user(grant, request) {
            Ok(host) => host,
            Err(refusal) => return refusal,
        };
        let number = |key: &str| request.query.get(key).and_then(|text| text.parse::<usize>().ok());
        let size = number("page_size").unwrap_or(30).min(self.manners.page_cap);
        let from = match request.query.get("next_page_token") {
            Some(token) => match token.strip_prefix("page/").and_then(|text| text.parse::<usize>().ok()) {
                Some(from) => from,
                None => return fault(400, 300, "The next page token is invalid or expired."),
            },
            None => 0,
        };
        let kind = request.query.get("type").map_or("scheduled", String::as_str);
        let of_host: Vec<&Meeting> = self
            .meetings
            .values()
            .filter(|meeting| meeting.host == host && meeting.created_at + self.manners.list_lag <= self.now)
            .filter(|meeting| match kind {
                "live" => meeting.is_live(),
                "upcoming" | "upcoming_meetings" => {
                    meeting.starts_at >= self.now && meeting.starts_at < self.now + TimeDelta::days(183)
                }
                "previous_meetings" => meeting.starts_at < self.now,
                _ => true,
            })
            .collect();
        let page: Vec<Value> = of_host
            .iter()
            .skip(from)
            .take(size)
            .map(|meeting| {
                let full = self.show(meeting);
                let mut item = Map::new();
                for key in [
                    "uuid",
                    "id",
                    "host_id",
                    "topic",
                    "type",
                    "start_time",
                    "duration",
                    "timezone",
                    "created_at",
                    "join_url",
                ] {
                    item.insert(key.to_owned(), full[key].clone());
                }
                let agenda: String = meeting.agenda().chars().take(250).collect();
                item.insert("agenda".to_owned(), json!(agenda));
                Value::Object(item)
            })
            .collect();
        let next = if from + size < of_host.len() { format!("page/{}", from + size) } else { String::new() };
        Response::json(
            200,
            &json!({
                "page_size": size, "page_count": of_host.len().div_ceil(size.max(1)), "page_number": 1,
                "total_records": of_host.len(), "next_page_token": next, "meetings": page,
            }),
        )
    }

    fn update(&mut self, request: &Request) -> Response {
        let body = match self.valid("update", request) {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let id = match self.found(request) {
            Ok(id) => id,
            Err(refusal) => return refusal,
        };
        let mut meeting = self.meetings[&id].clone();
        if let Err(refusal) = self.count(&meeting.host.clone()) {
            return refusal;
        }
        if meeting.is_live() && !self.manners.takes_changes_while_live {
            let message = "You cannot update or delete meetings that have started using this method.";
            return fault(400, 3000, message);
        }
        let zone = body.get("timezone").or(meeting.fields.get("timezone")).and_then(Value::as_str);
        let zone = zone.unwrap_or_default().to_owned();
        for (key, value) in &body {
            match key.as_str() {
                "start_time" => {
                    // One in the past is ignored, without a word.
                    let starts_at = self.start(&body, &zone);
                    if starts_at > self.now {
                        meeting.starts_at = starts_at;
                    }
                }
                "settings" => {
                    let settings = meeting.fields.entry("settings").or_insert_with(|| json!({}));
                    for (key, value) in value.as_object().into_iter().flatten() {
                        settings[key] = value.clone();
                    }
                }
                _ => {
                    meeting.fields.insert(key.clone(), value.clone());
                }
            }
        }
        self.lock_settings(&mut meeting.fields);
        self.meetings.insert(id, meeting);
        Response::empty(204)
    }

    fn delete(&mut self, request: &Request) -> Response {
        if !check::query("delete_query", &request.query).is_empty() {
            return fault(400, 300, "Validation Failed.");
        }
        let id = match self.found(request) {
            Ok(id) => id,
            Err(refusal) => return refusal,
        };
        if self.meetings[&id].is_live() && !self.manners.takes_changes_while_live {
            return fault(400, 3002, "Sorry, you cannot delete this meeting since it's in progress.");
        }
        self.deleted.extend(self.meetings.remove(&id));
        Response::empty(204)
    }

    fn end(&mut self, request: &Request) -> Response {
        let body = match self.valid("status", request) {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let id = match self.found(request) {
            Ok(id) => id,
            Err(refusal) => return refusal,
        };
        if body.get("action") != Some(&json!("end")) {
            return fault(400, 300, "Validation Failed.");
        }
        if !self.meetings[&id].is_live() {
            return match self.manners.end_of_idle {
                (204, _) => Response::empty(204),
                (404, _) => self.missing(&id.to_string()),
                (status, code) => fault(status, code, "Cannot access meeting information."),
            };
        }
        if !self.manners.end_does_nothing {
            let uuid = self.new_uuid();
            let meeting = self.meetings.get_mut(&id).unwrap();
            meeting.people = 0;
            self.past.push(std::mem::replace(&mut meeting.uuid, uuid));
        }
        Response::empty(204)
    }
}
