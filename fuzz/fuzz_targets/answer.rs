//! A meeting service that answers anything, to each of the driver's five questions: what comes out is bounded, harmless and
//! never more certain than the answer.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use chrono::TimeDelta;
use convened::meeting_service::codes;
use convened::providers::meeting_service::{Driver, Settings};
use convened::providers::{Provider as _, ProviderError, Room, RoomRequest, Shaped};
use convened::transport::{LONGEST_PAUSE, TransportError};
use convened_fuzz::{Answers, StillClock, beginning, block_on, harmful};
use http::{HeaderName, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};

const MARKER: &str = "0123456789abcdef0123456789abcdef";
const SECRET: &str = "the-admin-secret-of-this-account";

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    verb: u8,
    lost: Option<bool>,
    status: u16,
    headers: Vec<(Header, &'a [u8])>,
    body: Body<'a>,
}

#[derive(Arbitrary, Debug)]
enum Header {
    RetryAfter,
    Date,
    ContentType,
    Location,
}

#[derive(Arbitrary, Debug)]
enum Body<'a> {
    Bytes(&'a [u8]),
    Envelope { code: Code, msg: Option<Any<'a>>, data: Data<'a>, extra: Option<(&'a str, Any<'a>)> },
}

#[derive(Arbitrary, Debug)]
enum Code {
    Known(u8),
    Status(u16),
    Number(i64),
    Float(f64),
    Absent,
}

#[derive(Arbitrary, Debug)]
enum Data<'a> {
    Absent,
    Any(Any<'a>),
    Room {
        id: Id<'a>,
        join_url: Link<'a>,
        host_url: Link<'a>,
        is_open: Option<Any<'a>>,
        occupancy: Option<Any<'a>>,
    },
}

#[derive(Arbitrary, Debug)]
enum Id<'a> {
    Marker,
    Other(&'a str),
    Absent,
}

#[derive(Arbitrary, Debug)]
enum Link<'a> {
    Https(&'a str),
    Http(&'a str),
    Any(Any<'a>),
    Absent,
}

#[derive(Arbitrary, Debug)]
enum Any<'a> {
    Null,
    Bool(bool),
    Small(u8),
    Number(i64),
    Unsigned(u64),
    Text(&'a str),
    List(u8),
    Deep(u8),
}

impl Any<'_> {
    fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => json!(value),
            Self::Small(value) => json!(value),
            Self::Number(value) => json!(value),
            Self::Unsigned(value) => json!(value),
            Self::Text(value) => json!(value),
            Self::List(length) => json!(vec![0; usize::from(*length)]),
            Self::Deep(depth) => (0..*depth).fold(json!({}), |inner, _| json!({ "a": [inner] })),
        }
    }
}

impl Body<'_> {
    fn bytes(&self) -> Bytes {
        let Self::Envelope { code, msg, data, extra } = self else {
            let Self::Bytes(bytes) = self else { unreachable!("the other one") };
            return Bytes::copy_from_slice(bytes);
        };
        let mut body = Map::new();
        let known =
            [codes::OK, codes::NO_SUCH_ROOM, codes::ROOM_OR_USER_GONE, codes::ROOM_FULL, codes::NOT_HOST];
        let code = match code {
            Code::Known(n) => json!(known[usize::from(*n) % known.len()]),
            Code::Status(status) => json!(status % 700),
            Code::Number(number) => json!(number),
            Code::Float(number) => json!(number),
            Code::Absent => Value::Null,
        };
        body.insert("code".to_owned(), code);
        if let Some(msg) = msg {
            body.insert("msg".to_owned(), msg.value());
        }
        let link = |link: &Link<'_>| match link {
            Link::Https(rest) => json!(format!("https://{rest}")),
            Link::Http(rest) => json!(format!("http://{rest}")),
            Link::Any(any) => any.value(),
            Link::Absent => Value::Null,
        };
        match data {
            Data::Absent => {}
            Data::Any(any) => _ = body.insert("data".to_owned(), any.value()),
            Data::Room { id, join_url, host_url, is_open, occupancy } => {
                let id = match id {
                    Id::Marker => json!(MARKER),
                    Id::Other(text) => json!(text),
                    Id::Absent => Value::Null,
                };
                let mut room =
                    json!({ "roomUuid": id, "joinUrl": link(join_url), "hostUrl": link(host_url) });
                if let Some(is_open) = is_open {
                    room["isOpen"] = is_open.value();
                }
                if let Some(occupancy) = occupancy {
                    room["occupancy"] = occupancy.value();
                }
                body.insert("data".to_owned(), room);
            }
        }
        if let Some((key, value)) = extra {
            body.insert((*key).to_owned(), value.value());
        }
        Bytes::from(Value::Object(body).to_string())
    }
}

fn request() -> RoomRequest {
    RoomRequest {
        marker: MARKER.to_owned(),
        title: "A meeting".to_owned(),
        starts_at: beginning(),
        ends_at: beginning() + TimeDelta::hours(1),
        closes_at: beginning() + TimeDelta::hours(2),
        closes_at_latest: beginning() + TimeDelta::hours(3),
        spec: Arc::default(),
    }
}

