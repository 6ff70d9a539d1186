//! Driver for Zoom: one scheduled meeting (type 2) for each occurrence.
//!
//! Zoom has no idempotency key: our marker stands at the start of `agenda`, and [`find`](Provider::find) reads the host's
//! whole list. A meeting that was held can be held again until it expires, so *closed* is a meeting that was ended and then
//! deleted, or ([`AfterClose::Keep`]) one that only its host can start and that is marked as closed.
//!
//! Zoom tells whether a meeting goes on, not how many are in it: [`Sight::occupancy`] is *unknown* while it does, and also
//! while guests might be in it before the host. What Zoom counts against 100 creates and updates a day of each host is told
//! by [`Provider::quota_of`] and [`Shaped::is_written`]; the engine counts.

mod answer;
mod presence;
mod scopes;
mod times;
pub mod webhook;
mod wish;

#[cfg(test)]
#[path = "../../../tests/emulators/zoom/mod.rs"]
pub(crate) mod emulator;
#[cfg(test)]
mod tests;

pub use self::presence::Presence;
pub use self::scopes::scopes_needed;

use self::answer::{Refusal, Verb, id_of, understand};
use self::presence::Thought;
use self::wish::Wish;
use super::{Capabilities, DailyQuota, Provider, ProviderError, Room, RoomRequest, RoomSpec, Shaped, Sight};
use crate::auth::{AccessToken, TokenError, TokenSource};
use crate::seams::{BoxFuture, Clock};
use crate::transport::Transport;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where Zoom's API is for everybody but accounts on regional or government clouds.
pub const BASE_URL: &str = "https://api.zoom.us/v2";
/// Creates and updates that Zoom takes a day for each host.
pub const DAILY_QUOTA: u32 = 100;
/// What an operator may not write into `zoom = { … }`: the schedule says it.
pub const SCHEDULED_KEYS: &[&str] = &wish::FORBIDDEN;
/// Most characters of `agenda`, our own line of it included.
pub const MAX_AGENDA_CHARS: usize = wish::MAX_AGENDA_CHARS;
/// The characters of our own line at the start of `agenda`, with its end.
pub const MARK_CHARS: usize = "convened-closed:\n".len() + 32;

/// Most pages of a host's list that are read. More is an error: a part of a list says nothing about what is not in it.
const MOST_PAGES: usize = 200;
/// Meetings on a page, at most what Zoom gives.
const PAGE_SIZE: usize = 300;
/// Whether a new meeting is in the list at once, nobody says.
const FIND_LAG: TimeDelta = TimeDelta::seconds(10);
/// Meetings that are kept in mind as unchangeable at most.
const MOST_UNCHANGEABLE: usize = 10_000;
/// So long a create that was thought lost may turn up.
const DOUBT_LASTS: TimeDelta = TimeDelta::minutes(30);

/// One account on Zoom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Scheme, host and path up to the version: [`BASE_URL`].
    pub base_url: String,
    /// Who hosts meetings that name nobody: `me`, or a user's id or address.
    pub user: String,
    /// Creates and updates a day for each host; [`DAILY_QUOTA`] of them, unless the account has others.
    pub quota: DailyQuota,
    /// What becomes of a meeting once it is closed.
    pub after_close: AfterClose,
    /// How long one request may take; a call makes a few of them.
    pub timeout: Duration,
}

/// What becomes of a meeting once it is closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AfterClose {
    /// It is deleted: nobody can join any more.
    #[default]
    Delete,
    /// It stays in the host's list, marked, and only its host can start it again. Costs one update.
    Keep,
}

/// Meetings of one account.
pub struct Driver {
    settings: Settings,
    tokens: Arc<dyn TokenSource>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    capabilities: Capabilities,
    presence: Arc<Presence>,
    doubts: Mutex<HashMap<String, Doubt>>,
    /// Meetings that go on and of which Zoom has refused to change the length.
    unchangeable: Mutex<HashSet<String>>,
}

