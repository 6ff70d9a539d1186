//! `POST /webhooks/zoom/<provider>`: what Zoom tells of its own accord. A hint to look, without any authority of its own.

use crate::log::LogEvent;
use crate::providers::zoom::Presence;
use crate::providers::zoom::webhook::{self, EventKind, Message, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use crate::seams::{Clock, Host};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use chrono::DateTime;
use secrecy::SecretString;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The largest webhook, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// A webhook that was signed longer ago than this, or so much later, is not taken, in seconds.
const WINDOW_S: i64 = 300;
/// Signatures that are kept to know a repetition by, for each provider.
const MOST_SEEN: usize = 10_000;
/// Refused webhooks of one provider are told once in so long.
const TOLD_EVERY: Duration = Duration::from_secs(3600);
/// Who comes and goes makes for a look once in so long at most, for each meeting.
const LOOK_PAUSE: Duration = Duration::from_secs(5);

/// A room that something happened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The provider's name.
    pub provider: String,
    /// The room's id there.
    pub room_id: String,
}

/// Takes the hints.
type OnHint = Box<dyn Fn(Hint) + Send + Sync>;

/// The providers whose webhooks are taken.
pub struct Webhooks {
    clock: Arc<dyn Clock>,
    host: Arc<dyn Host>,
    on_hint: OnceLock<OnHint>,
    endpoints: Mutex<HashMap<String, Endpoint>>,
}

#[derive(Default)]
struct Endpoint {
    /// `None`: no webhooks are taken.
    secret: Option<SecretString>,
    presence: Arc<Presence>,
    /// Signatures, and the second in which each was made.
    seen: HashMap<String, i64>,
    /// When a room was last told of, on the boot clock.
    looked: HashMap<String, Duration>,
    told: Option<Duration>,
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhooks").finish_non_exhaustive()
    }
}

impl Webhooks {
    /// Takes nothing yet.
    pub fn new(clock: Arc<dyn Clock>, host: Arc<dyn Host>) -> Self {
        Self { clock, host, on_hint: OnceLock::new(), endpoints: Mutex::default() }
    }

    /// From now on hints go there. Only the first one counts.
    pub fn connect(&self, on_hint: impl Fn(Hint) + Send + Sync + 'static) {
        let _ = self.on_hint.set(Box::new(on_hint));
    }

    /// Takes the webhooks of a provider, signed with `secret`, or with `None` takes none. Returns what they tell of who is in
    /// its meetings; that stays over changes of the schedule.
    pub fn serve(&self, provider: &str, secret: Option<SecretString>) -> Arc<Presence> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoint = endpoints.entry(provider.to_owned()).or_default();
        endpoint.secret = secret;
        endpoint.presence.clone()
    }

    /// The route.
    pub fn routes(self: Arc<Self>) -> Router {
        Router::new()
            .route("/webhooks/zoom/{provider}", post(receive))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(self)
    }

    fn take(&self, provider: &str, headers: &HeaderMap, body: &[u8]) -> Response {
        let (wall, boot) = (self.clock.wall(), self.clock.boot());
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (timestamp, signature) = (header(TIMESTAMP_HEADER), header(SIGNATURE_HEADER));
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let found = endpoints.get_mut(provider);
        let Some((endpoint, secret)) = found.and_then(|of| of.secret.clone().map(|secret| (of, secret)))
        else {
            return StatusCode::NOT_FOUND.into_response();
        };
        // Nothing of it is read before it is known to be Zoom's.
        let signed_at = timestamp.parse::<i64>().ok().and_then(|at| DateTime::from_timestamp(at, 0));
        let problem = if !webhook::is_signed(&secret, timestamp, body, signature) {
            Some("it is not signed with this provider's `webhook_secret`")
        } else if signed_at.is_none_or(|at| (wall - at).num_seconds().abs() > WINDOW_S) {
            Some("it was signed more than 5 minutes ago, or the clocks differ")
        } else {
            None
        };
        if let Some(why) = problem {
            if endpoint.told.is_none_or(|told| boot.saturating_sub(told) >= TOLD_EVERY) {
                endpoint.told = Some(boot);
                self.host.log(&LogEvent::WebhookRefused { provider, error: why });
            }
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let message = webhook::read(body);
        if let Some(Message::Validation { plain_token }) = &message {
            return match webhook::validation(&secret, plain_token) {
                Some(answer) => axum::Json(answer).into_response(),
                None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            };
        }
        let Some(Message::Event(event)) = message else { return StatusCode::NO_CONTENT.into_response() };
        if endpoint.is_repeated(signature, wall.timestamp()) || !endpoint.presence.note(&event) {
            return StatusCode::NO_CONTENT.into_response();
        }
        let is_crowd = matches!(event.kind, EventKind::Joined | EventKind::Left | EventKind::Changed);
        if !(is_crowd && endpoint.was_told_of(&event.meeting, boot))
            && let Some(on_hint) = self.on_hint.get()
        {
            on_hint(Hint { provider: provider.to_owned(), room_id: event.meeting });
        }
        StatusCode::NO_CONTENT.into_response()
    }
}

