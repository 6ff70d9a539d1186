//! What people do: enter, look around, change themselves or (as hosts) others and the room, leave.

use super::core::{Core, Room, User};
use super::envelope::ApiError;
use super::fields::{self, MAX_ROOM_NAME, MAX_USER_NAME};
use super::{flag, role};
use http::StatusCode;
use rusqlite::params;
use serde_json::{Map, Value, json};

/// Which room somebody wants to enter.
pub(super) enum Door<'a> {
    /// By the caller's id, or the service's own; an unknown one makes the room.
    Uuid(&'a str),
    /// By the service's own id, as in links; the room must be there.
    Id(&'a str),
}

/// What entering gives.
pub(super) struct Entered {
    /// The room's own id.
    pub(super) room_id: String,
    /// The user's own id.
    pub(super) user_id: String,
    /// The secret by which the user is known from now on.
    pub(super) token: String,
}

/// Lets somebody in. The same `userUuid` in the same room is the same user again, with a new token; the old one is void.
pub(super) fn enter(
    core: &mut Core,
    door: &Door<'_>,
    body: &Map<String, Value>,
) -> Result<Entered, ApiError> {
    let user_uuid = fields::id(body, "userUuid")?;
    let name = fields::name(body, "userName", MAX_USER_NAME)?
        .ok_or_else(|| ApiError::bad_request("`userName` is missing: say who you are"))?;
    let password = fields::password(body)?;
    let host_key = fields::text(body, "hostKey")?.filter(|key| !key.is_empty());
    let wants = Flags::read(body)?;
    let found = match door {
        // Whoever gives the id in a link means that room, not a new one.
        Door::Uuid(uuid) => match core.room_by_uuid(uuid)? {
            Some(room) => Some(room),
            None => core.room_by_id(uuid)?,
        },
        Door::Id(id) => Some(core.room_by_id(id)?.ok_or_else(ApiError::no_such_room)?),
    };
    let (room, is_first) = match (found, door) {
        (Some(room), _) => (room, false),
        (None, Door::Uuid(uuid)) => (open_by_entry(core, uuid, body, password.as_deref())?, true),
        (None, Door::Id(_)) => return Err(ApiError::no_such_room()),
    };
    // Nothing is refused any more once a room was made: the count of open rooms would be wrong.
    let has_key = is_first || may_enter(core, &room, password.as_deref(), host_key)?;
    let known = core.user("room = ?1 AND uuid = ?2", params![room.seq, user_uuid])?;
    if !is_first && !known.as_ref().is_some_and(|user| core.is_present(user)) {
        make_place(core, &room)?;
    }
    let role = match &known {
        _ if has_key => role::HOST,
        // Whoever made a room by entering it leads it when coming back; in a room made ahead only the key counts, as
        // anybody could give a host's address as `userUuid`.
        Some(user) if !room.is_scheduled => user.role,
        Some(_) | None => role::PARTICIPANT,
    };
    let is_host = role == role::HOST;
    let audio =
        if !is_host && (room.mute_on_entry || room.mute_all_audio > 0) { Some(0) } else { wants.audio };
    let chat = if !is_host && room.mute_all_chat > 0 { Some(0) } else { wants.chat };
    let (now, token) = (core.now_ms(), core.entropy.token());
    core.db
        .prepare_cached(
            "INSERT INTO users (id, room, uuid, name, role, token_hash, enable_chat, enable_video, enable_audio,
                                entered_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (room, uuid) DO UPDATE SET name = excluded.name, role = excluded.role,
                token_hash = excluded.token_hash, enable_chat = excluded.enable_chat,
                enable_video = excluded.enable_video, enable_audio = excluded.enable_audio,
                entered_at_ms = excluded.entered_at_ms, left_at_ms = NULL, was_kicked = 0",
        )?
        .execute(params![
            core.new_id(),
            room.seq,
            user_uuid,
            name,
            role,
            fields::digest(&token),
            chat.unwrap_or(flag::ON),
            wants.video.unwrap_or(flag::ON),
            audio.unwrap_or(flag::ON),
            now,
        ])?;
    note_activity(core, &room)?;
    let user = core.user("room = ?1 AND uuid = ?2", params![room.seq, user_uuid])?;
    let user = user.ok_or_else(ApiError::no_such_user)?;
    core.note_alive(&user);
    Ok(Entered { room_id: room.id, user_id: user.id, token })
}

/// Whether the door is open to somebody with this password and key; `true` for the host's key.
fn may_enter(
    core: &Core,
    room: &Room,
    password: Option<&str>,
    host_key: Option<&str>,
) -> Result<bool, ApiError> {
    if core.is_closed(room) {
        return Err(ApiError::room_closed());
    }
    if let Some(opens_at) = room.opens_at_ms.filter(|opens_at| core.now_ms() < *opens_at) {
        return Err(ApiError::not_open_yet(opens_at));
    }
    if let Some(key) = host_key {
        if fields::is_same_secret(key, &room.host_key) {
            return Ok(true);
        }
        return Err(ApiError::plain(StatusCode::FORBIDDEN, "the host's key is not valid for this room"));
    }
    match &room.password {
        Some(wanted) if !fields::is_same_secret(wanted, password.unwrap_or_default()) => {
            Err(ApiError::wrong_password())
        }
        Some(_) | None => Ok(false),
    }
}

/// Makes the room that somebody enters as the first.
fn open_by_entry(
    core: &mut Core,
    uuid: &str,
    body: &Map<String, Value>,
    password: Option<&str>,
) -> Result<Room, ApiError> {
    if !core.settings.entry_creates_rooms {
        return Err(ApiError::no_such_room());
    }
    let limit = core.settings.max_entered_rooms;
    if core.open_rooms(false) >= limit {
        let message = format!("{limit} rooms made by entries are open, as many as may be");
        return Err(ApiError::plain(StatusCode::TOO_MANY_REQUESTS, message));
    }
    let name = fields::name(body, "roomName", MAX_ROOM_NAME)?.unwrap_or_else(|| "Meeting".to_owned());
    let (id, host_key, now) = (core.new_id(), core.entropy.token(), core.now_ms());
    core.db
        .prepare_cached(
            "INSERT INTO rooms (id, uuid, name, password, host_key, is_scheduled, created_at_ms, active_at_ms,
                                starts_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?6, ?6)",
        )?
        .execute(params![id, uuid, name, password, host_key, now])?;
    core.note_opened(false);
    core.room_by_uuid(uuid)?.ok_or_else(ApiError::no_such_room)
}