/// A create may have been carried out that nobody knows of, and may be yet.
#[derive(Debug, Clone)]
struct Doubt {
    user: String,
    since: DateTime<Utc>,
}

/// What Zoom can and cannot do, for hosts with this quota.
pub fn capabilities(quota: DailyQuota) -> Capabilities {
    Capabilities {
        create_is_idempotent: false,
        find_lag: FIND_LAG,
        reports_occupancy: false,
        can_announce: false,
        longest_lead: None,
        daily_quota: Some(quota),
        unsupported_settings: BTreeMap::new(),
    }
}

/// Who hosts the rooms of a meeting: `zoom = { user = … }` of the meeting, else `default`.
pub fn host<'a>(spec: &'a RoomSpec, default: &'a str) -> &'a str {
    spec.passthrough.get("user").and_then(Value::as_str).filter(|user| !user.is_empty()).unwrap_or(default)
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Driver {
    /// A driver for one account, with what its webhooks tell. Nothing is sent yet.
    pub fn new(
        settings: Settings,
        presence: Arc<Presence>,
        tokens: Arc<dyn TokenSource>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let capabilities = capabilities(settings.quota);
        Self {
            settings,
            tokens,
            transport,
            clock,
            capabilities,
            presence,
            doubts: Mutex::default(),
            unchangeable: Mutex::default(),
        }
    }

    /// Makes one request; a token that is not taken is replaced once.
    async fn call(
        &self,
        verb: Verb,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refusal> {
        let token = self.tokens.access_token().await.map_err(without_token)?;
        let answer = self.send(verb, method.clone(), path, body, &token).await;
        if !matches!(answer, Err(Refusal::Token(_))) {
            return answer;
        }
        // 401: nothing was done.
        let token = self.tokens.replace(&token).await.map_err(without_token)?;
        self.send(verb, method, path, body, &token).await
    }

    async fn send(
        &self,
        verb: Verb,
        method: Method,
        path: &str,
        body: Option<&Value>,
        token: &AccessToken,
    ) -> Result<Value, Refusal> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.secret.expose_secret()))
            .map_err(|_| {
                ProviderError::Unauthenticated("the token has characters that cannot be sent".to_owned())
            })?;
        authorization.set_sensitive(true);
        let uri = format!("{}{path}", self.settings.base_url);
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, authorization);
        let request = match body {
            Some(body) => {
                request.header(CONTENT_TYPE, "application/json").body(Bytes::from(body.to_string()))
            }
            None => request.body(Bytes::new()),
        };
        let request = request
            .map_err(|_| ProviderError::Unavailable("`base_url` and `user` do not make a URL".to_owned()))?;
        let answer = self.transport.send(request, self.settings.timeout).await;
        understand(verb, answer, self.clock.wall())
    }

    async fn get(&self, path: &str) -> Result<Value, ProviderError> {
        self.call(Verb::Get, Method::GET, path, None).await.map_err(Refusal::into_error)
    }

    async fn patch(&self, path: &str, body: Map<String, Value>) -> Result<(), Refusal> {
        self.call(Verb::Patch, Method::PATCH, path, Some(&Value::Object(body))).await.map(drop)
    }

    /// After a create, should Zoom have understood another time than was meant (a zone of which it knows other rules, an
    /// account that forces another length): sets it once, in UTC. Returns how the meeting is then.
    async fn correct(&self, wish: &Wish<'_>, made: Value, room: &Room) -> Value {
        if wish.has_times(&made) || !wish.is_ahead(self.clock.wall()) {
            return made;
        }
        let Ok(path) = path(&room.id) else { return made };
        let Value::Object(times) = wish.times_utc() else { return made };
        // Whatever comes of it: there is a room, and how it differs is told.
        if self.patch(&path, times).await.is_err() {
            return made;
        }
        self.get(&path).await.unwrap_or(made)
    }

    /// All meetings of `user` that carry the marker, the oldest first.
    async fn list(&self, user: &str, marker: &str) -> Result<Vec<Value>, ProviderError> {
        let mut found = Vec::new();
        let mut seen = 0;
        let mut tokens = HashSet::new();
        let mut page = String::new();
        for _ in 0..MOST_PAGES {
            // "scheduled" has all that are not expired: past, going on, and ahead by however much.
            let mut path =
                format!("/users/{}/meetings?type=scheduled&page_size={PAGE_SIZE}", percent_encode(user));
            if !page.is_empty() {
                path.push_str(&format!("&next_page_token={}", percent_encode(&page)));
            }
            let body =
                self.call(Verb::List, Method::GET, &path, None).await.map_err(|refusal| match refusal {
                    // A page's token that has expired: the next try begins anew.
                    Refusal::Rule { code, text } => ProviderError::Unavailable(answer::text_of(code, &text)),
                    other => other.into_error(),
                })?;
            let Some(meetings) = body.get("meetings").and_then(Value::as_array) else {
                return Err(Verb::List.doubt("the list has no meetings in it".to_owned()));
            };
            seen += meetings.len();
            found.extend(meetings.iter().filter(|meeting| wish::carries(meeting, marker)).cloned());
            let next = body.get("next_page_token").and_then(Value::as_str).unwrap_or_default();
            if next.is_empty() {
                let total = body.get("total_records").and_then(Value::as_u64).unwrap_or(0);
                if found.is_empty() && total > u64::try_from(seen).unwrap_or(u64::MAX) {
                    return Err(Verb::List.doubt(format!("the list has {seen} of {total} meetings")));
                }
                let made_at = |meeting: &Value| meeting["created_at"].as_str().unwrap_or_default().to_owned();
                found.sort_by_key(|meeting| (made_at(meeting), id_of(meeting)));
                return Ok(found);
            }
            if !tokens.insert(next.to_owned()) {
                return Err(Verb::List.doubt("the list's pages go in a circle".to_owned()));
            }
            next.clone_into(&mut page);
        }
        Err(Verb::List.doubt(format!("the list has more than {MOST_PAGES} pages")))
    }

    /// A meeting is looked for: what became of its create is not known, and a request that is thought lost may still be
    /// carried out.
    fn doubt(&self, marker: &str, user: &str) {
        let since = self.clock.wall();
        let mut doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        doubts.retain(|_, doubt| (since - doubt.since).abs() < DOUBT_LASTS);
        doubts.insert(marker.to_owned(), Doubt { user: user.to_owned(), since });
    }

    /// Where there is doubt about a meeting that was looked at: takes away what else carries its marker.
    async fn clear_doubt(&self, meeting: &Value) {
        let Some((marker, _)) = wish::marker_of(meeting) else { return };
        let now = self.clock.wall();
        let doubt = {
            let doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
            doubts.get(marker).filter(|doubt| (now - doubt.since).abs() < DOUBT_LASTS).cloned()
        };
        let Some(doubt) = doubt else { return };
        // Nothing depends on it: the next look tries again.
        let Ok(found) = self.list(&doubt.user, marker).await else { return };
        let own = id_of(meeting);
        for stray in found.iter().filter(|stray| id_of(stray) != own) {
            let _ = self.drop_stray(stray).await;
        }
    }

    /// Whether a change of the meeting's length can be tried: not where it was refused while the meeting goes on.
    fn may_ask_again(&self, room_id: &str, is_live: bool) -> bool {
        let mut unchangeable = self.unchangeable.lock().unwrap_or_else(PoisonError::into_inner);
        if unchangeable.len() >= MOST_UNCHANGEABLE {
            unchangeable.clear();
        }
        if !is_live {
            unchangeable.remove(room_id);
        }
        !unchangeable.contains(room_id)
    }

    /// Takes away a second meeting with our marker (a create that was carried out late), unless people are in it.
    async fn drop_stray(&self, stray: &Value) -> Result<(), ProviderError> {
        let Some(id) = id_of(stray) else { return Ok(()) };
        let path = path(&id)?;
        let meeting = self.get(&path).await?;
        if meeting["status"].as_str() == Some("waiting") {
            self.delete(&path).await?;
        }
        Ok(())
    }

    async fn delete(&self, path: &str) -> Result<(), ProviderError> {
        // No mail to anybody: whoever is to hear of it, hears of it by the schedule.
        let path = format!("{path}?schedule_for_reminder=false&cancel_meeting_reminder=false");
        match self.call(Verb::Delete, Method::DELETE, &path, None).await {
            Ok(_) | Err(Refusal::Error(ProviderError::NotFound)) => Ok(()),
            // Over, and gone with it.
            Err(Refusal::Rule { code: 3007, .. }) => Ok(()),
            Err(Refusal::Rule { code: code @ (3000 | 3002), text }) => {
                Err(ProviderError::Unavailable(format!("still going on: {}", answer::text_of(code, &text))))
            }
            Err(refusal) => Err(refusal.into_error()),
        }
    }

    async fn close_meeting(&self, room_id: &str) -> Result<(), ProviderError> {
        let path = path(room_id)?;
        let end = json!({ "action": "end" });
        match self.call(Verb::End, Method::PUT, &format!("{path}/status"), Some(&end)).await {
            Ok(_) => {}
            // Not going on, perhaps, or not there: what follows tells.
            Err(Refusal::Error(ProviderError::NotFound)) => {}
            Err(Refusal::Rule { code, .. }) if code != 3063 => {}
            Err(refusal) => return Err(refusal.into_error()),
        }
        let meeting = self.get(&path).await?;
        if meeting["status"].as_str() == Some("started") {
            return Err(ProviderError::Unavailable(
                "Zoom was told to end the meeting, and it still goes on".to_owned(),
            ));
        }
        match self.settings.after_close {
            AfterClose::Delete => self.delete(&path).await,
            AfterClose::Keep if wish::is_kept_closed(&meeting) => Ok(()),
            AfterClose::Keep => {
                let Value::Object(change) = wish::closing(&meeting) else { return Ok(()) };
                self.patch(&path, change).await.map_err(Refusal::into_error)
            }
        }
    }
}

