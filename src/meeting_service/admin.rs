//! Our extension of the API: what a program that plans meetings needs, and that the vendor's API lacks.

use super::api::{Answer, Body, Params, object};
use super::envelope::{ApiError, Envelope};
use super::{ADMIN_SECRET_HEADER, MeetingService, fields, rooms};
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use secrecy::ExposeSecret as _;

/// The routes below `…/apps/{appId}/v1`.
pub(super) fn router() -> Router<MeetingService> {
    Router::new()
        .route("/ext/rooms", post(create))
        .route("/ext/rooms/{uuid}", get(look).post(change))
        .route("/ext/rooms/{uuid}/close", post(close))
        .route("/ext/rooms/{uuid}/notice", post(notify))
}

/// Refuses whoever does not know the admin secret.
fn check(service: &MeetingService, headers: &HeaderMap) -> Result<(), ApiError> {
    let secret = headers.get(ADMIN_SECRET_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if fields::is_same_secret(secret, service.admin_secret().expose_secret()) {
        Ok(())
    } else {
        let message = format!("the header {ADMIN_SECRET_HEADER} is missing or wrong");
        Err(ApiError::plain(StatusCode::UNAUTHORIZED, message))
    }
}

async fn create(State(service): State<MeetingService>, _: Params, headers: HeaderMap, body: Body) -> Answer {
    check(&service, &headers)?;
    let body = object(body)?;
    service.call(move |core| rooms::create(core, &body)).await.map(Envelope)
}

async fn look(State(service): State<MeetingService>, mut path: Params, headers: HeaderMap) -> Answer {
    check(&service, &headers)?;
    let uuid = path.take("uuid");
    service.call(move |core| rooms::look(core, &uuid)).await.map(Envelope)
}

async fn change(
    State(service): State<MeetingService>,
    mut path: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    check(&service, &headers)?;
    let (uuid, body) = (path.take("uuid"), object(body)?);
    service.call(move |core| rooms::change(core, &uuid, &body)).await.map(Envelope)
}

async fn close(State(service): State<MeetingService>, mut path: Params, headers: HeaderMap) -> Answer {
    check(&service, &headers)?;
    let uuid = path.take("uuid");
    service.call(move |core| rooms::close(core, &uuid)).await.map(Envelope)
}

async fn notify(
    State(service): State<MeetingService>,
    mut path: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    check(&service, &headers)?;
    let (uuid, body) = (path.take("uuid"), object(body)?);
    service.call(move |core| rooms::notify(core, &uuid, &body)).await.map(Envelope)
}
