//! What the service's thread works on: the database, who is present, and the time.

use super::ServiceSettings;
use super::envelope::ApiError;
use super::fields;
use crate::seams::{Clock, Entropy};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A person without a sign of life for this long does not count as in the room. More than four of the page's polls, and
/// more than the minute to which browsers slow the timers of a page in the background.
pub(super) const PRESENT_FOR: Duration = Duration::from_secs(90);

/// The letters of ids in links: digits and small letters without those that are easily taken for another.
const ID_LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The service's state. Only its thread has it.
pub(super) struct Core {
    pub(super) db: Connection,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) settings: Arc<ServiceSettings>,
    /// When (boot clock) each person who is in an open room last gave a sign of life, by room and user. Kept in memory
    /// only: after a restart everybody who was in counts from anew.
    presence: HashMap<i64, HashMap<i64, Duration>>,
    /// How many rooms are open that were made ahead, and that were made by an entry.
    open: [u32; 2],
    /// Both clocks when the service started: see [`Core::settled_ms`].
    started: (i64, Duration),
    must_reload: bool,
    must_checkpoint: bool,
}

impl Core {
    pub(super) fn new(
        db: Connection,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: Arc<ServiceSettings>,
    ) -> rusqlite::Result<Self> {
        let started = (clock.wall().timestamp_millis(), clock.boot());
        let (presence, open) = (HashMap::new(), [0, 0]);
        let mut core = Self {
            db,
            clock,
            entropy,
            settings,
            presence,
            open,
            started,
            must_reload: false,
            must_checkpoint: false,
        };
        core.reload()?;
        Ok(core)
    }

    /// Learns from the database what is otherwise kept in memory.
    fn reload(&mut self) -> rusqlite::Result<()> {
        let now = self.clock.boot();
        let mut presence = HashMap::<_, HashMap<_, _>>::new();
        let mut statement = self.db.prepare_cached(
            "SELECT users.room, users.seq FROM users JOIN rooms ON rooms.seq = users.room
             WHERE left_at_ms IS NULL AND closed_at_ms IS NULL",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            presence.entry(row.get(0)?).or_default().insert(row.get(1)?, now);
        }
        let count = |is_scheduled| {
            self.db
                .prepare_cached(
                    "SELECT count(*) FROM rooms WHERE closed_at_ms IS NULL AND is_scheduled = ?1",
                )?
                .query_row([is_scheduled], |row| row.get(0))
        };
        self.open = [count(false)?, count(true)?];
        self.presence = presence;
        self.must_reload = false;
        Ok(())
    }

    /// Does `work` in one transaction, on disk when this returns `Ok`, and undone when it does not.
    pub(super) fn in_transaction(&mut self, work: impl FnOnce(&mut Self)) -> rusqlite::Result<()> {
        if self.must_reload {
            self.reload()?;
        }
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        work(self);
        let committed = self.db.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if committed.is_err() {
            self.must_reload = true;
            if !self.db.is_autocommit() {
                // An error here leaves the transaction open; the next BEGIN says so, and nothing is ever acknowledged.
                let _ = self.db.execute_batch("ROLLBACK");
            }
        }
        if std::mem::take(&mut self.must_checkpoint) {
            self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        committed.map(drop)
    }

    /// Does `work` whole or not at all, without harm to what else is in the transaction.
    pub(super) fn in_savepoint<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.db.prepare_cached("SAVEPOINT call")?.execute([])?;
        let result = work(self);
        if let Err(error) = &result {
            // Refusals come before the first change; a failure may have come between two.
            self.must_reload |= error.status.is_server_error();
            self.db.prepare_cached("ROLLBACK TO call")?.execute([])?;
        }
        self.db.prepare_cached("RELEASE call")?.execute([])?;
        result
    }

    /// Has the write-ahead log emptied after the transaction that this is part of.
    pub(super) fn checkpoint(&mut self) -> Result<(), ApiError> {
        self.must_checkpoint = true;
        Ok(())
    }

    /// The wall clock, in milliseconds since 1970.
    pub(super) fn now_ms(&self) -> i64 {
        self.clock.wall().timestamp_millis()
    }

    /// The time by which rooms are closed and forgotten without a word from anybody: the wall clock, but never further
    /// on than the boot clock has come since the start. A wall clock that was set ahead by mistake closes nothing.
    pub(super) fn settled_ms(&self) -> i64 {
        let (wall, boot) = self.started;
        let elapsed = i64::try_from(self.clock.boot().saturating_sub(boot).as_millis()).unwrap_or(i64::MAX);
        self.now_ms().min(wall.saturating_add(elapsed))
    }

    /// A new id for a room or a user: 100 random bits, in letters that are easily read out.
    pub(super) fn new_id(&self) -> String {
        let mut bytes = [0; 20];
        self.entropy.fill(&mut bytes);
        bytes.iter().map(|byte| char::from(ID_LETTERS[usize::from(byte & 31)])).collect()
    }