fn without_token(error: TokenError) -> ProviderError {
    match error {
        TokenError::Unavailable { why, .. } => ProviderError::Unavailable(why),
        TokenError::Dead { cause, since } => ProviderError::Unauthenticated(format!(
            "the account is not authorised since {}: {cause}; mend it with `convened login`",
            since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        )),
        TokenError::NotLoggedIn => {
            ProviderError::Unauthenticated("nobody has logged in yet: `convened login`".to_owned())
        }
        TokenError::Misconfigured(why) => ProviderError::Unauthenticated(why),
    }
}

impl Provider for Driver {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn create<'a>(&'a self, request: &'a RoomRequest) -> BoxFuture<'a, Result<Shaped, ProviderError>> {
        Box::pin(async move {
            let wish = Wish::of(request);
            let user = percent_encode(host(&request.spec, &self.settings.user));
            let made = self
                .call(Verb::Create, Method::POST, &format!("/users/{user}/meetings"), Some(&wish.create()))
                .await
                .map_err(Refusal::into_error)?;
            let room = answer::room(Verb::Create, &made)?;
            let is = self.correct(&wish, made, &room).await;
            Ok(Shaped { room, is_written: true, differs: wish.missing(&is) })
        })
    }

    fn find<'a>(&'a self, request: &'a RoomRequest) -> BoxFuture<'a, Result<Option<Room>, ProviderError>> {
        Box::pin(async move {
            let user = host(&request.spec, &self.settings.user);
            self.doubt(&request.marker, user);
            let found = self.list(user, &request.marker).await?;
            let Some((oldest, strays)) = found.split_first() else { return Ok(None) };
            for stray in strays {
                // That it stays for now keeps nobody from the room that there is.
                let _ = self.drop_stray(stray).await;
            }
            answer::room(Verb::List, oldest).map(Some)
        })
    }

