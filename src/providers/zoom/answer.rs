//! What an answer of Zoom, or the lack of one, means: by HTTP status and `code`, of which neither means much alone.

use crate::providers::{DailyQuota, ProviderError, Room};
use crate::transport::{LONGEST_PAUSE, TransportError, retry_after};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{HeaderMap, RETRY_AFTER};
use http::{Response, StatusCode};
use serde_json::Value;

/// The longest text of Zoom that is passed on, in characters.
const MAX_TEXT: usize = 300;
/// "Meeting does not exist": never there, expired or deleted.
const NO_SUCH_MEETING: i64 = 3001;

/// What was asked: an answer that says nothing means more after some questions than after others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    List,
    Get,
    Patch,
    End,
    Delete,
}

impl Verb {
    /// No answer that says what was done: after a question nothing can have been done.
    pub(super) fn doubt(self, why: String) -> ProviderError {
        match self {
            Self::Create | Self::Patch | Self::End | Self::Delete => ProviderError::OutcomeUnknown(why),
            Self::List | Self::Get => ProviderError::Unavailable(why),
        }
    }

    /// The status with which Zoom says that it did what it was asked.
    fn success(self) -> StatusCode {
        match self {
            Self::Create => StatusCode::CREATED,
            Self::List | Self::Get => StatusCode::OK,
            Self::Patch | Self::End | Self::Delete => StatusCode::NO_CONTENT,
        }
    }
}

/// An answer other than the one hoped for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 401: the token is not taken (any more). Nothing was done.
    Token(String),
    /// 400 with code 3000 and its kin: Zoom has a rule against it, such as that the meeting goes on.
    Rule {
        /// Zoom's `code`.
        code: i64,
        /// What it said.
        text: String,
    },
    /// Anything else, by what it means.
    Error(ProviderError),
}

impl From<ProviderError> for Refusal {
    fn from(error: ProviderError) -> Self {
        Self::Error(error)
    }
}

impl Refusal {
    /// What it means where it means nothing special.
    pub(super) fn into_error(self) -> ProviderError {
        match self {
            Self::Token(why) => ProviderError::Unauthenticated(why),
            Self::Rule { code, text } => ProviderError::Rejected(text_of(code, &text)),
            Self::Error(error) => error,
        }
    }
}

/// The body, or what the caller must do about its absence. An answer that does not have Zoom's form may come from a proxy in
/// between, which knows nothing about meetings.
pub(super) fn understand(
    verb: Verb,
    answer: Result<Response<Bytes>, TransportError>,
    now: DateTime<Utc>,
) -> Result<Value, Refusal> {
    let answer = answer.map_err(|error| match error {
        TransportError::NotSent(_) => ProviderError::Unavailable(error.to_string()),
        TransportError::AnswerLost(_) => verb.doubt(error.to_string()),
    })?;
    let status = answer.status();
    if status == verb.success() {
        if status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        let body = serde_json::from_slice(answer.body()).ok().filter(Value::is_object);
        return Ok(
            body.ok_or_else(|| verb.doubt(format!("HTTP {} without Zoom's answer in it", status.as_u16())))?
        );
    }
    let fault = Fault::read(answer.body());
    let text = || match &fault {
        Some(fault) => format!("HTTP {}, {}", status.as_u16(), text_of(fault.code, &fault.text)),
        None => format!("HTTP {} and nothing that Zoom would say", status.as_u16()),
    };
    let code = fault.as_ref().map(|fault| fault.code);
    let refusal = match (status.as_u16(), code) {
        // The cap on creates and updates of one user is told by its words alone: neither code nor headers differ.
        (429 | 300, Some(429 | 300)) if fault.as_ref().is_some_and(Fault::is_daily_cap) => match verb {
            Verb::Create | Verb::Patch => {
                ProviderError::QuotaSpent { frees_at: DailyQuota::frees_at(now) }.into()
            }
            Verb::List | Verb::Get | Verb::End | Verb::Delete => ProviderError::Unavailable(text()).into(),
        },
        (429, _) => {
            let is_daily = fault.as_ref().is_some_and(|fault| fault.text.contains("daily rate limit"));
            let retry_at =
                pause(answer.headers(), now).or_else(|| is_daily.then(|| DailyQuota::frees_at(now)));
            ProviderError::RateLimited { retry_at }.into()
        }
        // Scopes that are missing come by no refresh: only by the app's settings and a new login.
        (400 | 401 | 403, Some(4711 | 4700)) => ProviderError::Unauthenticated(text()).into(),
        // The account's or the host's settings are wrong, not the meeting: it is tried again when they are right.
        (404, Some(1001)) | (400 | 401, Some(1010)) | (400, Some(3161 | 200)) => {
            ProviderError::Unavailable(format!("{}: check the host (`user`) at Zoom", text())).into()
        }
        (401, _) => Refusal::Token(text()),
        (400, Some(124)) | (403, _) => ProviderError::Unauthenticated(text()).into(),
        (404, Some(NO_SUCH_MEETING)) if verb != Verb::Create && verb != Verb::List => {
            ProviderError::NotFound.into()
        }
        (404, Some(_)) => ProviderError::Unavailable(format!("{}: check `base_url`", text())).into(),
        (400..=499, Some(code)) if status != StatusCode::REQUEST_TIMEOUT => {
            Refusal::Rule { code, text: fault.map(|fault| fault.text).unwrap_or_default() }
        }
        _ => verb.doubt(text()).into(),
    };
    Err(refusal)
}