impl Endpoint {
    /// The very same webhook came before.
    fn is_repeated(&mut self, signature: &str, now_s: i64) -> bool {
        if self.seen.len() >= MOST_SEEN {
            self.seen.retain(|_, at| (now_s - *at).abs() <= 2 * WINDOW_S);
            if self.seen.len() >= MOST_SEEN {
                self.seen.clear();
            }
        }
        self.seen.insert(signature.to_ascii_lowercase(), now_s).is_some()
    }

    /// A look at the meeting was asked for a moment ago; notes it where not.
    fn was_told_of(&mut self, meeting: &str, boot: Duration) -> bool {
        self.looked.retain(|_, at| boot.saturating_sub(*at) < LOOK_PAUSE);
        if self.looked.contains_key(meeting) {
            return true;
        }
        self.looked.insert(meeting.to_owned(), boot);
        false
    }
}

async fn receive(
    State(webhooks): State<Arc<Webhooks>>,
    Path(provider): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    webhooks.take(&provider, &headers, &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::{BoxFuture, HostState};
    use axum::body::Body;
    use axum::http::Request;
    use chrono::Utc;
    use hmac::{Hmac, Mac as _};
    use serde_json::{Value, json};
    use tower::ServiceExt as _;

    const NOW: i64 = 1_760_000_000;

    /// A clock that a test moves, and a host that listens.
    #[derive(Default)]
    struct World {
        boot: Mutex<Duration>,
        events: Mutex<Vec<String>>,
    }

    impl Clock for World {
        fn wall(&self) -> DateTime<Utc> {
            DateTime::from_timestamp(NOW, 0).unwrap()
        }
        fn boot(&self) -> Duration {
            *self.boot.lock().unwrap()
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }

    impl Host for World {
        fn notify(&self, _: HostState) {}
        fn log(&self, event: &LogEvent<'_>) {
            self.events.lock().unwrap().push(event.to_string());
        }
    }

    struct Stage {
        world: Arc<World>,
        webhooks: Arc<Webhooks>,
        hints: Arc<Mutex<Vec<Hint>>>,
    }

    impl Stage {
        fn build() -> Self {
            let world = Arc::new(World::default());
            let webhooks = Arc::new(Webhooks::new(world.clone(), world.clone()));
            webhooks.serve("acme", Some("secret".to_owned().into()));
            webhooks.serve("silent", None);
            let hints: Arc<Mutex<Vec<Hint>>> = Arc::default();
            let heard = hints.clone();
            webhooks.connect(move |hint| heard.lock().unwrap().push(hint));
            Self { world, webhooks, hints }
        }

        async fn post(&self, path: &str, at: i64, secret: &str, body: &str) -> (u16, String) {
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
            mac.update(format!("v0:{at}:{body}").as_bytes());
            let signature: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
            let request = Request::post(path)
                .header(TIMESTAMP_HEADER, at.to_string())
                .header(SIGNATURE_HEADER, format!("v0={signature}"))
                .body(Body::from(body.to_owned()))
                .unwrap();
            let answer = self.webhooks.clone().routes().oneshot(request).await.unwrap();
            let status = answer.status().as_u16();
            let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
            (status, String::from_utf8(body.to_vec()).unwrap())
        }

        async fn event(&self, name: &str, at_ms: i64, participant: Value) -> u16 {
            let object = json!({ "id": "91234567890", "uuid": "u", "participant": participant });
            let body = json!({ "event": name, "event_ts": at_ms, "payload": { "object": object } });
            self.post("/webhooks/zoom/acme", NOW, "secret", &body.to_string()).await.0
        }

        fn hints(&self) -> usize {
            std::mem::take(&mut *self.hints.lock().unwrap()).len()
        }
    }

    const STARTED: &str = r#"{"event":"meeting.started","event_ts":1760000000000,"payload":{"object":{"id":91234567890,"uuid":"u"}}}"#;

    #[tokio::test]
    async fn only_what_zoom_signed_a_moment_ago_is_taken() {
        let stage = Stage::build();
        let path = "/webhooks/zoom/acme";
        for (path, at, secret, expected) in [
            (path, NOW, "guess", 401),
            (path, NOW - 301, "secret", 401),
            (path, NOW + 301, "secret", 401),
            (path, i64::MAX, "secret", 401),
            ("/webhooks/zoom/silent", NOW, "secret", 404),
            ("/webhooks/zoom/other", NOW, "secret", 404),
        ] {
            assert_eq!(stage.post(path, at, secret, STARTED).await.0, expected, "{path} {at} {secret}");
        }
        let bare = Request::post(path).body(Body::from(STARTED)).unwrap();
        assert_eq!(stage.webhooks.clone().routes().oneshot(bare).await.unwrap().status(), 401);
        assert_eq!(stage.hints(), 0);
        let told = stage.world.events.lock().unwrap().clone();
        assert_eq!(told.len(), 1, "told once: {told:?}");
        assert!(told[0].starts_with("webhook.refused provider=acme"), "{told:?}");
        for at in [NOW - 299, NOW + 299] {
            assert_eq!(stage.post(path, at, "secret", STARTED).await.0, 204);
        }
        let hint = Hint { provider: "acme".to_owned(), room_id: "91234567890".to_owned() };
        assert_eq!(*stage.hints.lock().unwrap(), [hint], "the second one says nothing new");
        let large = "x".repeat(MAX_BODY_BYTES + 1);
        assert_eq!(stage.post(path, NOW, "secret", &large).await.0, 413);
        assert_eq!(stage.post(path, NOW, "secret", "signed, and no JSON").await.0, 204);
    }

    #[tokio::test]
    async fn the_address_is_confirmed_to_zoom_alone() {
        let stage = Stage::build();
        let body = r#"{"event":"endpoint.url_validation","event_ts":1,"payload":{"plainToken":"abc"}}"#;
        assert_eq!(stage.post("/webhooks/zoom/acme", NOW, "guess", body).await.0, 401);
        let (status, answer) = stage.post("/webhooks/zoom/acme", NOW, "secret", body).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, &answer["plainToken"]), (200, &json!("abc")));
        assert_eq!(answer["encryptedToken"].as_str().unwrap().len(), 64);
    }

    #[tokio::test]
    async fn a_crowd_makes_for_one_look_and_the_end_always_for_one() {
        let stage = Stage::build();
        for n in 0..50 {
            let name = "meeting.participant_joined";
            assert_eq!(stage.event(name, 10 + n, json!({ "user_id": n.to_string() })).await, 204);
        }
        assert_eq!(stage.hints(), 1);
        assert_eq!(stage.event("meeting.ended", 100, Value::Null).await, 204);
        assert_eq!(stage.hints(), 1);
        *stage.world.boot.lock().unwrap() += LOOK_PAUSE;
        for n in 50..60 {
            let name = "meeting.participant_joined";
            assert_eq!(stage.event(name, 110 + n, json!({ "user_id": n.to_string() })).await, 204);
        }
        assert_eq!(stage.hints(), 1);
    }

    #[tokio::test]
    async fn what_came_before_is_a_hint_no_more() {
        let stage = Stage::build();
        for _ in 0..3 {
            assert_eq!(stage.event("meeting.ended", 100, Value::Null).await, 204);
        }
        assert_eq!(stage.event("meeting.ended", 90, Value::Null).await, 204);
        assert_eq!(stage.hints(), 1);
        let presence = stage.webhooks.serve("acme", None);
        assert!(!presence.note(&webhook::Event {
            kind: EventKind::Ended,
            at_ms: 100,
            meeting: "91234567890".to_owned(),
            person: None
        }));
    }
}
