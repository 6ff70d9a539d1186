-- Instants are UTC milliseconds since 1970 in *_at_ms columns; elapsed times are milliseconds in *_ms columns.
-- The CHECKs tie columns to the state, so that a wrong write fails loudly instead of being acted upon. They are chains of
-- OR: for each IN with more than two values SQLite would build a table of its own at every write.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE meetings (
    id          TEXT PRIMARY KEY,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    is_removed  INTEGER NOT NULL DEFAULT 0 CHECK (is_removed IN (0, 1)),
    spec        TEXT NOT NULL                        -- JSON: title, policy, people, settings as last applied
) STRICT, WITHOUT ROWID;

CREATE TABLE occurrences (
    seq            INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,             -- <meeting> or <meeting>@<original local start>
    meeting        TEXT NOT NULL REFERENCES meetings (id),
    provider       TEXT NOT NULL,
    title          TEXT,                             -- NULL: the meeting's
    state          TEXT NOT NULL,
    reason         TEXT NOT NULL,
    generation     INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0),
    starts_at_ms   INTEGER NOT NULL,
    ends_at_ms     INTEGER NOT NULL CHECK (ends_at_ms > starts_at_ms),
    extended_by_ms INTEGER NOT NULL DEFAULT 0 CHECK (extended_by_ms >= 0),
    wake_at_ms     INTEGER,                          -- NULL: it is over
    call           TEXT CHECK (                      -- on its way
        call IS NULL OR call = 'create' OR call = 'find' OR call = 'look' OR call = 'update' OR call = 'close'
        OR call = 'announce'),
    marker         TEXT,
    asked_at_ms    INTEGER,
    doubted_at_ms  INTEGER,
    room_id        TEXT,
    join_url       TEXT,
    host_url       TEXT,
    is_outdated    INTEGER NOT NULL DEFAULT 0 CHECK (is_outdated IN (0, 1)),
    is_removed     INTEGER NOT NULL DEFAULT 0 CHECK (is_removed IN (0, 1)),
    verdict        TEXT CHECK (
        verdict IS NULL OR verdict = 'closed' OR verdict = 'cancelled' OR verdict = 'failed' OR verdict = 'planned'
        OR verdict = 'stray'),
    is_close_sent  INTEGER NOT NULL DEFAULT 0 CHECK (is_close_sent IN (0, 1)),
    occupancy      INTEGER CHECK (occupancy >= 0),   -- NULL: unknown
    looked_at_ms   INTEGER,
    empty_since_ms INTEGER,
    was_occupied   INTEGER NOT NULL DEFAULT 0 CHECK (was_occupied IN (0, 1)),
    watched_since_ms INTEGER,                        -- looked at without a gap since then, and empty at every look
    warned_at_ms   INTEGER,                          -- warnings due up to here are dealt with
    yields_at_ms   INTEGER,                          -- when the next occurrence on the same seat starts, as last asked
    gone_since_ms  INTEGER,
    look_at_ms     INTEGER,
    retry_at_ms    INTEGER,
    attempts       INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    last_error     TEXT,
    changed_at_ms  INTEGER NOT NULL,                 -- when it entered its state
    is_begun       INTEGER NOT NULL DEFAULT 0,       -- neither planned any more nor over: rows to look at after a crash
    last_entry     INTEGER,                          -- the newest line of its history

    CHECK (CASE
        WHEN wake_at_ms IS NULL
            THEN state = 'closed' OR state = 'failed' OR state = 'missed' OR state = 'cancelled'
        WHEN room_id IS NULL THEN state = 'planned' OR state = 'creating' OR state = 'closing'
        ELSE state = 'ready' OR state = 'live' OR state = 'ended' OR state = 'closing' OR state = 'creating'
            OR state = 'planned'
        END),
    CHECK (is_begun = (wake_at_ms IS NOT NULL AND state <> 'planned')),
    CHECK ((room_id IS NULL) = (join_url IS NULL)),
    CHECK (asked_at_ms IS NULL OR marker IS NOT NULL),
    CHECK ((state = 'closing') = (verdict IS NOT NULL)),
    CHECK (wake_at_ms IS NOT NULL OR call IS NULL)
) STRICT;

-- SQLite writes an index at each update that names one of its columns, or one of its condition, whether or not the value
-- differs. Hence short ones, on columns that change seldom.
CREATE INDEX occurrences_by_wake ON occurrences (wake_at_ms) WHERE wake_at_ms IS NOT NULL;
CREATE INDEX occurrences_by_meeting ON occurrences (meeting, starts_at_ms);
CREATE INDEX occurrences_begun ON occurrences (seq) WHERE is_begun = 1;
CREATE INDEX occurrences_over ON occurrences (changed_at_ms) WHERE wake_at_ms IS NULL;
-- An open room belongs to one occurrence. The id first: it tells rooms apart, and is all that is compared as a rule.
CREATE UNIQUE INDEX occurrences_by_room ON occurrences (room_id, provider) WHERE room_id IS NOT NULL AND is_begun = 1;

-- Lines are only ever appended. Those of one occurrence are a chain from occurrences.last_entry backwards, so that
-- writing one touches neither an index nor the pages of older ones.
CREATE TABLE history (
    number     INTEGER PRIMARY KEY,
    occurrence INTEGER NOT NULL,
    previous   INTEGER,                              -- the line before of the same occurrence
    at_ms      INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    from_state TEXT NOT NULL,
    to_state   TEXT NOT NULL,
    reason     TEXT NOT NULL,
    detail     TEXT
) STRICT;