    fn look<'a>(&'a self, room_id: &'a str) -> BoxFuture<'a, Result<Sight, ProviderError>> {
        Box::pin(async move {
            let meeting = self.get(&path(room_id)?).await?;
            if id_of(&meeting).is_none_or(|id| id != room_id) {
                return Err(Verb::Get.doubt("Zoom answered for another meeting".to_owned()));
            }
            self.clear_doubt(&meeting).await;
            Ok(sight(&meeting, self.presence.of(room_id)))
        })
    }

    fn update<'a>(
        &'a self,
        room_id: &'a str,
        request: &'a RoomRequest,
    ) -> BoxFuture<'a, Result<Shaped, ProviderError>> {
        Box::pin(async move {
            let path = path(room_id)?;
            let wish = Wish::of(request);
            let meeting = self.get(&path).await?;
            let room = answer::room(Verb::Get, &meeting)?;
            let patch = wish.patch(&meeting, self.clock.wall());
            if patch.is_empty() {
                return Ok(Shaped { room, is_written: false, differs: wish.missing(&meeting) });
            }
            let is_live = meeting["status"].as_str() == Some("started");
            // A meeting that goes on may show another end: the real one is ours to keep, whatever Zoom shows.
            let is_only_length = patch.keys().all(|key| key == "duration");
            let differs = |meeting: &Value| {
                let missing = wish.missing(meeting);
                if is_live {
                    missing.into_iter().filter(|what| what != "duration").collect()
                } else {
                    missing
                }
            };
            if !self.may_ask_again(room_id, is_live) && is_only_length {
                return Ok(Shaped { room, is_written: false, differs: differs(&meeting) });
            }
            match self.patch(&path, patch).await {
                Ok(()) => {}
                Err(Refusal::Rule { code: 3000, .. }) if is_live => {
                    self.unchangeable
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(room_id.to_owned());
                    return Ok(Shaped { room, is_written: true, differs: differs(&meeting) });
                }
                Err(refusal) => return Err(refusal.into_error()),
            }
            // Zoom says yes to what it then ignores.
            let meeting = self.get(&path).await.map_err(|error| match error {
                ProviderError::NotFound => error,
                other => ProviderError::OutcomeUnknown(format!("changed, and not read back: {other}")),
            })?;
            let room = answer::room(Verb::Patch, &meeting)?;
            Ok(Shaped { room, is_written: true, differs: wish.missing(&meeting) })
        })
    }

    fn close<'a>(&'a self, room_id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(self.close_meeting(room_id))
    }

    fn quota_of(&self, request: &RoomRequest) -> Option<String> {
        Some(host(&request.spec, &self.settings.user).to_lowercase())
    }
}

