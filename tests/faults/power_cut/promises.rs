//! What the daemon had told others before the power went, and whether the disk still knows.

use convened::meeting_service::MeetingService;
use convened::store::SqliteStore;
use rusqlite::{Connection, OptionalExtension as _};
use serde_json::Value;
use std::path::Path;

/// Something that was said, and must not be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Promise {
    /// A request left that may make a room.
    Create { marker: String },
    /// A request left that moves a room's end.
    Update { marker: String, ends_at: i64 },
    /// A request left that closes a room.
    Close { marker: String },
    /// The log told that an occurrence has come so far.
    Told { occurrence: String, states: &'static [&'static str], room: Option<String>, ends_at: Option<i64> },
    /// The built-in service answered that a room is so.
    Answered { room: String, is_open: bool, ends_at: i64 },
}

const FROM_READY: &[&str] = &["ready", "live", "ended", "closing", "closed"];
const FROM_LIVE: &[&str] = &["live", "ended", "closing", "closed"];
const FROM_CLOSING: &[&str] = &["closing", "closed"];
const CLOSED: &[&str] = &["closed"];

/// The promises in bytes that left for a socket or the log.
pub(super) fn promises(sent: &[u8]) -> Vec<Promise> {
    let text = String::from_utf8_lossy(sent);
    if text.starts_with("POST ") {
        return request(&text).into_iter().collect();
    }
    if text.starts_with("HTTP/1.1 200") {
        return answer(&text).into_iter().collect();
    }
    text.lines().filter_map(|line| told(&serde_json::from_str(line).ok()?)).collect()
}

fn request(text: &str) -> Option<Promise> {
    let path = text.split(' ').nth(1)?;
    let (_, rest) = path.split_once("/ext/rooms")?;
    let body: Value = serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()?;
    let ends_at = body["endsAt"].as_i64();
    let marker = |text: &str| text.trim_start_matches('/').trim_end_matches("/close").to_owned();
    match rest {
        "" => Some(Promise::Create { marker: body["roomUuid"].as_str()?.to_owned() }),
        room if room.ends_with("/close") => Some(Promise::Close { marker: marker(room) }),
        room => Some(Promise::Update { marker: marker(room), ends_at: ends_at? }),
    }
}

fn answer(text: &str) -> Option<Promise> {
    let body: Value = serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()?;
    let data = &body["data"];
    Some(Promise::Answered {
        room: data["roomUuid"].as_str()?.to_owned(),
        is_open: data["isOpen"].as_bool()?,
        ends_at: data["endsAt"].as_i64()?,
    })
}

fn told(line: &Value) -> Option<Promise> {
    let text = |key: &str| line[key].as_str().map(str::to_owned);
    let (states, is_end_told) = match line["event"].as_str()? {
        "room.created" => (FROM_READY, false),
        "meeting.live" => (FROM_LIVE, false),
        "meeting.extended" => (FROM_READY, true),
        "room.closing" => (FROM_CLOSING, false),
        "room.closed" => (CLOSED, false),
        _ => return None,
    };
    let instant = |text: String| Some(text.parse::<chrono::DateTime<chrono::Utc>>().ok()?.timestamp_millis());
    let ends_at = text("ends_at").filter(|_| is_end_told).and_then(instant);
    Some(Promise::Told { occurrence: text("occurrence")?, states, room: text("room_id"), ends_at })
}

/// What an image turned out to be.
#[derive(Debug)]
pub(super) enum Verdict {
    Good,
    Corrupt(String),
    Lost(String),
}

/// Opens the files in `folder` as the daemon would, and looks for everything that was promised.
pub(super) fn examine(folder: &Path, promises: &[Promise]) -> Verdict {
    match Image::open(folder) {
        Err(why) => Verdict::Corrupt(why),
        Ok(image) => match promises.iter().find(|promise| !image.keeps(promise)) {
            Some(lost) => Verdict::Lost(format!("{lost:?}")),
            None => Verdict::Good,
        },
    }
}

struct Image {
    store: Option<Connection>,
    service: Option<Connection>,
}

impl Image {
    fn open(folder: &Path) -> Result<Self, String> {
        let store_path = folder.join(SqliteStore::FILE_NAME);
        if store_path.exists() {
            // Migrates an empty file, and reads every row as the daemon reads it.
            let store = SqliteStore::open(folder).map_err(|error| error.to_string())?;
            store.report(None, usize::MAX, usize::MAX).map_err(|error| error.to_string())?;
        }
        let service_path = folder.join(MeetingService::FILE_NAME);
        Ok(Self { store: sound(&store_path)?, service: sound(&service_path)? })
    }

    fn keeps(&self, promise: &Promise) -> bool {
        let (sql, key) = match promise {
            Promise::Create { marker } | Promise::Update { marker, .. } | Promise::Close { marker } => (
                "SELECT state, room_id, ends_at_ms + extended_by_ms FROM occurrences WHERE marker = ?1",
                marker,
            ),
            Promise::Told { occurrence, .. } => (
                "SELECT state, room_id, ends_at_ms + extended_by_ms FROM occurrences WHERE id = ?1",
                occurrence,
            ),
            Promise::Answered { room, .. } => (
                "SELECT iif(closed_at_ms IS NULL, 'open', 'closed'), uuid, ends_at_ms FROM rooms WHERE uuid = ?1",
                room,
            ),
        };
        let of_service = matches!(promise, Promise::Answered { .. });
        let Some(connection) = (if of_service { &self.service } else { &self.store }) else { return false };
        let row = connection
            .prepare_cached(sql)
            .and_then(|mut statement| {
                statement.query_row([key], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, i64>(2)?))
                })
            })
            .optional();
        // An empty file has no such table: what was promised is not in it.
        let Ok(Some((state, room, ends_at))) = row else { return false };
        match promise {
            Promise::Create { .. } => state != "planned",
            Promise::Update { ends_at: promised, .. } => ends_at >= *promised,
            Promise::Close { .. } => FROM_CLOSING.contains(&state.as_str()),
            Promise::Told { states, room: promised, ends_at: end, .. } => {
                states.contains(&state.as_str())
                    && (promised.is_none() || *promised == room)
                    && end.is_none_or(|end| ends_at >= end / 1000 * 1000)
            }
            Promise::Answered { is_open, ends_at: promised, .. } => {
                (*is_open || state == "closed") && ends_at >= *promised
            }
        }
    }
}

/// The database, if it is there and whole.
fn sound(path: &Path) -> Result<Option<Connection>, String> {
    if !path.exists() {
        return Ok(None);
    }
    let check = || -> rusqlite::Result<(Connection, String, i64)> {
        let connection = Connection::open(path)?;
        let word = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        let orphans =
            connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))?;
        Ok((connection, word, orphans))
    };
    match check() {
        Ok((connection, word, 0)) if word == "ok" => Ok(Some(connection)),
        Ok((_, word, orphans)) => Err(format!("{}: {word}, {orphans} orphans", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}
