//! A driver for tests alone: a service that chooses its rooms' ids itself, knows no idempotency keys, and whose search
//! shows a new room late. Everything around it is the daemon's own.

use bytes::Bytes;
use chrono::TimeDelta;
use convened::providers::{Capabilities, Provider, ProviderError, Room, RoomRequest, Shaped, Sight};
use convened::seams::{BoxFuture, Clock};
use convened::transport::{Transport, TransportError, retry_after};
use http::{Method, Request};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct PlainDriver {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    capabilities: Capabilities,
}

impl PlainDriver {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        timeout: Duration,
        find_lag: TimeDelta,
    ) -> Self {
        let capabilities = Capabilities {
            create_is_idempotent: false,
            find_lag,
            reports_occupancy: true,
            can_announce: false,
            longest_lead: None,
            daily_quota: None,
            unsupported_settings: BTreeMap::new(),
        };
        Self { transport, clock, timeout, capabilities }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        has_effect: bool,
    ) -> Result<Value, ProviderError> {
        let doubt = |why: &str| match has_effect {
            true => ProviderError::OutcomeUnknown(why.to_owned()),
            false => ProviderError::Unavailable(why.to_owned()),
        };
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("http://plain.sim/rooms{path}"))
            .body(body)
            .unwrap();
        let answer = match self.transport.send(request, self.timeout).await {
            Ok(answer) => answer,
            Err(TransportError::NotSent(why)) => return Err(ProviderError::Unavailable(why)),
            Err(TransportError::AnswerLost(why)) => return Err(doubt(&why)),
        };
        if answer.status() == 429 {
            let retry_at = retry_after(answer.headers(), self.clock.wall());
            return Err(ProviderError::RateLimited { retry_at });
        }
        let Ok(value) = serde_json::from_slice::<Value>(answer.body()) else {
            return Err(doubt("no JSON"));
        };
        match (answer.status().as_u16(), value["error"].as_str()) {
            (200, None) => Ok(value),
            (404, Some("no-such-room")) => Err(ProviderError::NotFound),
            _ => Err(doubt("failed")),
        }
    }
}

fn room(value: &Value) -> Result<Room, ProviderError> {
    match (value["id"].as_str(), value["url"].as_str()) {
        (Some(id), Some(url)) => Ok(Room { id: id.to_owned(), join_url: url.to_owned(), host_url: None }),
        _ => Err(ProviderError::OutcomeUnknown("no room in the answer".to_owned())),
    }
}

impl Provider for PlainDriver {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn create<'a>(&'a self, request: &'a RoomRequest) -> BoxFuture<'a, Result<Shaped, ProviderError>> {
        Box::pin(async move {
            let body = json!({"tag": request.marker, "title": request.title});
            room(&self.call(Method::POST, "", Some(body), true).await?).map(Shaped::from)
        })
    }

    fn find<'a>(&'a self, request: &'a RoomRequest) -> BoxFuture<'a, Result<Option<Room>, ProviderError>> {
        Box::pin(async move {
            let found = self.call(Method::GET, &format!("?tag={}", request.marker), None, false).await?;
            match (found["complete"].as_bool(), found["rooms"].as_array()) {
                (Some(true), Some(rooms)) => rooms.first().map(room).transpose(),
                _ => Err(ProviderError::Unavailable("a part of the list".to_owned())),
            }
        })
    }

    fn look<'a>(&'a self, room_id: &'a str) -> BoxFuture<'a, Result<Sight, ProviderError>> {
        Box::pin(async move {
            let seen = self.call(Method::GET, &format!("/{room_id}"), None, false).await?;
            let Some(is_open) = seen["open"].as_bool() else {
                return Err(ProviderError::Unavailable("neither open nor closed".to_owned()));
            };
            Ok(Sight { is_open, occupancy: seen["people"].as_u64().and_then(|n| u32::try_from(n).ok()) })
        })
    }

    fn update<'a>(
        &'a self,
        room_id: &'a str,
        request: &'a RoomRequest,
    ) -> BoxFuture<'a, Result<Shaped, ProviderError>> {
        Box::pin(async move {
            let body = json!({"title": request.title});
            room(&self.call(Method::PATCH, &format!("/{room_id}"), Some(body), true).await?).map(Shaped::from)
        })
    }

    fn close<'a>(&'a self, room_id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            match self.call(Method::DELETE, &format!("/{room_id}"), None, true).await?["open"].as_bool() {
                Some(false) => Ok(()),
                _ => Err(ProviderError::OutcomeUnknown("still open?".to_owned())),
            }
        })
    }
}
