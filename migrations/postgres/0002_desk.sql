-- How a call came out, as its agent wrote it down: a JSON object.
ALTER TABLE calls ADD COLUMN outcome TEXT;

-- Who did what that somebody may ask about later. Kept when the call is removed. Ids are UUIDs version 7.
CREATE TABLE audit (
    id      UUID   NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    who     TEXT   NOT NULL,
    what    TEXT   NOT NULL,
    call_id UUID,
    detail  TEXT   NOT NULL
);

-- Calls to numbers of ours that nobody answered.
CREATE TABLE missed_calls (
    id         UUID   NOT NULL PRIMARY KEY,     -- UUID version 7
    at         BIGINT NOT NULL,
    called     TEXT   NOT NULL,
    aor        TEXT,
    name       TEXT,
    waited_ms  BIGINT NOT NULL,
    handled_at BIGINT,
    handled_by TEXT
);
