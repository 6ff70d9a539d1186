//! What every call of the API answers: `{"code":0,"msg":"Success","data":…}`, and the codes of what went wrong.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

/// Codes of the envelope beyond those that equal an HTTP status. Those of eight digits are the vendor's own for the same
/// thing; 40301 is ours.
pub mod codes {
    /// Done.
    pub const OK: i64 = 0;
    /// The room is closed, or the user is no longer in it: the vendor's clients leave on it.
    pub const ROOM_OR_USER_GONE: i64 = 1_101_012;
    /// There is no such room.
    pub const NO_SUCH_ROOM: i64 = 20_404_100;
    /// There is no such user in the room.
    pub const USER_NOT_IN_ROOM: i64 = 20_410_200;
    /// As many people are in the room as may be.
    pub const ROOM_FULL: i64 = 20_403_002;
    /// The password is wrong or missing.
    pub const WRONG_PASSWORD: i64 = 32_403_100;
    /// Only a host may do that.
    pub const NOT_HOST: i64 = 32_410_201;
    /// People may not enter yet; `data.opensAt` says from when on.
    pub const NOT_OPEN_YET: i64 = 40_301;
}

/// A good answer's `data`.
#[derive(Debug)]
pub(super) struct Envelope(pub(super) Value);

impl IntoResponse for Envelope {
    fn into_response(self) -> Response {
        Json(json!({ "code": codes::OK, "msg": "Success", "data": self.0 })).into_response()
    }
}

/// Why a call was refused or failed.
#[derive(Debug)]
pub(super) struct ApiError {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The envelope's code.
    pub(super) code: i64,
    /// For people: lower case, no full stop, never a secret.
    pub(super) message: String,
    /// For programs.
    pub(super) data: Value,
}

impl ApiError {
    fn new(status: StatusCode, code: i64, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), data: Value::Null }
    }

    /// With a code that equals the status.
    pub(super) fn plain(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, i64::from(status.as_u16()), message)
    }

    /// A field is missing or wrong.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, message)
    }

    /// The user's token is missing or unknown.
    pub(super) fn bad_token() -> Self {
        Self::plain(StatusCode::UNAUTHORIZED, "the token is missing or not valid: enter the room again")
    }

    /// There is no such room.
    pub(super) fn no_such_room() -> Self {
        Self::new(StatusCode::NOT_FOUND, codes::NO_SUCH_ROOM, "there is no such room")
    }

    /// The room is closed for good.
    pub(super) fn room_closed() -> Self {
        Self::new(StatusCode::GONE, codes::ROOM_OR_USER_GONE, "the room is closed")
    }

    /// The user left or was put out.
    pub(super) fn user_gone(was_kicked: bool) -> Self {
        let message =
            if was_kicked { "the host removed you from the room" } else { "you are no longer in the room" };
        Self::new(StatusCode::GONE, codes::ROOM_OR_USER_GONE, message)
    }

    /// The room named no such user.
    pub(super) fn no_such_user() -> Self {
        Self::new(StatusCode::NOT_FOUND, codes::USER_NOT_IN_ROOM, "there is no such user in the room")
    }

    /// Only a host may do that.
    pub(super) fn not_host(what: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, codes::NOT_HOST, format!("only a host may {what}"))
    }

    /// The password is wrong or missing.
    pub(super) fn wrong_password() -> Self {
        Self::new(StatusCode::FORBIDDEN, codes::WRONG_PASSWORD, "the room's password is missing or wrong")
    }

    /// The room has as many people as it may.
    pub(super) fn room_full(limit: u32) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            codes::ROOM_FULL,
            format!("the room is full: {limit} people are in it"),
        )
    }

    /// People may not enter before `opens_at_ms`.
    pub(super) fn not_open_yet(opens_at_ms: i64) -> Self {
        let opens_at = super::fields::rfc3339(opens_at_ms);
        Self {
            data: json!({ "opensAt": opens_at_ms }),
            ..Self::new(StatusCode::FORBIDDEN, codes::NOT_OPEN_YET, format!("the room opens at {opens_at}"))
        }
    }

    /// The service is stopping, or its thread died.
    pub(super) fn stopped() -> Self {
        Self::plain(StatusCode::SERVICE_UNAVAILABLE, "the meeting service has stopped")
    }
}

impl From<&rusqlite::Error> for ApiError {
    fn from(error: &rusqlite::Error) -> Self {
        Self::plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the service could not use its database: {error}"),
        )
    }
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        Self::from(&error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({ "code": self.code, "msg": self.message });
        if !self.data.is_null() {
            body["data"] = self.data;
        }
        (self.status, Json(body)).into_response()
    }
}
