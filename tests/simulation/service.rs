//! The providers' truth, and how they speak: the meeting service's protocol, and a small one of our own for what that one
//! cannot be (a service that chooses ids itself, and whose search lags).

use crate::Ms;
use crate::timetable::Which;
use bytes::Bytes;
use convened::lifecycle::Call;
use http::{Method, Request, Response};
use std::collections::{BTreeSet, HashMap};

/// A room as it really is.
#[derive(Debug, Clone)]
pub(crate) struct TrueRoom {
    pub(crate) which: Which,
    pub(crate) id: String,
    pub(crate) marker: String,
    pub(crate) is_open: bool,
    pub(crate) is_deleted: bool,
    pub(crate) people: u32,
    pub(crate) occupied_since: Option<Ms>,
    pub(crate) opened_at: Ms,
    /// A search shows it from then on.
    visible_at: Ms,
    /// When a look last got a true answer through to the daemon, and whether people were seen by one, as far as it wrote
    /// that down.
    pub(crate) seen_at: Option<Ms>,
    pub(crate) was_seen_occupied: bool,
    /// The last look at it whose answer the daemon wrote down was answered with a lie.
    pub(crate) was_lied_about: bool,
    /// A look has got a true answer through to the daemon, which has not written it down yet.
    pub(crate) is_truth_told: bool,
    /// How many people were in, and when, by that answer.
    pub(crate) told: Option<(Ms, u32)>,
}

/// All rooms of all providers.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    pub(crate) all: Vec<TrueRoom>,
    by_id: [HashMap<String, usize>; 2],
    by_marker: HashMap<String, Vec<usize>>,
    pub(crate) open: BTreeSet<usize>,
}

impl Rooms {
    pub(crate) fn find(&self, which: Which, id: &str) -> Option<usize> {
        self.by_id[which as usize].get(id).copied()
    }

    pub(crate) fn of_marker(&self, marker: &str) -> &[usize] {
        self.by_marker.get(marker).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, which: Which, marker: &str, now: Ms, lag: Ms) -> usize {
        let index = self.all.len();
        let id = match which {
            Which::House => marker.to_owned(),
            Which::Plain => format!("r{index}"),
        };
        self.by_id[which as usize].insert(id.clone(), index);
        self.by_marker.entry(marker.to_owned()).or_default().push(index);
        self.all.push(TrueRoom {
            which,
            id,
            marker: marker.to_owned(),
            is_open: true,
            is_deleted: false,
            people: 0,
            occupied_since: None,
            opened_at: now,
            visible_at: now + lag,
            seen_at: None,
            was_seen_occupied: false,
            was_lied_about: false,
            is_truth_told: false,
            told: None,
        });
        self.open.insert(index);
        index
    }

    /// Closes a room; whether it was open.
    pub(crate) fn close(&mut self, index: usize) -> bool {
        let room = &mut self.all[index];
        room.people = 0;
        room.occupied_since = None;
        self.open.remove(&index);
        std::mem::replace(&mut room.is_open, false)
    }

    pub(crate) fn delete(&mut self, index: usize) -> bool {
        self.all[index].is_deleted = true;
        self.close(index)
    }
}

/// A request, read.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) which: Which,
    verb: Verb,
    /// A marker (create, search) or a room's id.
    pub(crate) target: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Create,
    Search,
    Get,
    Update,
    Close,
    Announce,
}

