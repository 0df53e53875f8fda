-- Messages that are said on the telephone. SQLite changes no constraint of a table that is there.
CREATE TABLE new_follow_ups (
    id           BLOB    NOT NULL PRIMARY KEY,   -- UUID version 7
    contact_id   BLOB    NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    call_id      BLOB    REFERENCES calls (id) ON DELETE SET NULL,
    origin       TEXT,
    state        TEXT    NOT NULL CHECK (state IN
                 ('drafted', 'approved', 'sending', 'sent', 'failed', 'dead', 'unknown', 'dismissed')),
    channel      TEXT    NOT NULL CHECK (channel IN ('sms', 'telegram', 'email', 'webhook', 'call_message')),
    address      TEXT,
    subject      TEXT,
    body         TEXT    NOT NULL,
    not_before   INTEGER,
    made_at      INTEGER NOT NULL,
    made_by      TEXT,                           -- absent where it was drawn from a call
    decided_by   TEXT,                           -- who has changed, approved or dismissed it last
    changed_at   INTEGER NOT NULL,
    version      INTEGER NOT NULL CHECK (version > 0),
    send_key     BLOB    NOT NULL,               -- the same for every try of what was approved once
    due_at       INTEGER NOT NULL,               -- when it may be tried
    tries        INTEGER NOT NULL,               -- since it was approved
    claims       INTEGER NOT NULL,               -- ever: tells who has it from who had it
    attempted_at INTEGER,
    receipt      TEXT,                           -- what whoever delivers it calls it
    error        TEXT,                           -- of the last try, if that failed
    UNIQUE (call_id, origin)
) STRICT, WITHOUT ROWID;

INSERT INTO new_follow_ups
    (id, contact_id, call_id, origin, state, channel, address, subject, body, not_before, made_at,
    made_by, decided_by, changed_at, version, send_key, due_at, tries, claims, attempted_at,
    receipt, error)
SELECT
    id, contact_id, call_id, origin, state, channel, address, subject, body, not_before, made_at,
    made_by, decided_by, changed_at, version, send_key, due_at, tries, claims, attempted_at,
    receipt, error
FROM follow_ups;
DROP TABLE follow_ups;
ALTER TABLE new_follow_ups RENAME TO follow_ups;

CREATE INDEX follow_ups_by_state ON follow_ups (state, due_at, id);
CREATE INDEX follow_ups_by_contact ON follow_ups (contact_id, made_at, id);
CREATE INDEX follow_ups_by_age ON follow_ups (made_at, id);

CREATE TABLE new_opt_outs (
    contact_id BLOB    NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    channel    TEXT    NOT NULL CHECK (channel IN ('sms', 'telegram', 'email', 'webhook', 'call_message')),
    noted_at   INTEGER NOT NULL,
    noted_by   TEXT    NOT NULL,
    PRIMARY KEY (contact_id, channel)
) STRICT, WITHOUT ROWID;

INSERT INTO new_opt_outs (contact_id, channel, noted_at, noted_by)
SELECT contact_id, channel, noted_at, noted_by FROM opt_outs;
DROP TABLE opt_outs;
ALTER TABLE new_opt_outs RENAME TO opt_outs;
