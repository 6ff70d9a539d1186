//! Administrative work on rooms: made ahead, moved, looked at, closed, and forgotten in the end.

use super::core::{Core, Room};
use super::envelope::ApiError;
use super::fields::{self, MAX_NOTICE, MAX_ROOM_NAME};
use http::StatusCode;
use rusqlite::params;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A person without a sign of life for this long is put out of the room's list for good.
const VANISHED_AFTER: Duration = Duration::from_secs(24 * 3600);
/// A room made by an entry in which nothing has happened for this long, and nobody is, counts as forgotten.
const IDLE_AFTER_MS: i64 = 24 * 3600 * 1000;
/// How many rows one turn of the sweep touches, so that it never holds others up for long.
const SWEEP_LIMIT: u32 = 500;

/// What [`MeetingService::sweep`](super::MeetingService::sweep) did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rooms that nobody had closed, closed by the service.
    pub closed: u32,
    /// Closed rooms that are now forgotten, with their users.
    pub forgotten: u32,
    /// People without a sign of life for a day, put out.
    pub vanished: u32,
}

/// When a room made ahead takes place, in milliseconds since 1970.
struct Times {
    opens_at: Option<i64>,
    starts_at: i64,
    ends_at: i64,
    closes_at: i64,
    closes_at_latest: i64,
}

impl Times {
    /// From the body, where it says so, else from the room as it is.
    fn read(body: &Map<String, Value>, room: Option<&Room>) -> Result<Self, ApiError> {
        let missing = |key: &str| ApiError::bad_request(format!("`{key}` is missing"));
        let instant = |key: &str, old: Option<i64>| Ok::<_, ApiError>(fields::instant(body, key)?.or(old));
        let opens_at = match body.get("opensAt") {
            Some(_) => fields::instant(body, "opensAt")?,
            None => room.and_then(|room| room.opens_at_ms),
        };
        let starts_at =
            instant("startsAt", room.map(|room| room.starts_at_ms))?.ok_or_else(|| missing("startsAt"))?;
        let ends_at = match fields::seconds(body, "durationS")? {
            Some(duration) => starts_at.saturating_add(duration),
            None => {
                instant("endsAt", room.and_then(|room| room.ends_at_ms))?.ok_or_else(|| missing("endsAt"))?
            }
        };
        let closes_at = match fields::seconds(body, "closeDelayS")? {
            Some(delay) => ends_at.saturating_add(delay),
            // A room whose end moved without a word about its closing closes as long after its end as before.
            None => instant(
                "closesAt",
                room.and_then(|room| Some(ends_at.saturating_add(room.closes_at_ms? - room.ends_at_ms?))),
            )?
            .unwrap_or(ends_at),
        };
        let closes_at_latest = match fields::instant(body, "closesAtLatest")? {
            Some(latest) => latest,
            None => room.and_then(|room| room.closes_at_latest_ms).unwrap_or(closes_at).max(closes_at),
        };
        if !(starts_at < ends_at && ends_at <= closes_at && closes_at <= closes_at_latest) {
            return Err(ApiError::bad_request(
                "`startsAt` must be before `endsAt`, and neither `closesAt` nor `closesAtLatest` before what it follows",
            ));
        }
        if opens_at.is_some_and(|opens_at| opens_at >= closes_at_latest) {
            return Err(ApiError::bad_request("`opensAt` must be before the room closes"));
        }
        Ok(Self { opens_at, starts_at, ends_at, closes_at, closes_at_latest })
    }
}

