//! What an answer of the service, or the lack of one, means.

use super::wire::Object;
use crate::meeting_service::codes;
use crate::providers::{ProviderError, Room, Sight};
use crate::transport::{TransportError, retry_after};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Response, StatusCode};

/// The longest text of the service that is passed on, in characters.
const MAX_TEXT: usize = 200;

/// What was asked: an answer that says nothing means more after some questions than after others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Find,
    Look,
    Update,
    Close,
    Announce,
}

impl Verb {
    /// No answer that says what was done: after a question nothing can have been done.
    pub(super) fn doubt(self, why: String) -> ProviderError {
        match self {
            Self::Create | Self::Update | Self::Close | Self::Announce => ProviderError::OutcomeUnknown(why),
            Self::Find | Self::Look => ProviderError::Unavailable(why),
        }
    }
}

/// The envelope's `data`, or what the caller must do about its absence.
///
/// Only an envelope is the service's own word. Any status without one may come from a proxy in between, which knows
/// nothing about rooms: `404 Not Found` from there must not make a meeting's room look gone.
pub(super) fn understand(
    verb: Verb,
    answer: Result<Response<Bytes>, TransportError>,
    now: DateTime<Utc>,
) -> Result<Object, ProviderError> {
    let answer = answer.map_err(|error| match error {
        TransportError::NotSent(_) => ProviderError::Unavailable(error.to_string()),
        TransportError::AnswerLost(_) => verb.doubt(error.to_string()),
    })?;
    let status = answer.status();
    let envelope = Envelope::read(answer.body());
    match status {
        StatusCode::TOO_MANY_REQUESTS => {
            return Err(ProviderError::RateLimited { retry_at: retry_after(answer.headers(), now) });
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let why =
                envelope.map_or_else(|| format!("HTTP {}", status.as_u16()), |envelope| envelope.text());
            return Err(ProviderError::Unauthenticated(why));
        }
        _ => {}
    }
    let Some(envelope) = envelope else {
        return Err(verb.doubt(format!("HTTP {} and nothing that the service would say", status.as_u16())));
    };
    // A service that failed cannot know whether before or after the deed, whatever code it gives; a redirect is not
    // followed; and 408 says that somebody in between lost patience.
    let is_definite =
        (status.is_success() || status.is_client_error()) && status != StatusCode::REQUEST_TIMEOUT;
    match envelope.code {
        codes::OK if status == StatusCode::OK => Ok(envelope.object.into_data()),
        code if !is_definite || code == codes::OK || code == 408 || (500..600).contains(&code) => {
            Err(verb.doubt(format!("HTTP {}, {}", status.as_u16(), envelope.text())))
        }
        401 | 403 => Err(ProviderError::Unauthenticated(envelope.text())),
        429 => Err(ProviderError::RateLimited { retry_at: retry_after(answer.headers(), now) }),
        codes::NO_SUCH_ROOM | codes::ROOM_OR_USER_GONE if verb != Verb::Create => {
            Err(ProviderError::NotFound)
        }
        codes::NO_SUCH_ROOM | codes::ROOM_OR_USER_GONE => Err(verb.doubt(envelope.text())),
        // The account's settings are wrong, not the meeting's: it is tried again when they are right.
        404 | 405 => {
            let why = format!("{}: check `base_url`, `prefix` and `app_id`", envelope.text());
            Err(ProviderError::Unavailable(why))
        }
        _ => Err(ProviderError::Rejected(envelope.text())),
    }
}

struct Envelope {
    code: i64,
    object: Object,
}

impl Envelope {
    fn read(body: &[u8]) -> Option<Self> {
        let object = Object::read(body)?;
        Some(Self { code: object.code()?, object })
    }

    /// Code and message, fit for a line of the log.
    fn text(&self) -> String {
        let message = self.object.msg().unwrap_or_default();
        let words: String =
            message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TEXT).collect();
        let words = words.trim();
        if words.is_empty() { format!("code {}", self.code) } else { format!("code {}: {words}", self.code) }
    }
}

/// The room in an answer.
pub(super) fn room(verb: Verb, data: &Object) -> Result<Room, ProviderError> {
    fn fit(text: Option<&str>) -> Option<&str> {
        text.filter(|text| !text.is_empty() && !has_control(text))
    }
    fn link(text: Option<&str>) -> Option<&str> {
        fit(text).filter(|link| link.starts_with("https://") || link.starts_with("http://"))
    }
    match (fit(data.room_uuid()), link(data.join_url())) {
        (Some(id), Some(join_url)) => Ok(Room {
            id: id.to_owned(),
            join_url: join_url.to_owned(),
            host_url: link(data.host_url()).map(str::to_owned),
        }),
        _ => Err(verb.doubt("the answer has no room in it".to_owned())),
    }
}

/// As [`char::is_control`] says, but in one go where all is ASCII, as it is.
fn has_control(text: &str) -> bool {
    if text.is_ascii() {
        text.bytes().any(|byte| byte.is_ascii_control())
    } else {
        text.chars().any(char::is_control)
    }
}

/// The room's state in an answer.
pub(super) fn view(data: &Object) -> Result<Sight, ProviderError> {
    let Some(is_open) = data.is_open() else {
        return Err(Verb::Look.doubt("the answer does not say whether the room is open".to_owned()));
    };
    // A number that is missing or cannot be is "unknown", never "empty"; in a closed room nobody can be.
    let occupancy = if is_open { data.occupancy() } else { Some(0) };
    Ok(Sight { is_open, occupancy })
}
