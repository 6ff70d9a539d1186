//! Driver for the meeting service, built in or remote: rooms by its administrative calls (`docs/meeting-service.md`).
//!
//! A room's id is the occurrence's marker, which the service keeps as `roomUuid`: creating is idempotent, and finding
//! and looking are the same call.

mod answer;
mod wire;

#[cfg(test)]
mod tests;

use self::answer::{Verb, understand};
use self::wire::Object;
use super::{Capabilities, Provider, ProviderError, Room, RoomRequest, Shaped, Sight};
use crate::meeting_service::{ADMIN_SECRET_HEADER, DEFAULT_APP_ID, PREFIX};
use crate::seams::{BoxFuture, Clock};
use crate::transport::Transport;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Uri};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One account on a meeting service.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Scheme, host and port, and path where a proxy adds one: `http://127.0.0.1:8686` for the built-in service.
    pub base_url: String,
    /// What the service has between that and `/apps/…`. Default [`PREFIX`].
    pub prefix: String,
    /// The application id. Default [`DEFAULT_APP_ID`].
    pub app_id: String,
    /// Id and secret for `Authorization: Basic`, for a service behind such a check. The built-in one needs none.
    pub customer: Option<(String, SecretString)>,
    /// The secret of the service's administrative calls.
    pub admin_secret: SecretString,
    /// How long one call may take, from connecting to the answer's last byte. Default 10 s.
    pub timeout: Duration,
}

