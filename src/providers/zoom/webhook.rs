//! Zoom's webhooks: whether one is Zoom's, and what it says.

use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::Sha256;

/// The header with the time at which a webhook was signed, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "x-zm-request-timestamp";
/// The header with the signature: `v0=` and hexadecimal digits.
pub const SIGNATURE_HEADER: &str = "x-zm-signature";

/// What a webhook says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Zoom wants to know whether the address is ours: it is answered with [`validation`].
    Validation {
        /// To be signed.
        plain_token: String,
    },
    /// Something happened to a meeting.
    Event(Event),
    /// Nothing that concerns a meeting's room.
    Other,
}

/// Something that happened to a meeting, according to Zoom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// When it happened, in milliseconds since 1970; webhooks come late, twice and in any order.
    pub at_ms: i64,
    /// The meeting's number.
    pub meeting: String,
    /// Who, for somebody who came or left: another word each time that they come.
    pub person: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The meeting began to go on.
    Started,
    /// It goes on no more.
    Ended,
    /// Somebody came in.
    Joined,
    /// Somebody left.
    Left,
    /// Something else: worth a look.
    Changed,
}

/// Whether `signature` was made of `timestamp` and `body` with the app's secret token. Takes the same time for every
/// signature of the right length.
pub fn is_signed(secret: &SecretString, timestamp: &str, body: &[u8], signature: &str) -> bool {
    let Some(signature) = signature.strip_prefix("v0=").and_then(from_hex) else { return false };
    let Some(mac) = mac(secret, &[b"v0:", timestamp.as_bytes(), b":", body]) else { return false };
    mac.verify_slice(&signature).is_ok()
}

/// The answer to [`Message::Validation`].
pub fn validation(secret: &SecretString, plain_token: &str) -> Option<Value> {
    let encrypted: String = mac(secret, &[plain_token.as_bytes()])?
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Some(serde_json::json!({ "plainToken": plain_token, "encryptedToken": encrypted }))
}

fn mac(secret: &SecretString, parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
    // Any length is a key.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
    parts.iter().for_each(|part| mac.update(part));
    Some(mac)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Reads a webhook that is signed. `None`: it is not in Zoom's form.
pub fn read(body: &[u8]) -> Option<Message> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let name = body.get("event")?.as_str()?;
    let payload = body.get("payload")?;
    if name == "endpoint.url_validation" {
        let plain_token = payload.get("plainToken")?.as_str()?.to_owned();
        return Some(Message::Validation { plain_token });
    }
    let kind = match name {
        "meeting.started" => EventKind::Started,
        "meeting.ended" => EventKind::Ended,
        "meeting.participant_joined" => EventKind::Joined,
        "meeting.participant_left" => EventKind::Left,
        // Who waits or is let in is told once more when they are in.
        _ if name.starts_with("meeting.") => EventKind::Changed,
        _ => return Some(Message::Other),
    };
    let object = payload.get("object")?;
    let person = object.get("participant").and_then(|person| {
        ["user_id", "participant_uuid"].iter().find_map(|key| match person.get(key)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    });
    let Some(meeting) = super::answer::id_of(object) else { return Some(Message::Other) };
    Some(Message::Event(Event { kind, at_ms: body.get("event_ts")?.as_i64()?, meeting, person }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BODY: &str = r#"{"event":"meeting.started","event_ts":1760000000123,"payload":{"account_id":"AC1","object":{"id":"91234567890","uuid":"aBc/d+==","host_id":"H1","topic":"t","type":2,"start_time":"2025-10-09T08:53:20Z","timezone":"UTC","duration":30}}}"#;
    const SIGNATURE: &str = "v0=70a6c80a47d8db59121185fac1fd9cdd59eddd67908be610f81f7f1fbc6cebb3";

    fn secret() -> SecretString {
        "zoom-webhook-secret".to_owned().into()
    }

    #[test]
    fn a_signature_holds_for_what_was_signed_and_nothing_else() {
        let timestamp = "1760000000";
        assert!(is_signed(&secret(), timestamp, BODY.as_bytes(), SIGNATURE));
        assert!(!is_signed(&secret(), "1760000001", BODY.as_bytes(), SIGNATURE));
        assert!(!is_signed(&secret(), timestamp, &BODY.as_bytes()[1..], SIGNATURE));
        assert!(!is_signed(&"other".to_owned().into(), timestamp, BODY.as_bytes(), SIGNATURE));
        for wrong in
            ["", "v0=", "v0=70", "v1=70a6", &SIGNATURE[..66], &SIGNATURE.replace('7', "é"), &SIGNATURE[3..]]
        {
            assert!(!is_signed(&secret(), timestamp, BODY.as_bytes(), wrong), "{wrong}");
        }
    }

    #[test]
    fn the_address_is_confirmed_as_zoom_wants_it() {
        let answer = validation(&secret(), "qgg8vlvZRS6UYooatFL8Aw").unwrap();
        let encrypted = "652a0188f06bf15dec80150c3da2729148fdcb8439d1f19ff7eba53901875baf";
        assert_eq!(answer, json!({ "plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": encrypted }));
    }

    #[test]
    fn what_happened_is_read_whether_ids_are_numbers_or_texts() {
        let event = |kind, person: Option<&str>| {
            let (meeting, person) = ("91234567890".to_owned(), person.map(str::to_owned));
            Some(Message::Event(Event { kind, at_ms: 1_760_000_000_123, meeting, person }))
        };
        assert_eq!(read(BODY.as_bytes()), event(EventKind::Started, None));
        let of = |name: &str, id: Value, participant: Value| {
            let object = json!({ "id": id, "participant": participant });
            let body =
                json!({ "event": name, "event_ts": 1_760_000_000_123_i64, "payload": { "object": object } });
            read(body.to_string().as_bytes())
        };
        let id = json!(91_234_567_890_i64);
        assert_eq!(
            of("meeting.participant_joined", id.clone(), json!({ "user_id": "167" })),
            event(EventKind::Joined, Some("167"))
        );
        assert_eq!(
            of("meeting.participant_left", id.clone(), json!({ "user_id": 167 })),
            event(EventKind::Left, Some("167"))
        );
        assert_eq!(of("meeting.ended", id.clone(), Value::Null), event(EventKind::Ended, None));
        assert_eq!(
            of("meeting.participant_jbh_joined", id, json!({ "user_name": "x" })),
            event(EventKind::Changed, None)
        );
        assert_eq!(of("meeting.ended", json!("no number"), Value::Null), Some(Message::Other));
        assert_eq!(of("user.created", json!(1), Value::Null), Some(Message::Other));
        for body in [
            "",
            "[]",
            "{}",
            r#"{"event":1,"payload":{}}"#,
            r#"{"event":"meeting.ended","payload":{"object":{"id":1}}}"#,
        ] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
    }
}