    /// A person gave a sign of life.
    pub(super) fn note_alive(&mut self, user: &User) {
        let now = self.clock.boot();
        self.presence.entry(user.room).or_default().insert(user.seq, now);
    }

    /// A person left.
    pub(super) fn note_gone(&mut self, user: &User) {
        if let Some(room) = self.presence.get_mut(&user.room) {
            room.remove(&user.seq);
        }
    }

    /// Whether the person's last sign of life is fresh.
    pub(super) fn is_present(&self, user: &User) -> bool {
        self.silence(user.room, user.seq).is_some_and(|silence| silence < PRESENT_FOR)
    }

    /// How long nothing has been heard of a person; `None` for one who is not in.
    pub(super) fn silence(&self, room: i64, user: i64) -> Option<Duration> {
        let seen = self.presence.get(&room)?.get(&user)?;
        Some(self.clock.boot().saturating_sub(*seen))
    }

    /// How many people are in the room.
    pub(super) fn occupancy(&self, room: &Room) -> u32 {
        if self.is_closed(room) { 0 } else { self.people_in(room.seq) }
    }

    /// How many people of a room, which may be closed, gave a sign of life of late.
    pub(super) fn people_in(&self, room: i64) -> u32 {
        let now = self.clock.boot();
        let Some(people) = self.presence.get(&room) else { return 0 };
        let present = people.values().filter(|seen| now.saturating_sub(**seen) < PRESENT_FOR).count();
        u32::try_from(present).unwrap_or(u32::MAX)
    }

    /// Who has been silent for at least `silence`, in one room or in all.
    pub(super) fn silent_for(&self, silence: Duration, room: Option<i64>) -> Vec<i64> {
        let now = self.clock.boot();
        let rooms = self.presence.iter().filter(|(seq, _)| room.is_none_or(|room| room == **seq));
        let people = rooms.flat_map(|(_, people)| people);
        people.filter(|(_, seen)| now.saturating_sub(**seen) >= silence).map(|(user, _)| *user).collect()
    }

    /// When the service closes a room that everybody forgot.
    pub(super) fn forgotten_at_ms(&self, room: &Room) -> Option<i64> {
        room.closes_at_latest_ms
            .map(|ms| ms.saturating_add(self.settings.close_grace.num_milliseconds().max(0)))
    }

    /// Whether the room is closed for good, by word or because it was forgotten.
    pub(super) fn is_closed(&self, room: &Room) -> bool {
        room.closed_at_ms.is_some() || self.forgotten_at_ms(room).is_some_and(|ms| ms <= self.settled_ms())
    }

    /// How many rooms of a kind are open.
    pub(super) fn open_rooms(&self, is_scheduled: bool) -> u32 {
        self.open[usize::from(is_scheduled)]
    }

    /// A room was opened.
    pub(super) fn note_opened(&mut self, is_scheduled: bool) {
        self.open[usize::from(is_scheduled)] += 1;
    }

    /// Closes a room: everybody is out, and nobody can enter any more. Safe to repeat.
    pub(super) fn close_room(&mut self, room: &Room, at_ms: i64) -> Result<(), ApiError> {
        let changed = self
            .db
            .prepare_cached("UPDATE rooms SET closed_at_ms = ?2 WHERE seq = ?1 AND closed_at_ms IS NULL")?
            .execute(params![room.seq, at_ms])?;
        if changed == 0 {
            return Ok(());
        }
        self.db
            .prepare_cached("UPDATE users SET left_at_ms = ?2 WHERE room = ?1 AND left_at_ms IS NULL")?
            .execute(params![room.seq, at_ms])?;
        self.presence.remove(&room.seq);
        let open = &mut self.open[usize::from(room.is_scheduled)];
        *open = open.saturating_sub(1);
        Ok(())
    }

    /// The room with the service's own id.
    pub(super) fn room_by_id(&self, id: &str) -> Result<Option<Room>, ApiError> {
        self.room("id", id)
    }

    /// The room with the caller's id.
    pub(super) fn room_by_uuid(&self, uuid: &str) -> Result<Option<Room>, ApiError> {
        self.room("uuid", uuid)
    }

    fn room(&self, column: &str, key: &str) -> Result<Option<Room>, ApiError> {
        let sql = format!("SELECT {ROOM_COLUMNS} FROM rooms WHERE {column} = ?1");
        Ok(self.db.prepare_cached(&sql)?.query_row([key], Room::read).optional()?)
    }

    /// The users of a room who are in it, in the order of their first entry, vanished ones left out.
    pub(super) fn present_users(&self, room: &Room) -> Result<Vec<User>, ApiError> {
        if self.is_closed(room) {
            return Ok(Vec::new());
        }
        let sql =
            format!("SELECT {USER_COLUMNS} FROM users WHERE room = ?1 AND left_at_ms IS NULL ORDER BY seq");
        let mut statement = self.db.prepare_cached(&sql)?;
        let users = statement.query_map([room.seq], User::read)?.collect::<Result<Vec<_>, _>>()?;
        Ok(users.into_iter().filter(|user| self.is_present(user)).collect())
    }

