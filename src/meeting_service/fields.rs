//! Reading what callers send: every length bounded, every text clean, every number in its range.

use super::envelope::ApiError;
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The longest room name, in characters.
pub(super) const MAX_ROOM_NAME: usize = 200;
/// The longest name of a person, in characters.
pub(super) const MAX_USER_NAME: usize = 64;
/// The longest id that a caller chooses, in characters.
pub(super) const MAX_ID: usize = 128;
/// The longest notice, in characters.
pub(super) const MAX_NOTICE: usize = 200;
/// The longest password, in characters.
pub(super) const MAX_PASSWORD: usize = 128;
/// The greatest instant, the end of the year 9999, in milliseconds since 1970.
const MAX_INSTANT_MS: i64 = 253_402_300_799_999;

/// A body's object. An empty body counts as an empty object, as the vendor's clients send none where nothing is needed.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    serde_json::from_slice(body)
        .map_err(|e| ApiError::bad_request(format!("the body is not a JSON object: {e}")))
}

/// An id that the caller chose: kept as it is, refused when it could not be shown or compared safely.
pub(super) fn id(object: &Map<String, Value>, key: &str) -> Result<String, ApiError> {
    let text = text(object, key)?.ok_or_else(|| ApiError::bad_request(format!("`{key}` is missing")))?;
    if text.is_empty() || text.chars().count() > MAX_ID || text.chars().any(char::is_control) {
        return Err(ApiError::bad_request(format!(
            "`{key}` must have 1 to {MAX_ID} characters and no control characters"
        )));
    }
    Ok(text.to_owned())
}

/// A name for people to read, cleaned; `None` when absent or nothing is left of it.
pub(super) fn name(
    object: &Map<String, Value>,
    key: &str,
    longest: usize,
) -> Result<Option<String>, ApiError> {
    let Some(text) = text(object, key)? else { return Ok(None) };
    let name = clean(text);
    if name.chars().count() > longest {
        return Err(ApiError::bad_request(format!("`{key}` has more than {longest} characters")));
    }
    Ok(Some(name).filter(|name| !name.is_empty()))
}

/// The password that was sent; absent, `null` and empty are all "none".
pub(super) fn password(object: &Map<String, Value>) -> Result<Option<String>, ApiError> {
    let password = text(object, "password")?.filter(|text| !text.is_empty());
    if password.is_some_and(|text| text.chars().count() > MAX_PASSWORD) {
        return Err(ApiError::bad_request(format!("`password` has more than {MAX_PASSWORD} characters")));
    }
    Ok(password.map(str::to_owned))
}

/// A text; absent and `null` are `None`.
pub(super) fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, ApiError> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ApiError::bad_request(format!("`{key}` must be a text"))),
    }
}

/// A whole number from 0 to `greatest`. Clients send them as numbers or as texts, and switches as booleans too.
pub(super) fn small(object: &Map<String, Value>, key: &str, greatest: i64) -> Result<Option<i64>, ApiError> {
    let number = match object.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(Value::Bool(is_on)) => Some(i64::from(*is_on)),
        Some(_) => None,
    };
    number
        .filter(|number| (0..=greatest).contains(number))
        .map(Some)
        .ok_or_else(|| ApiError::bad_request(format!("`{key}` must be a whole number from 0 to {greatest}")))
}

/// An instant in milliseconds since 1970.
pub(super) fn instant(object: &Map<String, Value>, key: &str) -> Result<Option<i64>, ApiError> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            value.as_i64().filter(|ms| (0..=MAX_INSTANT_MS).contains(ms)).map(Some).ok_or_else(|| {
                ApiError::bad_request(format!(
                    "`{key}` must be an instant in milliseconds since 1970, before the year 10000"
                ))
            })
        }
    }
}

/// A length of time in seconds, at most a year, as milliseconds.
pub(super) fn seconds(object: &Map<String, Value>, key: &str) -> Result<Option<i64>, ApiError> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            value.as_i64().filter(|s| (0..=366 * 86_400).contains(s)).map(|s| Some(s * 1000)).ok_or_else(
                || ApiError::bad_request(format!("`{key}` must be whole seconds, at most a year")),
            )
        }
    }
}

/// The text in one line, without control characters and without the marks that turn the direction of writing, by which
/// a name could disguise itself or what stands beside it.
pub(super) fn clean(text: &str) -> String {
    let spaced: String = text
        .chars()
        .filter(|c| !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'))
        .map(|c| if c.is_control() || c == '\u{2028}' || c == '\u{2029}' { ' ' } else { c })
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An instant for people who read messages: RFC 3339, UTC, whole seconds.
pub(super) fn rfc3339(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// SHA-256 of a secret: what is kept of a token.
pub(super) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Whether two secrets are equal, in a time that tells nothing about where they differ or how long they are.
pub(super) fn is_same_secret(a: &str, b: &str) -> bool {
    digest(a).ct_eq(&digest(b)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_could_disguise_them() {
        assert_eq!(clean("  Ann\u{0}\u{1b}[31m \n Lee \u{202e}nimda\u{2066} "), "Ann [31m Lee nimda");
        assert_eq!(clean("\u{202e}\u{7}"), "");
        assert_eq!(clean("Zoë 山田"), "Zoë 山田");
    }

    #[test]
    fn numbers_come_as_numbers_texts_or_booleans_and_never_out_of_range() {
        let body = object(br#"{"a":1,"b":"0","c":true,"d":3,"e":"x","f":1.5,"g":-1,"h":null}"#).unwrap();
        let read = |key| small(&body, key, 2).map_err(|e| e.code);
        assert_eq!(
            (read("a"), read("b"), read("c"), read("h"), read("z")),
            (Ok(Some(1)), Ok(Some(0)), Ok(Some(1)), Ok(None), Ok(None))
        );
        for key in ["d", "e", "f", "g"] {
            assert_eq!(read(key), Err(400), "{key}");
        }
    }

    #[test]
    fn secrets_of_any_length_compare() {
        assert!(is_same_secret("abc", "abc"));
        assert!(!is_same_secret("abc", "abcd"));
        assert!(!is_same_secret("", "a"));
    }
}