impl Settings {
    /// The defaults, for the service at `base_url`.
    pub fn new(base_url: impl Into<String>, admin_secret: SecretString) -> Self {
        Self {
            base_url: base_url.into(),
            prefix: PREFIX.to_owned(),
            app_id: DEFAULT_APP_ID.to_owned(),
            customer: None,
            admin_secret,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Rooms on a meeting service.
pub struct Driver {
    rooms_url: String,
    /// The same, ready for the requests to make a room. `None`: it is no URL.
    rooms_uri: Option<Uri>,
    /// What goes with every request: it says who we are. `None`: a secret has characters that cannot be sent.
    headers: Option<HeaderMap>,
    timeout: Duration,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    capabilities: Capabilities,
}

/// What every meeting service can and cannot do.
pub fn capabilities() -> Capabilities {
    Capabilities {
        create_is_idempotent: true,
        find_lag: TimeDelta::zero(),
        reports_occupancy: true,
        can_announce: true,
        longest_lead: None,
        daily_quota: None,
        unsupported_settings: BTreeMap::from([("recording", "is ignored")]),
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("rooms_url", &self.rooms_url).finish_non_exhaustive()
    }
}

impl Driver {
    /// A driver for one account. Nothing is sent yet.
    pub fn new(settings: Settings, transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        let Settings { base_url, prefix, app_id, customer, admin_secret, timeout } = settings;
        let prefix = prefix.trim_matches('/');
        let rooms_url = format!(
            "{}{}{prefix}/apps/{}/v1/ext/rooms",
            base_url.trim_end_matches('/'),
            if prefix.is_empty() { "" } else { "/" },
            percent_encode(&app_id),
        );
        let headers = headers(&admin_secret, customer.as_ref());
        let rooms_uri = rooms_url.parse().ok();
        Self { rooms_url, rooms_uri, headers, timeout, transport, clock, capabilities: capabilities() }
    }

    /// Asks, and gives the envelope's `data`.
    async fn get(&self, verb: Verb, path: &str) -> Result<Object, ProviderError> {
        self.call(verb, Method::GET, path, Bytes::new()).await
    }

    /// Sends `body` and gives the envelope's `data`.
    async fn post(&self, verb: Verb, path: &str, body: &impl Serialize) -> Result<Object, ProviderError> {
        let body = serde_json::to_vec(body)
            .map_err(|_| ProviderError::Rejected("this cannot be sent".to_owned()))?;
        self.call(verb, Method::POST, path, Bytes::from(body)).await
    }

    async fn call(
        &self,
        verb: Verb,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Object, ProviderError> {
        let request = self.request(method, path, body)?;
        let answer = self.transport.send(request, self.timeout).await;
        understand(verb, answer, self.clock.wall())
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Request<Bytes>, ProviderError> {
        let headers = self.headers.as_ref().ok_or_else(|| {
            ProviderError::Unauthenticated("a secret has characters that cannot be sent".to_owned())
        })?;
        let has_body = !body.is_empty();
        let uri = if path.is_empty() {
            self.rooms_uri.clone()
        } else {
            Uri::try_from(format!("{}{path}", self.rooms_url)).ok()
        };
        let uri = uri.ok_or_else(|| {
            ProviderError::Unavailable("`base_url`, `prefix` and `app_id` do not make a URL".to_owned())
        })?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.headers_mut().clone_from(headers);
        if has_body {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(request)
    }
}

fn headers(admin_secret: &SecretString, customer: Option<&(String, SecretString)>) -> Option<HeaderMap> {
    let secret = |text: &str| {
        let mut value = HeaderValue::from_str(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    };
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ADMIN_SECRET_HEADER, secret(admin_secret.expose_secret())?);
    if let Some((id, customer_secret)) = customer {
        let credentials = STANDARD.encode(format!("{id}:{}", customer_secret.expose_secret()));
        headers.insert(AUTHORIZATION, secret(&format!("Basic {credentials}"))?);
    }
    Some(headers)
}

impl Provider for Driver {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn create<'a>(&'a self, request: &'a RoomRequest) -> BoxFuture<'a, Result<Shaped, ProviderError>> {
        Box::pin(async move {
            let wish = Wish { room_uuid: Some(&request.marker), ..Wish::of(request) };
            let data = self.post(Verb::Create, "", &wish).await?;
            of_marker(Verb::Create, &request.marker, answer::room(Verb::Create, &data)?).map(Shaped::from)
        })
    }

    fn find<'a>(&'a self, request: &'a RoomRequest) -> BoxFuture<'a, Result<Option<Room>, ProviderError>> {
        Box::pin(async move {
            let marker = &request.marker;
            match self.get(Verb::Find, &path(marker)?).await {
                Ok(data) => of_marker(Verb::Find, marker, answer::room(Verb::Find, &data)?).map(Some),
                Err(ProviderError::NotFound) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn look<'a>(&'a self, room_id: &'a str) -> BoxFuture<'a, Result<Sight, ProviderError>> {
        Box::pin(async move {
            let data = self.get(Verb::Look, &path(room_id)?).await?;
            answer::view(&data)
        })
    }

    fn update<'a>(
        &'a self,
        room_id: &'a str,
        request: &'a RoomRequest,
    ) -> BoxFuture<'a, Result<Shaped, ProviderError>> {
        Box::pin(async move {
            let data = self.post(Verb::Update, &path(room_id)?, &Wish::of(request)).await?;
            answer::room(Verb::Update, &data).map(Shaped::from)
        })
    }

    fn close<'a>(&'a self, room_id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            let path = format!("{}/close", path(room_id)?);
            let data = self.post(Verb::Close, &path, &Nothing {}).await?;
            match data.is_open() {
                Some(false) => Ok(()),
                Some(true) | None => {
                    Err(Verb::Close.doubt("the answer does not say that the room is closed".to_owned()))
                }
            }
        })
    }

    fn announce<'a>(&'a self, room_id: &'a str, text: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            let path = format!("{}/notice", path(room_id)?);
            self.post(Verb::Announce, &path, &Notice { message: text }).await.map(drop)
        })
    }
}

/// An empty object, where the path says everything.
#[derive(Serialize)]
struct Nothing {}

/// What people in a room are told.
#[derive(Serialize)]
struct Notice<'a> {
    message: &'a str,
}

/// The room, if it is the one that was asked for.
fn of_marker(verb: Verb, marker: &str, room: Room) -> Result<Room, ProviderError> {
    if room.id == marker {
        Ok(room)
    } else {
        Err(verb.doubt("the service answered for another room".to_owned()))
    }
}

/// What the room should be, in the service's words; instants in milliseconds since 1970.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wish<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    room_uuid: Option<&'a str>,
    room_name: &'a str,
    opens_at: Option<i64>,
    starts_at: i64,
    ends_at: i64,
    closes_at: i64,
    closes_at_latest: i64,
    password: Option<&'a str>,
    mute_on_entry: i32,
}

impl<'a> Wish<'a> {
    fn of(request: &'a RoomRequest) -> Self {
        let ms = |at: DateTime<Utc>| at.timestamp_millis();
        let settings = &request.spec.settings;
        // Unless people may come in as soon as the room is there, the door opens at the start.
        let opens_at = match settings.join_before_host {
            Some(true) => None,
            Some(false) | None => Some(ms(request.starts_at)),
        };
        Self {
            room_uuid: None,
            room_name: &request.title,
            opens_at,
            starts_at: ms(request.starts_at),
            ends_at: ms(request.ends_at),
            closes_at: ms(request.closes_at),
            closes_at_latest: ms(request.closes_at_latest.max(request.closes_at)),
            password: settings.password.as_deref(),
            mute_on_entry: i32::from(settings.mute_on_entry == Some(true)),
        }
    }
}

/// The path of one room. An empty id would be another call.
fn path(room_id: &str) -> Result<String, ProviderError> {
    if room_id.is_empty() || room_id == "." || room_id == ".." {
        return Err(ProviderError::Rejected(format!("{room_id:?} is not a room's id")));
    }
    Ok(format!("/{}", percent_encode(room_id)))
}

/// The text as one segment of a path.
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
