-- Instants are UTC milliseconds since 1970. Tokens are text, or sealed with the key of that id.
-- Every write but that of a login names the generation it was made for, and changes nothing when there is another.

CREATE TABLE accounts (
    name               TEXT PRIMARY KEY,              -- the provider's
    grant_type         TEXT NOT NULL CHECK (grant_type IN ('refresh_token', 'account_credentials')),
    client_id          TEXT NOT NULL,                 -- the application that the grant was given to
    generation         INTEGER NOT NULL CHECK (generation > 0),
    key_id             BLOB CHECK (length(key_id) = 8),  -- NULL: not sealed
    access_token       BLOB NOT NULL,
    refresh_token      BLOB,
    previous_token     BLOB,                          -- the refresh token of the generation before
    scopes             TEXT NOT NULL,                 -- names with spaces between
    issued_at_ms       INTEGER NOT NULL,
    expires_at_ms      INTEGER NOT NULL CHECK (expires_at_ms > issued_at_ms),
    logged_in_at_ms    INTEGER,
    is_refused         INTEGER NOT NULL DEFAULT 0 CHECK (is_refused IN (0, 1)),  -- a service answered 401 to the access token

    -- The journal.
    intent_at_ms       INTEGER,                       -- a refresh of this generation is under way, or was when a process died
    uncertain_since_ms INTEGER,                       -- since then the service may have rotated the token

    failures           INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),  -- in a row
    retry_at_ms        INTEGER,
    last_error         TEXT,

    dead_since_ms      INTEGER,
    dead_cause         TEXT,

    CHECK ((grant_type = 'refresh_token') = (refresh_token IS NOT NULL)),
    CHECK (previous_token IS NULL OR refresh_token IS NOT NULL),
    CHECK ((dead_since_ms IS NULL) = (dead_cause IS NULL)),
    CHECK (dead_since_ms IS NULL OR intent_at_ms IS NULL),
    CHECK ((failures = 0) = (last_error IS NULL))
) STRICT, WITHOUT ROWID;