/// Makes a room ahead of its start, or gives the one that was made with the same `roomUuid`, as it is now.
pub(super) fn create(core: &mut Core, body: &Map<String, Value>) -> Result<Value, ApiError> {
    let uuid = fields::id(body, "roomUuid")?;
    let name = fields::name(body, "roomName", MAX_ROOM_NAME)?.unwrap_or_else(|| "Meeting".to_owned());
    let password = fields::password(body)?;
    let mute_on_entry = fields::small(body, "muteOnEntry", 1)?.unwrap_or(0);
    let times = Times::read(body, None)?;
    if let Some(room) = core.room_by_uuid(&uuid)? {
        let mut view = view(core, &room);
        view["isExisting"] = Value::Bool(true);
        return Ok(view);
    }
    let limit = core.settings.max_rooms;
    if core.open_rooms(true) >= limit {
        let message = format!("{limit} rooms are open, as many as may be");
        return Err(ApiError::plain(StatusCode::TOO_MANY_REQUESTS, message));
    }
    let (id, host_key, now) = (core.new_id(), core.entropy.token(), core.now_ms());
    core.db
        .prepare_cached(
            "INSERT INTO rooms (id, uuid, name, password, host_key, is_scheduled, created_at_ms, active_at_ms,
                                opens_at_ms, starts_at_ms, ends_at_ms, closes_at_ms, closes_at_latest_ms, mute_on_entry)
             VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            id,
            uuid,
            name,
            password,
            host_key,
            now,
            times.opens_at,
            times.starts_at,
            times.ends_at,
            times.closes_at,
            times.closes_at_latest,
            mute_on_entry,
        ])?;
    core.note_opened(true);
    let room = core.room_by_uuid(&uuid)?.ok_or_else(ApiError::no_such_room)?;
    Ok(view(core, &room))
}

/// Changes what `body` names of a room that was made ahead and is not closed.
pub(super) fn change(core: &mut Core, uuid: &str, body: &Map<String, Value>) -> Result<Value, ApiError> {
    let room = core.room_by_uuid(uuid)?.ok_or_else(ApiError::no_such_room)?;
    if core.is_closed(&room) {
        return Err(ApiError::room_closed());
    }
    if !room.is_scheduled {
        return Err(ApiError::plain(
            StatusCode::CONFLICT,
            "the room was made by an entry and has no schedule",
        ));
    }
    let name = fields::name(body, "roomName", MAX_ROOM_NAME)?.unwrap_or_else(|| room.name.clone());
    let password =
        if body.contains_key("password") { fields::password(body)? } else { room.password.clone() };
    let mute_on_entry = fields::small(body, "muteOnEntry", 1)?.unwrap_or(i64::from(room.mute_on_entry));
    let times = Times::read(body, Some(&room))?;
    core.db
        .prepare_cached(
            "UPDATE rooms SET name = ?2, password = ?3, mute_on_entry = ?4, opens_at_ms = ?5, starts_at_ms = ?6,
                              ends_at_ms = ?7, closes_at_ms = ?8, closes_at_latest_ms = ?9
             WHERE seq = ?1",
        )?
        .execute(params![
            room.seq,
            name,
            password,
            mute_on_entry,
            times.opens_at,
            times.starts_at,
            times.ends_at,
            times.closes_at,
            times.closes_at_latest,
        ])?;
    look(core, uuid)
}

/// The room as it is now.
pub(super) fn look(core: &Core, uuid: &str) -> Result<Value, ApiError> {
    let room = core.room_by_uuid(uuid)?.ok_or_else(ApiError::no_such_room)?;
    Ok(view(core, &room))
}

/// Closes the room for good: everybody is out at once. A closed room stays as it is.
pub(super) fn close(core: &mut Core, uuid: &str) -> Result<Value, ApiError> {
    let room = core.room_by_uuid(uuid)?.ok_or_else(ApiError::no_such_room)?;
    let now = core.now_ms();
    core.close_room(&room, now)?;
    look(core, uuid)
}

/// Tells the people in the room something, in the place of what they were told before.
pub(super) fn notify(core: &mut Core, uuid: &str, body: &Map<String, Value>) -> Result<Value, ApiError> {
    let room = core.room_by_uuid(uuid)?.ok_or_else(ApiError::no_such_room)?;
    if core.is_closed(&room) {
        return Err(ApiError::room_closed());
    }
    let notice = fields::name(body, "message", MAX_NOTICE)?
        .ok_or_else(|| ApiError::bad_request("`message` is missing: say something"))?;
    core.db
        .prepare_cached("UPDATE rooms SET notice = ?2, noticed_at_ms = ?3 WHERE seq = ?1")?
        .execute(params![room.seq, notice, core.now_ms()])?;
    look(core, uuid)
}

/// What the people inside were last told, to their eyes.
pub(super) fn notice(room: &Room) -> Value {
    match (&room.notice, room.noticed_at_ms) {
        (Some(message), Some(at)) => json!({ "message": message, "at": at }),
        _ => Value::Null,
    }
}