/// Refuses one person too many. Rows of people who are not there any more make place for others.
fn make_place(core: &mut Core, room: &Room) -> Result<(), ApiError> {
    let limit = core.settings.max_users_per_room;
    if core.occupancy(room) >= limit {
        return Err(ApiError::room_full(limit));
    }
    let rows: u32 = core
        .db
        .prepare_cached("SELECT count(*) FROM users WHERE room = ?1")?
        .query_row([room.seq], |row| row.get(0))?;
    if rows >= limit.saturating_mul(2) {
        for user in core.silent_for(super::core::PRESENT_FOR, Some(room.seq)) {
            if let Some(user) = core.user("seq = ?1", [user])? {
                put_out(core, &user, false)?;
            }
        }
        core.db
            .prepare_cached("DELETE FROM users WHERE room = ?1 AND left_at_ms IS NOT NULL")?
            .execute([room.seq])?;
    }
    Ok(())
}

/// The room and the asking user. Also answers who is out, or whose room is closed: both states say so.
pub(super) fn room_info(core: &mut Core, room_id: &str, token: Option<&str>) -> Result<Value, ApiError> {
    let (room, user) = core.identify(room_id, token)?;
    let is_closed = core.is_closed(&room);
    let is_in = !is_closed && user.left_at_ms.is_none();
    if is_in {
        core.note_alive(&user);
    }
    let hosts: Vec<_> = core.present_users(&room)?.iter().filter(|user| user.is_host()).map(member).collect();
    let mut me = member(&user);
    me["userUuid"] = json!(user.uuid);
    me["state"] = json!(i64::from(is_in));
    // There is no media server behind this service, hence no media tokens.
    for token in ["rtcToken", "rtmToken", "screenToken"] {
        me[token] = json!("");
    }
    let mut about = about(core, &room);
    about["password"] =
        json!(room.password.as_deref().filter(|_| is_in && user.is_host()).unwrap_or_default());
    about["hosts"] = json!(hosts);
    about["notice"] = if is_in { super::rooms::notice(&room) } else { Value::Null };
    Ok(json!({ "room": about, "user": me }))
}