    /// One user by a key: `sql` is the condition.
    pub(super) fn user(&self, condition: &str, key: impl rusqlite::Params) -> Result<Option<User>, ApiError> {
        let sql = format!("SELECT {USER_COLUMNS} FROM users WHERE {condition}");
        Ok(self.db.prepare_cached(&sql)?.query_row(key, User::read).optional()?)
    }

    /// The room and the user that a token belongs to, whether the user is still in it or not.
    pub(super) fn identify(&self, room_id: &str, token: Option<&str>) -> Result<(Room, User), ApiError> {
        let room = self.room_by_id(room_id)?.ok_or_else(ApiError::no_such_room)?;
        let token = token.ok_or_else(ApiError::bad_token)?;
        // Found by its hash: how long the search takes tells nothing about the token.
        let user = self.user("token_hash = ?1", [fields::digest(token)])?;
        let user = user.filter(|user| user.room == room.seq).ok_or_else(ApiError::bad_token)?;
        Ok((room, user))
    }

    /// The room and the user of a token, who is in it and herewith gave a sign of life.
    pub(super) fn authenticate(
        &mut self,
        room_id: &str,
        token: Option<&str>,
    ) -> Result<(Room, User), ApiError> {
        let (room, user) = self.identify(room_id, token)?;
        if self.is_closed(&room) {
            return Err(ApiError::room_closed());
        }
        if user.left_at_ms.is_some() {
            return Err(ApiError::user_gone(user.was_kicked));
        }
        self.note_alive(&user);
        Ok((room, user))
    }
}

const ROOM_COLUMNS: &str = "seq, id, uuid, name, password, host_key, is_scheduled, created_at_ms, opens_at_ms, \
    starts_at_ms, ends_at_ms, closes_at_ms, closes_at_latest_ms, closed_at_ms, mute_all_chat, mute_all_audio, \
    mute_on_entry, notice, noticed_at_ms";

/// A room's row.
pub(super) struct Room {
    pub(super) seq: i64,
    pub(super) id: String,
    pub(super) uuid: String,
    pub(super) name: String,
    pub(super) password: Option<String>,
    pub(super) host_key: String,
    /// Made ahead by an administrative call; otherwise by the first entry.
    pub(super) is_scheduled: bool,
    pub(super) created_at_ms: i64,
    pub(super) opens_at_ms: Option<i64>,
    pub(super) starts_at_ms: i64,
    pub(super) ends_at_ms: Option<i64>,
    pub(super) closes_at_ms: Option<i64>,
    pub(super) closes_at_latest_ms: Option<i64>,
    pub(super) closed_at_ms: Option<i64>,
    pub(super) mute_all_chat: i64,
    pub(super) mute_all_audio: i64,
    pub(super) mute_on_entry: bool,
    pub(super) notice: Option<String>,
    pub(super) noticed_at_ms: Option<i64>,
}

impl Room {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            id: row.get(1)?,
            uuid: row.get(2)?,
            name: row.get(3)?,
            password: row.get(4)?,
            host_key: row.get(5)?,
            is_scheduled: row.get(6)?,
            created_at_ms: row.get(7)?,
            opens_at_ms: row.get(8)?,
            starts_at_ms: row.get(9)?,
            ends_at_ms: row.get(10)?,
            closes_at_ms: row.get(11)?,
            closes_at_latest_ms: row.get(12)?,
            closed_at_ms: row.get(13)?,
            mute_all_chat: row.get(14)?,
            mute_all_audio: row.get(15)?,
            mute_on_entry: row.get(16)?,
            notice: row.get(17)?,
            noticed_at_ms: row.get(18)?,
        })
    }
}

const USER_COLUMNS: &str = "seq, id, room, uuid, name, role, enable_chat, enable_video, enable_audio, left_at_ms, \
    was_kicked";

/// A user's row.
pub(super) struct User {
    pub(super) seq: i64,
    pub(super) id: String,
    pub(super) room: i64,
    pub(super) uuid: String,
    pub(super) name: String,
    /// See [`super::role`].
    pub(super) role: i64,
    pub(super) enable_chat: i64,
    pub(super) enable_video: i64,
    pub(super) enable_audio: i64,
    pub(super) left_at_ms: Option<i64>,
    pub(super) was_kicked: bool,
}

impl User {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            id: row.get(1)?,
            room: row.get(2)?,
            uuid: row.get(3)?,
            name: row.get(4)?,
            role: row.get(5)?,
            enable_chat: row.get(6)?,
            enable_video: row.get(7)?,
            enable_audio: row.get(8)?,
            left_at_ms: row.get(9)?,
            was_kicked: row.get(10)?,
        })
    }

    pub(super) fn is_host(&self) -> bool {
        self.role == super::role::HOST
    }
}
