-- Instants are UTC milliseconds since 1970 in *_at_ms columns.
-- A row that breaks a CHECK is a defect in the program: the write fails loudly and the batch is undone.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rooms (
    seq                 INTEGER PRIMARY KEY,
    id                  TEXT NOT NULL UNIQUE,      -- the service's own, in links: nobody can guess it
    uuid                TEXT NOT NULL UNIQUE,      -- the caller's
    name                TEXT NOT NULL,
    password            TEXT CHECK (password <> ''),
    host_key            TEXT NOT NULL,
    is_scheduled        INTEGER NOT NULL CHECK (is_scheduled IN (0, 1)),  -- made ahead, not by the first entry
    created_at_ms       INTEGER NOT NULL,
    active_at_ms        INTEGER NOT NULL,          -- somebody last entered, left, or changed the room
    opens_at_ms         INTEGER,                   -- NULL: people may enter as soon as the room exists
    starts_at_ms        INTEGER NOT NULL,
    ends_at_ms          INTEGER,
    closes_at_ms        INTEGER,
    closes_at_latest_ms INTEGER,
    closed_at_ms        INTEGER,                   -- NULL: open
    mute_all_chat       INTEGER NOT NULL DEFAULT 0 CHECK (mute_all_chat IN (0, 1, 2)),
    mute_all_audio      INTEGER NOT NULL DEFAULT 0 CHECK (mute_all_audio IN (0, 1, 2)),
    mute_on_entry       INTEGER NOT NULL DEFAULT 0 CHECK (mute_on_entry IN (0, 1)),
    notice              TEXT,                      -- what the people inside were last told
    noticed_at_ms       INTEGER,

    CHECK ((notice IS NULL) = (noticed_at_ms IS NULL)),
    CHECK ((is_scheduled = 1) = (ends_at_ms IS NOT NULL)),
    CHECK ((is_scheduled = 1) = (closes_at_ms IS NOT NULL)),
    CHECK ((is_scheduled = 1) = (closes_at_latest_ms IS NOT NULL)),
    CHECK (is_scheduled = 0 OR (starts_at_ms < ends_at_ms AND ends_at_ms <= closes_at_ms
                                AND closes_at_ms <= closes_at_latest_ms))
) STRICT;

CREATE INDEX rooms_open ON rooms (closes_at_latest_ms, active_at_ms) WHERE closed_at_ms IS NULL;
CREATE INDEX rooms_closed ON rooms (closed_at_ms) WHERE closed_at_ms IS NOT NULL;

CREATE TABLE users (
    seq           INTEGER PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,            -- the service's own
    room          INTEGER NOT NULL REFERENCES rooms (seq),
    uuid          TEXT NOT NULL,                   -- the caller's: never shown to others
    name          TEXT NOT NULL,
    role          INTEGER NOT NULL CHECK (role IN (1, 2)),  -- 1 host, 2 participant
    token_hash    BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    enable_chat   INTEGER NOT NULL CHECK (enable_chat IN (0, 1)),
    enable_video  INTEGER NOT NULL CHECK (enable_video IN (0, 1)),
    enable_audio  INTEGER NOT NULL CHECK (enable_audio IN (0, 1)),
    entered_at_ms INTEGER NOT NULL,
    left_at_ms    INTEGER,                         -- NULL: in the room, as long as signs of life come
    was_kicked    INTEGER NOT NULL DEFAULT 0 CHECK (was_kicked IN (0, 1)),

    UNIQUE (room, uuid),
    CHECK (was_kicked = 0 OR left_at_ms IS NOT NULL)
) STRICT;

CREATE INDEX users_in ON users (room, seq) WHERE left_at_ms IS NULL;
CREATE INDEX users_out ON users (left_at_ms) WHERE left_at_ms IS NOT NULL;