/// What anybody with the room's link may know.
pub(super) fn simple_info(core: &Core, room_id: &str) -> Result<Value, ApiError> {
    let room = core.room_by_id(room_id)?.ok_or_else(ApiError::no_such_room)?;
    Ok(json!({ "roomId": room.id, "roomName": room.name, "state": i64::from(!core.is_closed(&room)) }))
}

fn about(core: &Core, room: &Room) -> Value {
    json!({
        "roomId": room.id,
        "roomUuid": room.uuid,
        "roomName": room.name,
        "channelName": room.id,
        "muteAllChat": room.mute_all_chat,
        "muteAllAudio": room.mute_all_audio,
        "state": i64::from(!core.is_closed(room)),
        "onlineUsers": core.occupancy(room),
        "startTime": room.starts_at_ms,
        "shareBoard": 0,
        "shareScreen": 0,
        "createBoardUserId": "",
        "shareScreenUsers": [],
        "shareBoardUsers": [],
    })
}

/// A person as others in the room see them.
pub(super) fn member(user: &User) -> Value {
    json!({
        "userId": user.id,
        "userName": user.name,
        "role": user.role,
        "enableChat": user.enable_chat,
        "enableVideo": user.enable_video,
        "enableAudio": user.enable_audio,
        "uid": user.seq.wrapping_mul(2),
        "screenId": user.seq.wrapping_mul(2) + 1,
        "grantBoard": 0,
        "grantScreen": 0,
    })
}

/// Mutes everybody, or ends the meeting. Hosts only.
pub(super) fn change_room(
    core: &mut Core,
    room_id: &str,
    token: Option<&str>,
    body: &Map<String, Value>,
) -> Result<Value, ApiError> {
    let (room, user) = core.authenticate(room_id, token)?;
    if !user.is_host() {
        return Err(ApiError::not_host("change the room"));
    }
    let chat = fields::small(body, "muteAllChat", 2)?;
    let audio = fields::small(body, "muteAllAudio", 2)?;
    let state = fields::small(body, "state", 1)?;
    let columns = [("mute_all_chat", "enable_chat", chat), ("mute_all_audio", "enable_audio", audio)];
    for (column, switch, level) in columns {
        let Some(level) = level else { continue };
        core.db
            .prepare_cached(&format!("UPDATE rooms SET {column} = ?2 WHERE seq = ?1"))?
            .execute(params![room.seq, level])?;
        if level > 0 {
            core.db
                .prepare_cached(&format!("UPDATE users SET {switch} = 0 WHERE room = ?1 AND role = ?2"))?
                .execute(params![room.seq, role::PARTICIPANT])?;
        }
    }
    note_activity(core, &room)?;
    if state == Some(0) {
        let now = core.now_ms();
        core.close_room(&room, now)?;
    }
    Ok(Value::Bool(true))
}

/// The people of one role, a page at a time; `nextId` is empty on the last page.
pub(super) fn page(
    core: &mut Core,
    room_id: &str,
    token: Option<&str>,
    query: &Map<String, Value>,
) -> Result<Value, ApiError> {
    let (room, _) = core.authenticate(room_id, token)?;
    let role = fields::small(query, "role", 2)?.filter(|role| *role > 0);
    let count = fields::small(query, "count", 1000)?.unwrap_or(100).max(1);
    let after = match fields::text(query, "nextId")?.filter(|text| !text.is_empty()) {
        None => 0,
        Some(text) => {
            text.parse::<i64>().map_err(|_| ApiError::bad_request("`nextId` must be one that was given"))?
        }
    };
    let users = core.present_users(&room)?;
    let mut of_role = users.iter().filter(|user| role.is_none_or(|role| user.role == role));
    let total = of_role.clone().count();
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut rest = of_role.by_ref().skip_while(|user| user.seq <= after);
    let list: Vec<_> = rest.by_ref().take(count).collect();
    let next =
        list.last().filter(|_| rest.next().is_some()).map(|user| user.seq.to_string()).unwrap_or_default();
    let list: Vec<_> = list.into_iter().map(member).collect();
    Ok(json!({ "count": list.len(), "total": total, "nextId": next, "list": list }))
}

/// Which of a user's switches a body names.
struct Flags {
    chat: Option<i64>,
    video: Option<i64>,
    audio: Option<i64>,
}

impl Flags {
    fn read(body: &Map<String, Value>) -> Result<Self, ApiError> {
        Ok(Self {
            chat: fields::small(body, "enableChat", 1)?,
            video: fields::small(body, "enableVideo", 1)?,
            audio: fields::small(body, "enableAudio", 1)?,
        })
    }
}