/// A body that says why not.
struct Fault {
    code: i64,
    text: String,
}

impl Fault {
    fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let code = body.get("code").and_then(|code| match code {
            Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        })?;
        let mut text = body.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
        for error in body.get("errors").and_then(Value::as_array).into_iter().flatten() {
            let field = error.get("field").and_then(Value::as_str).unwrap_or("?");
            let why = error.get("message").and_then(Value::as_str).unwrap_or_default();
            text.push_str(&format!(" {field}: {why}"));
        }
        Some(Self { code, text })
    }

    /// 100 creates and updates a day for each user.
    fn is_daily_cap(&self) -> bool {
        self.text.contains("Create/Update") || self.text.contains("(100)")
    }
}

/// Code and words, fit for a line of the log.
pub(super) fn text_of(code: i64, words: &str) -> String {
    let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TEXT).collect();
    let words = words.trim();
    if words.is_empty() { format!("code {code}") } else { format!("code {code}: {words}") }
}

/// When Zoom wants to be asked again. Its `Retry-After` is an instant in ISO 8601, against the standard.
fn pause(headers: &HeaderMap, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let within = |at: DateTime<Utc>| at.clamp(now, now + LONGEST_PAUSE);
    text(RETRY_AFTER.as_str())
        .and_then(|text| text.parse::<DateTime<Utc>>().ok().map(within))
        .or_else(|| retry_after(headers, now))
        .or_else(|| DateTime::from_timestamp(text("x-ratelimit-reset")?.parse().ok()?, 0).map(within))
}

/// A meeting's number: Zoom writes it as a number here and as a string there.
pub(super) fn id_of(value: &Value) -> Option<String> {
    match value.get("id")? {
        Value::Number(number) => number.as_i64().map(|number| number.to_string()),
        Value::String(text) => {
            let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
        }
        _ => None,
    }
}

/// The room in an answer. Its `start_url` is left where it is: it lets in whoever has it as the host, and is of no use two
/// hours later. Hosts start the meeting as who they are at Zoom.
pub(super) fn room(verb: Verb, body: &Value) -> Result<Room, ProviderError> {
    let link = body.get("join_url").and_then(Value::as_str).filter(|link| {
        (link.starts_with("https://") || link.starts_with("http://")) && !link.chars().any(char::is_control)
    });
    match (id_of(body), link) {
        (Some(id), Some(link)) => Ok(Room { id, join_url: link.to_owned(), host_url: None }),
        _ => Err(verb.doubt("the answer has no meeting in it".to_owned())),
    }
}