impl Ask {
    /// Reads a request as strictly as it has to be for the world to know what is asked.
    pub(crate) fn read(request: &Request<Bytes>) -> Self {
        let uri = request.uri();
        let method = request.method();
        let field = |name: &str| -> String {
            let body: serde_json::Value = serde_json::from_slice(request.body()).expect("a JSON body");
            body[name].as_str().expect("a text").to_owned()
        };
        if uri.host() == Some("plain.sim") {
            let id = uri.path().strip_prefix("/rooms").expect("a path below /rooms").trim_start_matches('/');
            let (verb, target) = match (method, uri.query()) {
                (&Method::GET, Some(query)) => (Verb::Search, query.strip_prefix("tag=").unwrap().to_owned()),
                (&Method::GET, None) => (Verb::Get, id.to_owned()),
                (&Method::POST, _) => (Verb::Create, field("tag")),
                (&Method::PATCH, _) => (Verb::Update, id.to_owned()),
                (&Method::DELETE, _) => (Verb::Close, id.to_owned()),
                _ => panic!("{request:?}"),
            };
            return Self { which: Which::Plain, verb, target };
        }
        assert_eq!(request.headers().get("x-admin-secret").unwrap(), crate::seams::ADMIN_SECRET);
        let path = uri.path().strip_prefix("/scenario/meeting/apps/convened/v1/ext/rooms").expect("the path");
        let path = path.trim_start_matches('/');
        let (verb, target) = match (method, path) {
            (&Method::POST, "") => (Verb::Create, field("roomUuid")),
            (&Method::GET, id) => (Verb::Get, id.to_owned()),
            (&Method::POST, path) => match path.strip_suffix("/close") {
                Some(id) => (Verb::Close, id.to_owned()),
                None => match path.strip_suffix("/notice") {
                    Some(id) => (Verb::Announce, id.to_owned()),
                    None => (Verb::Update, path.to_owned()),
                },
            },
            _ => panic!("{request:?}"),
        };
        Self { which: Which::House, verb, target }
    }

    /// The daemon's name for it, as far as the wire tells: the meeting service has one request for finding and looking.
    pub(crate) fn is(&self, call: Call) -> bool {
        match self.verb {
            Verb::Create => call == Call::Create,
            Verb::Search => call == Call::Find,
            Verb::Get => call == Call::Look || (self.which == Which::House && call == Call::Find),
            Verb::Update => call == Call::Update,
            Verb::Close => call == Call::Close,
            Verb::Announce => call == Call::Announce,
        }
    }
}

/// What a request changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    Nothing,
    Opened(usize),
    Closed(usize),
}