/// Turns a user's chat, picture or sound on or off: a host anybody's, others their own.
pub(super) fn change_user(
    core: &mut Core,
    room_id: &str,
    user_id: &str,
    token: Option<&str>,
    body: &Map<String, Value>,
) -> Result<Value, ApiError> {
    let (room, user) = core.authenticate(room_id, token)?;
    let target = user_in(core, &room, user_id)?;
    if target.seq != user.seq && !user.is_host() {
        return Err(ApiError::not_host("change other people"));
    }
    let flags = Flags::read(body)?;
    let is_held = |level: i64, wish: Option<i64>| level == 2 && wish == Some(1) && !user.is_host();
    if is_held(room.mute_all_audio, flags.audio) || is_held(room.mute_all_chat, flags.chat) {
        return Err(ApiError::not_host("unmute people while everybody is muted"));
    }
    core.db
        .prepare_cached(
            "UPDATE users SET enable_chat = coalesce(?2, enable_chat), enable_video = coalesce(?3, enable_video),
                              enable_audio = coalesce(?4, enable_audio)
             WHERE seq = ?1",
        )?
        .execute(params![target.seq, flags.chat, flags.video, flags.audio])?;
    Ok(Value::Bool(true))
}

/// Hands the host's role over to another user.
pub(super) fn pass_host(
    core: &mut Core,
    room_id: &str,
    user_id: &str,
    token: Option<&str>,
) -> Result<Value, ApiError> {
    let (room, user) = core.authenticate(room_id, token)?;
    if !user.is_host() {
        return Err(ApiError::not_host("hand the role over"));
    }
    let target = user_in(core, &room, user_id)?;
    if target.seq != user.seq {
        let mut change = core.db.prepare_cached("UPDATE users SET role = ?2 WHERE seq = ?1")?;
        change.execute(params![target.seq, role::HOST])?;
        change.execute(params![user.seq, role::PARTICIPANT])?;
    }
    Ok(Value::Bool(true))
}

/// Leaves the room, or (as host) puts another user out. Leaving twice is no error.
pub(super) fn exit(
    core: &mut Core,
    room_id: &str,
    user_id: &str,
    token: Option<&str>,
) -> Result<Value, ApiError> {
    let (room, user) = core.identify(room_id, token)?;
    if user.id == user_id {
        leave(core, &room, &user)?;
        return Ok(Value::Bool(true));
    }
    let (room, user) = core.authenticate(room_id, token)?;
    if !user.is_host() {
        return Err(ApiError::not_host("put other people out"));
    }
    let target = user_in(core, &room, user_id)?;
    put_out(core, &target, true)?;
    note_activity(core, &room)?;
    Ok(Value::Bool(true))
}

/// The user of `token` leaves.
pub(super) fn leave(core: &mut Core, room: &Room, user: &User) -> Result<(), ApiError> {
    put_out(core, user, false)?;
    note_activity(core, room)
}

/// Takes a user out of the room.
pub(super) fn put_out(core: &mut Core, user: &User, was_kicked: bool) -> Result<(), ApiError> {
    core.db
        .prepare_cached(
            "UPDATE users SET left_at_ms = ?2, was_kicked = ?3 WHERE seq = ?1 AND left_at_ms IS NULL",
        )?
        .execute(params![user.seq, core.now_ms(), was_kicked])?;
    core.note_gone(user);
    Ok(())
}

/// New media tokens; empty, as there is no media server behind this service.
pub(super) fn refresh(core: &mut Core, room_id: &str, token: Option<&str>) -> Result<Value, ApiError> {
    core.authenticate(room_id, token)?;
    Ok(json!({ "rtcToken": "", "rtmToken": "", "screenToken": "" }))
}

fn user_in(core: &Core, room: &Room, user_id: &str) -> Result<User, ApiError> {
    core.user("room = ?1 AND id = ?2 AND left_at_ms IS NULL", params![room.seq, user_id])?
        .ok_or_else(ApiError::no_such_user)
}

fn note_activity(core: &Core, room: &Room) -> Result<(), ApiError> {
    core.db
        .prepare_cached("UPDATE rooms SET active_at_ms = ?2 WHERE seq = ?1")?
        .execute(params![room.seq, core.now_ms()])?;
    Ok(())
}
