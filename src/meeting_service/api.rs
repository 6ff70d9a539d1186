//! The API for people's programs, after the vendor's first version: paths, fields and codes are theirs.

use super::envelope::{ApiError, Envelope};
use super::people::{self, Door};
use super::{MeetingService, PREFIX, admin, fields};
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::routing::{get, post};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// What every handler gives.
pub(super) type Answer = Result<Envelope, ApiError>;
/// A body, or why it could not be read.
pub(super) type Body = Result<Bytes, BytesRejection>;

/// The API under each of the paths that the vendor's clients and texts have.
pub(super) fn router(service: MeetingService) -> Router {
    let room = Router::new()
        .route("/room/entry", post(enter))
        .route("/room/{room}", get(room_info).post(change_room))
        .route("/room/{room}/simple", get(simple_info))
        .route("/room/{room}/exit", post(leave))
        .route("/room/{room}/token/refresh", post(refresh))
        .route("/room/{room}/user/page", get(page))
        .route("/room/{room}/user/{user}", post(change_user))
        .route("/room/{room}/user/{user}/exit", post(exit))
        .route("/room/{room}/user/{user}/host", post(pass_host))
        .merge(admin::router());
    let api = Router::new()
        .nest("/apps/{app}/v1", room.clone())
        .nest("/v1/apps/{app}", room)
        .fallback(async || unknown())
        .method_not_allowed_fallback(async || {
            ApiError::plain(StatusCode::METHOD_NOT_ALLOWED, "the path takes another method")
        })
        .with_state(service);
    Router::new().nest(PREFIX, api.clone()).nest("/conf", api)
}

fn unknown() -> ApiError {
    ApiError::plain(StatusCode::NOT_FOUND, "the service has no such path")
}

/// The path's parameters, once its application id has been found to be ours.
pub(super) struct Params(HashMap<String, String>);

impl Params {
    /// A parameter that the route has.
    pub(super) fn take(&mut self, key: &str) -> String {
        self.0.remove(key).unwrap_or_default()
    }
}

impl FromRequestParts<MeetingService> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, service: &MeetingService) -> Result<Self, ApiError> {
        let Path(params) = Path::<HashMap<String, String>>::from_request_parts(parts, service)
            .await
            .map_err(|e| ApiError::bad_request(format!("the path cannot be read: {e}")))?;
        if params.get("app") != Some(&service.settings().app_id) {
            return Err(ApiError::plain(StatusCode::NOT_FOUND, "the service has no application of that id"));
        }
        Ok(Self(params))
    }
}

/// The user's token, from the header that the vendor's clients use.
pub(super) fn token(headers: &HeaderMap) -> Option<String> {
    headers.get("token")?.to_str().ok().filter(|token| !token.is_empty()).map(str::to_owned)
}

/// The body's object.
pub(super) fn object(body: Body) -> Result<Map<String, Value>, ApiError> {
    let body = body.map_err(|e| match e.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let message = format!("the body is larger than {} KiB", super::MAX_BODY_BYTES / 1024);
            ApiError::plain(StatusCode::PAYLOAD_TOO_LARGE, message)
        }
        status => ApiError::plain(status, "the body could not be read"),
    })?;
    fields::object(&body)
}

async fn enter(State(service): State<MeetingService>, _: Params, body: Body) -> Answer {
    let body = object(body)?;
    let entered = service
        .call(move |core| {
            let uuid = fields::id(&body, "roomUuid")?;
            people::enter(core, &Door::Uuid(&uuid), &body)
        })
        .await?;
    Ok(Envelope(json!({ "roomId": entered.room_id, "userId": entered.user_id, "userToken": entered.token })))
}

async fn room_info(State(service): State<MeetingService>, mut path: Params, headers: HeaderMap) -> Answer {
    let (room, token) = (path.take("room"), token(&headers));
    service.call(move |core| people::room_info(core, &room, token.as_deref())).await.map(Envelope)
}

async fn simple_info(State(service): State<MeetingService>, mut path: Params) -> Answer {
    let room = path.take("room");
    service.call(move |core| people::simple_info(core, &room)).await.map(Envelope)
}

async fn change_room(
    State(service): State<MeetingService>,
    mut path: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (room, token, body) = (path.take("room"), token(&headers), object(body)?);
    service.call(move |core| people::change_room(core, &room, token.as_deref(), &body)).await.map(Envelope)
}

async fn page(
    State(service): State<MeetingService>,
    mut path: Params,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let (room, token) = (path.take("room"), token(&headers));
    let query = query.into_iter().map(|(key, value)| (key, Value::String(value))).collect();
    service.call(move |core| people::page(core, &room, token.as_deref(), &query)).await.map(Envelope)
}

async fn change_user(
    State(service): State<MeetingService>,
    mut path: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (room, user, token, body) = (path.take("room"), path.take("user"), token(&headers), object(body)?);
    service
        .call(move |core| people::change_user(core, &room, &user, token.as_deref(), &body))
        .await
        .map(Envelope)
}

async fn pass_host(State(service): State<MeetingService>, mut path: Params, headers: HeaderMap) -> Answer {
    let (room, user, token) = (path.take("room"), path.take("user"), token(&headers));
    service.call(move |core| people::pass_host(core, &room, &user, token.as_deref())).await.map(Envelope)
}

async fn exit(State(service): State<MeetingService>, mut path: Params, headers: HeaderMap) -> Answer {
    let (room, user, token) = (path.take("room"), path.take("user"), token(&headers));
    service.call(move |core| people::exit(core, &room, &user, token.as_deref())).await.map(Envelope)
}

async fn leave(State(service): State<MeetingService>, mut path: Params, headers: HeaderMap) -> Answer {
    let (room, token) = (path.take("room"), token(&headers));
    service
        .call(move |core| {
            let (room, user) = core.identify(&room, token.as_deref())?;
            people::leave(core, &room, &user).map(|()| Value::Bool(true))
        })
        .await
        .map(Envelope)
}

async fn refresh(State(service): State<MeetingService>, mut path: Params, headers: HeaderMap) -> Answer {
    let (room, token) = (path.take("room"), token(&headers));
    service.call(move |core| people::refresh(core, &room, token.as_deref())).await.map(Envelope)
}