/// Does what is asked and answers.
pub(crate) fn act(rooms: &mut Rooms, ask: &Ask, now: Ms, lag: Ms) -> (Response<Bytes>, Changed) {
    let found = match ask.verb {
        Verb::Create | Verb::Search => None,
        Verb::Get | Verb::Update | Verb::Close | Verb::Announce => {
            rooms.find(ask.which, &ask.target).filter(|index| !rooms.all[*index].is_deleted)
        }
    };
    match (ask.verb, found) {
        (Verb::Create, _) => {
            let existing = match ask.which {
                Which::House => rooms.find(Which::House, &ask.target).filter(|i| !rooms.all[*i].is_deleted),
                Which::Plain => None,
            };
            let index = existing.unwrap_or_else(|| rooms.add(ask.which, &ask.target, now, lag));
            let changed = if existing.is_none() { Changed::Opened(index) } else { Changed::Nothing };
            (show(&rooms.all[index]), changed)
        }
        (Verb::Search, _) => {
            let shown = rooms.of_marker(&ask.target).iter().map(|index| &rooms.all[*index]);
            let shown = shown.filter(|room| room.visible_at <= now && !room.is_deleted);
            let list: Vec<String> = shown.map(|room| plain_room(&room.id)).collect();
            let text = format!(r#"{{"complete":true,"rooms":[{}]}}"#, list.join(","));
            (json(200, text), Changed::Nothing)
        }
        (_, None) => (no_such_room(ask.which), Changed::Nothing),
        (Verb::Get | Verb::Update | Verb::Announce, Some(index)) => {
            let room = &rooms.all[index];
            let answer = match (ask.which, ask.verb) {
                (Which::Plain, Verb::Get) => {
                    json(200, format!(r#"{{"open":{},"people":{}}}"#, room.is_open, room.people))
                }
                _ => show(room),
            };
            (answer, Changed::Nothing)
        }
        (Verb::Close, Some(index)) => {
            let changed = if rooms.close(index) { Changed::Closed(index) } else { Changed::Nothing };
            (show(&rooms.all[index]), changed)
        }
    }
}

/// What the answer would be if it had been done, though nothing was.
pub(crate) fn pretend(rooms: &Rooms, ask: &Ask) -> Response<Bytes> {
    let id = match (ask.which, ask.verb) {
        (Which::Plain, Verb::Create) => format!("r-never-{}", ask.target),
        _ => ask.target.clone(),
    };
    let room = rooms.find(ask.which, &id).map(|index| rooms.all[index].clone());
    let mut room = room.unwrap_or(TrueRoom {
        which: ask.which,
        id,
        marker: ask.target.clone(),
        is_open: true,
        is_deleted: false,
        people: 0,
        occupied_since: None,
        opened_at: 0,
        visible_at: 0,
        seen_at: None,
        was_seen_occupied: false,
        was_lied_about: false,
        is_truth_told: false,
        told: None,
    });
    room.is_open &= ask.verb != Verb::Close;
    show(&room)
}

/// A look at a room, with another number of people, or none.
pub(crate) fn show_with(room: &TrueRoom, people: Option<u32>) -> Response<Bytes> {
    let people = people.map_or("null".to_owned(), |people| people.to_string());
    match room.which {
        Which::House => envelope(200, 0, &house_room(room, &people)),
        Which::Plain => json(200, format!(r#"{{"open":{},"people":{people}}}"#, room.is_open)),
    }
}

fn show(room: &TrueRoom) -> Response<Bytes> {
    match room.which {
        Which::House => envelope(200, 0, &house_room(room, &room.people.to_string())),
        Which::Plain => {
            json(200, plain_room(&room.id).replacen('{', &format!("{{\"open\":{},", room.is_open), 1))
        }
    }
}

fn house_room(room: &TrueRoom, people: &str) -> String {
    let TrueRoom { id, is_open, .. } = room;
    format!(
        r#"{{"roomId":"k{id}","roomUuid":"{id}","joinUrl":"https://house.sim/m/{id}","hostUrl":"https://house.sim/m/{id}#h","isOpen":{is_open},"occupancy":{people}}}"#
    )
}

fn plain_room(id: &str) -> String {
    format!(r#"{{"id":"{id}","url":"https://plain.sim/j/{id}"}}"#)
}

pub(crate) fn no_such_room(which: Which) -> Response<Bytes> {
    match which {
        Which::House => envelope(404, 20_404_100, "null"),
        Which::Plain => json(404, r#"{"error":"no-such-room"}"#.to_owned()),
    }
}

pub(crate) fn failed(which: Which, status: u16) -> Response<Bytes> {
    match which {
        Which::House => envelope(status, status.into(), "null"),
        Which::Plain => json(status, r#"{"error":"internal"}"#.to_owned()),
    }
}

pub(crate) fn partial() -> Response<Bytes> {
    json(200, r#"{"complete":false,"rooms":[]}"#.to_owned())
}

pub(crate) fn html() -> Response<Bytes> {
    Response::new(Bytes::from_static(b"<html><title>Welcome to the guest network</title></html>"))
}

pub(crate) fn limited(retry_after_s: Option<Ms>) -> Response<Bytes> {
    let mut answer = json(429, r#"{"code":429,"msg":"Too many requests"}"#.to_owned());
    if let Some(seconds) = retry_after_s {
        answer.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
    }
    answer
}

fn envelope(status: u16, code: i64, data: &str) -> Response<Bytes> {
    json(status, format!(r#"{{"code":{code},"msg":"","data":{data}}}"#))
}

fn json(status: u16, text: String) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(text));
    *answer.status_mut() = status.try_into().unwrap();
    answer
}
