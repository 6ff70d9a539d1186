-- What was used of daily quotas: the last day on which each was drawn on, and how often.
CREATE TABLE quota_use (
    provider TEXT NOT NULL,
    quota    TEXT NOT NULL,                          -- whose: the host
    day      TEXT NOT NULL CHECK (day GLOB '????-??-??'),    -- UTC
    used     INTEGER NOT NULL CHECK (used >= 0),
    PRIMARY KEY (provider, quota)
) STRICT, WITHOUT ROWID;
