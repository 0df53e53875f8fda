-- What contacts have asked to be put right. Texts are as `sotto_crm::Ticket` checks them.
CREATE TABLE tickets (
    id         BLOB    NOT NULL PRIMARY KEY,   -- UUID version 7
    contact_id BLOB    NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    state      TEXT    NOT NULL CHECK (state IN ('open', 'waiting', 'resolved', 'closed')),
    title      TEXT    NOT NULL CHECK (title <> ''),
    text       TEXT    NOT NULL,
    resolution TEXT    NOT NULL,               -- empty where it is not known what has put it right
    priority   TEXT    NOT NULL CHECK (priority IN ('low', 'normal', 'high')),
    assignee   TEXT,                           -- a user's name
    words      TEXT    NOT NULL,               -- what it is found by, in one spelling
    made_at    INTEGER NOT NULL,
    made_by    TEXT    NOT NULL,
    changed_at INTEGER NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0)
) STRICT, WITHOUT ROWID;

CREATE INDEX tickets_by_change ON tickets (changed_at, id);
CREATE INDEX tickets_by_state ON tickets (state, changed_at, id);
CREATE INDEX tickets_by_contact ON tickets (contact_id, changed_at, id);

-- What contacts owe, have paid or were paid back. Amounts and texts are as `sotto_crm::Payment` checks them.
CREATE TABLE payments (
    id         BLOB    NOT NULL PRIMARY KEY,   -- UUID version 7
    contact_id BLOB    NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    state      TEXT    NOT NULL CHECK (state IN ('due', 'paid', 'refunded', 'cancelled')),
    minor      INTEGER NOT NULL CHECK (minor > 0),   -- cents, or whole rials
    currency   TEXT    NOT NULL CHECK (length(currency) = 3),   -- ISO 4217
    about      TEXT    NOT NULL,
    reference  TEXT    UNIQUE,                 -- a bank's or an invoice's number
    due_at     INTEGER,
    paid_at    INTEGER,
    at         INTEGER NOT NULL,               -- when it was paid, else is due, else was written down
    words      TEXT    NOT NULL,               -- what it is found by, in one spelling
    made_at    INTEGER NOT NULL,
    made_by    TEXT    NOT NULL,
    changed_at INTEGER NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0),
    CHECK ((state IN ('paid', 'refunded')) = (paid_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX payments_by_time ON payments (at, id);
CREATE INDEX payments_by_state ON payments (state, at, id);
CREATE INDEX payments_by_contact ON payments (contact_id, at, id);

-- What somebody has written down for the next talk with a contact; what else they should know is read where it is kept.
CREATE TABLE preparations (
    contact_id BLOB    NOT NULL PRIMARY KEY REFERENCES contacts (id) ON DELETE CASCADE,
    text       TEXT    NOT NULL CHECK (text <> ''),
    kept_at    INTEGER NOT NULL,
    kept_by    TEXT    NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0)
) STRICT, WITHOUT ROWID;

-- A voice note is an entry of its own kind. What a column may hold is part of its table, which is therefore made anew.
CREATE TABLE communications_anew (
    id         BLOB    NOT NULL PRIMARY KEY,   -- UUID version 7
    contact_id BLOB    NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    call_id    BLOB    UNIQUE REFERENCES calls (id) ON DELETE CASCADE,
    kind       TEXT    NOT NULL CHECK (kind IN ('call_summary', 'call', 'voice_note', 'note', 'email', 'sms', 'telegram', 'meeting')),
    source     TEXT    NOT NULL CHECK (source IN ('ai', 'person')),
    at         INTEGER NOT NULL,
    made_by    TEXT,                           -- absent where it was drawn from a call
    content    TEXT    NOT NULL,
    tags       TEXT    NOT NULL,               -- JSON array
    metadata   TEXT    NOT NULL                -- JSON object
) STRICT, WITHOUT ROWID;

INSERT INTO communications_anew (id, contact_id, call_id, kind, source, at, made_by, content, tags, metadata)
    SELECT id, contact_id, call_id, kind, source, at, made_by, content, tags, metadata FROM communications;
DROP TABLE communications;
ALTER TABLE communications_anew RENAME TO communications;

CREATE INDEX communications_by_contact ON communications (contact_id, at, id);