/// What a meeting's state says about its room, together with what was heard of it.
fn sight(meeting: &Value, thought: Option<Thought>) -> Sight {
    let is_waiting = meeting["status"].as_str() == Some("waiting");
    if is_waiting && wish::is_kept_closed(meeting) {
        return Sight { is_open: false, occupancy: Some(0) };
    }
    // Whether a meeting in which there are only guests yet counts as started, Zoom does not say.
    let is_host_needed = meeting["settings"]["join_before_host"].as_bool() == Some(false);
    let people = thought.map_or(0, |thought| thought.people);
    let is_over = thought.is_some_and(|thought| thought.is_over);
    let occupancy = match (meeting["status"].as_str(), people) {
        // Both say so: it is empty. Whether those who came in heard of are all, nobody knows; that some are, is enough.
        (Some("waiting"), 0) => (is_host_needed || is_over).then_some(0),
        (Some("started"), 1..) => Some(people),
        _ => None,
    };
    Sight { is_open: true, occupancy }
}

/// The path of one meeting. An empty id would be another call.
fn path(room_id: &str) -> Result<String, ProviderError> {
    if room_id.is_empty() || room_id == "." || room_id == ".." {
        return Err(ProviderError::Rejected(format!("{room_id:?} is not a meeting's id")));
    }
    Ok(format!("/meetings/{}", percent_encode(room_id)))
}

/// The text as one segment of a path, or one value of a query.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