/// A room to the administrator's eyes.
fn view(core: &Core, room: &Room) -> Value {
    let link = format!("{}/m/{}", core.settings.public_url.trim_end_matches('/'), room.id);
    let is_open = !core.is_closed(room);
    json!({
        "roomId": room.id,
        "roomUuid": room.uuid,
        "roomName": room.name,
        "isExisting": false,
        "isOpen": is_open,
        "occupancy": core.occupancy(room),
        "createdAt": room.created_at_ms,
        "opensAt": room.opens_at_ms,
        "startsAt": room.starts_at_ms,
        "endsAt": room.ends_at_ms,
        "closesAt": room.closes_at_ms,
        "closesAtLatest": room.closes_at_latest_ms,
        "closedAt": if is_open { None } else { room.closed_at_ms.or(core.forgotten_at_ms(room)) },
        "hasPassword": room.password.is_some(),
        "muteOnEntry": i64::from(room.mute_on_entry),
        "notice": notice(room),
        // The key stands behind the `#`, which browsers do not send: no server's log, proxy or referrer has it.
        "hostUrl": format!("{link}#host={}", room.host_key),
        "joinUrl": link,
    })
}

/// One turn of the sweep. `None` when nothing is left to do.
pub(super) fn sweep(core: &mut Core) -> Result<Option<Swept>, ApiError> {
    let mut swept = Swept::default();
    for user in core.silent_for(VANISHED_AFTER, None).into_iter().take(SWEEP_LIMIT as usize) {
        if let Some(user) = core.user("seq = ?1", [user])? {
            super::people::put_out(core, &user, false)?;
            swept.vanished += 1;
        }
    }
    let now = core.settled_ms();
    for id in forgotten_rooms(core, now)? {
        let Some(room) = core.room_by_id(&id)? else { continue };
        let at = core.forgotten_at_ms(&room).unwrap_or(now);
        core.close_room(&room, at)?;
        swept.closed += 1;
    }
    let before = now.saturating_sub(core.settings.forget_after.num_milliseconds());
    let seqs =
        ids(core, "SELECT seq FROM rooms WHERE closed_at_ms < ?1 ORDER BY closed_at_ms LIMIT ?2", before)?;
    for seq in &seqs {
        core.db.prepare_cached("DELETE FROM users WHERE room = ?1")?.execute([seq])?;
        core.db.prepare_cached("DELETE FROM rooms WHERE seq = ?1")?.execute([seq])?;
        swept.forgotten += 1;
    }
    core.db
        .prepare_cached(
            "DELETE FROM users WHERE seq IN (SELECT seq FROM users WHERE left_at_ms < ?1 LIMIT ?2)",
        )?
        .execute(params![before, SWEEP_LIMIT])?;
    Ok(Some(swept).filter(|swept| *swept != Swept::default()))
}

/// Open rooms whose last possible closing is well past, or that were made by an entry and have been left.
fn forgotten_rooms(core: &Core, now: i64) -> Result<Vec<String>, ApiError> {
    let latest = now.saturating_sub(core.settings.close_grace.num_milliseconds().max(0));
    let idle = now.saturating_sub(IDLE_AFTER_MS);
    let mut statement = core.db.prepare_cached(
        "SELECT seq, id, 1 FROM rooms WHERE closed_at_ms IS NULL AND closes_at_latest_ms <= ?1
         UNION ALL
         SELECT seq, id, 0 FROM rooms
         WHERE closed_at_ms IS NULL AND closes_at_latest_ms IS NULL AND active_at_ms < ?2",
    )?;
    let mut rows = statement.query(params![latest, idle])?;
    let mut rooms = Vec::new();
    while let Some(row) = rows.next()?
        && rooms.len() < SWEEP_LIMIT as usize
    {
        // People may sit in a room of the second kind for days: it is not forgotten.
        if row.get(2)? || core.people_in(row.get(0)?) == 0 {
            rooms.push(row.get(1)?);
        }
    }
    Ok(rooms)
}

fn ids(core: &Core, sql: &str, before: i64) -> Result<Vec<i64>, ApiError> {
    let mut statement = core.db.prepare_cached(sql)?;
    let ids = statement.query_map(params![before, SWEEP_LIMIT], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}
