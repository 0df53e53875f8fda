-- What contacts have asked to be put right. Texts are as `sotto_crm::Ticket` checks them.
CREATE TABLE tickets (
    id         UUID    NOT NULL PRIMARY KEY,   -- UUID version 7
    contact_id UUID    NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    state      TEXT    NOT NULL CHECK (state IN ('open', 'waiting', 'resolved', 'closed')),
    title      TEXT    NOT NULL CHECK (title <> ''),
    text       TEXT    NOT NULL,
    resolution TEXT    NOT NULL,               -- empty where it is not known what has put it right
    priority   TEXT    NOT NULL CHECK (priority IN ('low', 'normal', 'high')),
    assignee   TEXT,                           -- a user's name
    words      TEXT    NOT NULL,               -- what it is found by, in one spelling
    made_at    BIGINT  NOT NULL,
    made_by    TEXT    NOT NULL,
    changed_at BIGINT  NOT NULL,
    version    BIGINT  NOT NULL CHECK (version > 0)
);

CREATE INDEX tickets_by_change ON tickets (changed_at, id);
CREATE INDEX tickets_by_state ON tickets (state, changed_at, id);
CREATE INDEX tickets_by_contact ON tickets (contact_id, changed_at, id);

-- What contacts owe, have paid or were paid back. Amounts and texts are as `sotto_crm::Payment` checks them.
CREATE TABLE payments (
    id         UUID    NOT NULL PRIMARY KEY,   -- UUID version 7
    contact_id UUID    NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    state      TEXT    NOT NULL CHECK (state IN ('due', 'paid', 'refunded', 'cancelled')),
    minor      BIGINT  NOT NULL CHECK (minor > 0),   -- cents, or whole rials
    currency   TEXT    NOT NULL CHECK (length(currency) = 3),   -- ISO 4217
    about      TEXT    NOT NULL,
    reference  TEXT    UNIQUE,                 -- a bank's or an invoice's number
    due_at     BIGINT,
    paid_at    BIGINT,
    at         BIGINT  NOT NULL,               -- when it was paid, else is due, else was written down
    words      TEXT    NOT NULL,               -- what it is found by, in one spelling
    made_at    BIGINT  NOT NULL,
    made_by    TEXT    NOT NULL,
    changed_at BIGINT  NOT NULL,
    version    BIGINT  NOT NULL CHECK (version > 0),
    CHECK ((state IN ('paid', 'refunded')) = (paid_at IS NOT NULL))
);

CREATE INDEX payments_by_time ON payments (at, id);
CREATE INDEX payments_by_state ON payments (state, at, id);
CREATE INDEX payments_by_contact ON payments (contact_id, at, id);

-- What somebody has written down for the next talk with a contact; what else they should know is read where it is kept.
CREATE TABLE preparations (
    contact_id UUID    NOT NULL PRIMARY KEY REFERENCES contacts (id) ON DELETE CASCADE,
    text       TEXT    NOT NULL CHECK (text <> ''),
    kept_at    BIGINT  NOT NULL,
    kept_by    TEXT    NOT NULL,
    version    BIGINT  NOT NULL CHECK (version > 0)
);

-- A voice note is an entry of its own kind.
ALTER TABLE communications DROP CONSTRAINT communications_kind_check;
ALTER TABLE communications ADD CONSTRAINT communications_kind_check
    CHECK (kind IN ('call_summary', 'call', 'voice_note', 'note', 'email', 'sms', 'telegram', 'meeting'));