fn check_room(room: &Room) {
    for text in [Some(&room.id), Some(&room.join_url), room.host_url.as_ref()].into_iter().flatten() {
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    for link in [Some(&room.join_url), room.host_url.as_ref()].into_iter().flatten() {
        assert!(link.starts_with("https://") || link.starts_with("http://"), "{link:?}");
    }
    let shown = format!("{room:?}");
    assert!(
        !shown.contains(&room.join_url) && room.host_url.as_ref().is_none_or(|link| !shown.contains(link))
    );
}

fuzz_target!(|input: &[u8]| {
    let Ok(input) = Input::arbitrary(&mut Unstructured::new(input)) else { return };
    let body = input.body.bytes();
    let status = StatusCode::from_u16(input.status % 600).unwrap_or(StatusCode::OK);
    let status = if input.status % 3 == 0 { StatusCode::OK } else { status };
    let answer = match input.lost {
        Some(true) => Err(TransportError::AnswerLost("the connection broke".to_owned())),
        Some(false) => Err(TransportError::NotSent("no route".to_owned())),
        None => {
            let mut answer = http::Response::new(body.clone());
            *answer.status_mut() = status;
            for (name, value) in &input.headers {
                let name = match name {
                    Header::RetryAfter => HeaderName::from_static("retry-after"),
                    Header::Date => HeaderName::from_static("date"),
                    Header::ContentType => HeaderName::from_static("content-type"),
                    Header::Location => HeaderName::from_static("location"),
                };
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    answer.headers_mut().append(name, value);
                }
            }
            Ok(answer)
        }
    };
    let transport = Arc::new(Answers(Mutex::new(Some(answer))));
    let settings = Settings::new("https://rooms.example", SecretString::from(SECRET));
    let driver = Driver::new(settings, transport, Arc::new(StillClock::new()));
    let envelope: Option<Value> = serde_json::from_slice(&body).ok();
    let code = envelope.as_ref().and_then(|envelope| envelope["code"].as_i64());
    let data =
        |key: &str| envelope.as_ref().map(|envelope| envelope["data"][key].clone()).unwrap_or_default();
    // Only the service's own word, with a status that it would give, is a word.
    let is_gone = matches!(code, Some(codes::NO_SUCH_ROOM | codes::ROOM_OR_USER_GONE))
        && (status.is_success() || status.is_client_error())
        && !matches!(status.as_u16(), 401 | 403 | 408 | 429)
        && input.lost.is_none();
    let is_good = code == Some(codes::OK) && status == StatusCode::OK && input.lost.is_none();
    let is_act = matches!(input.verb % 5, 0 | 3 | 4);

    let error = match input.verb % 5 {
        0 => match block_on(driver.create(&request())) {
            Ok(Shaped { room, .. }) => {
                check_room(&room);
                assert!(is_good && room.id == MARKER);
                None
            }
            Err(error) => {
                assert_ne!(error, ProviderError::NotFound, "a create cannot find nothing");
                Some(error)
            }
        },
        1 => match block_on(driver.find(&request())) {
            Ok(Some(room)) => {
                check_room(&room);
                assert!(is_good && room.id == MARKER);
                None
            }
            Ok(None) => {
                assert!(is_gone, "{status} {envelope:?}");
                None
            }
            Err(error) => Some(error),
        },
        2 => match block_on(driver.look(MARKER)) {
            Ok(sight) => {
                assert!(is_good && data("isOpen") == json!(sight.is_open));
                if sight.is_open && sight.occupancy == Some(0) {
                    assert_eq!(data("occupancy"), json!(0), "unknown is never empty");
                }
                None
            }
            Err(error) => Some(error),
        },
        3 => match block_on(driver.update(MARKER, &request())) {
            Ok(Shaped { room, .. }) => {
                check_room(&room);
                assert!(is_good);
                None
            }
            Err(error) => Some(error),
        },
        _ => match block_on(driver.close(MARKER)) {
            Ok(()) => {
                assert!(is_good && data("isOpen") == json!(false), "closed, it says");
                None
            }
            Err(error) => Some(error),
        },
    };
    let Some(error) = error else { return };
    let text = error.to_string();
    assert_eq!(harmful(&text), None, "{text:?}");
    assert!(text.chars().count() < 500, "{text}");
    assert!(!text.contains(SECRET));
    match &error {
        ProviderError::NotFound => assert!(is_gone, "{status} {envelope:?}"),
        ProviderError::RateLimited { retry_at } => {
            assert!(status == StatusCode::TOO_MANY_REQUESTS || code == Some(429));
            if let Some(at) = retry_at {
                assert!(beginning() <= *at && *at <= beginning() + LONGEST_PAUSE);
            }
        }
        ProviderError::Unauthenticated(_) => {
            assert!(matches!(status.as_u16(), 401 | 403) || matches!(code, Some(401 | 403)));
        }
        // Refused for good takes an envelope, and a status that a refusal has.
        ProviderError::QuotaSpent { .. } => panic!("no service without a quota says so"),
        ProviderError::Rejected(_) => {
            assert!(code.is_some() && !status.is_server_error() && !status.is_redirection())
        }
        ProviderError::Unavailable(_) if is_act => {
            assert!(
                input.lost == Some(false) || matches!(code, Some(404 | 405)),
                "it may have been done: {text}"
            );
        }
        ProviderError::Unavailable(_) => {}
        ProviderError::OutcomeUnknown(_) => assert!(is_act, "a question has no outcome: {text}"),
    }
});
