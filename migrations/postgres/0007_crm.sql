-- Whoever calls, or is called. Texts are as `sotto_crm::Contact` checks them.
CREATE TABLE contacts (
    id         UUID    NOT NULL PRIMARY KEY,   -- UUID version 7
    kind       TEXT    NOT NULL CHECK (kind IN ('lead', 'representative')),
    stage      TEXT    NOT NULL CHECK (stage IN ('new', 'contacted', 'qualified', 'converted', 'lost')),
    name       TEXT    NOT NULL CHECK (name <> ''),
    numbers    TEXT    NOT NULL,               -- JSON array, the usual one first
    email      TEXT,
    owner      TEXT,                           -- a user's name
    notes      TEXT    NOT NULL,
    fields     TEXT    NOT NULL,               -- JSON object of texts
    words      TEXT    NOT NULL,               -- what it is found by, in one spelling
    created_at BIGINT  NOT NULL,
    active_at  BIGINT  NOT NULL,               -- when it was changed, or something was added to its timeline, last
    version    BIGINT  NOT NULL CHECK (version > 0)
);

CREATE INDEX contacts_by_activity ON contacts (active_at, id);
CREATE INDEX contacts_by_stage ON contacts (stage, active_at, id);

-- Whose a number is. Of one contact alone: whoever rings is one of them, or nobody.
CREATE TABLE contact_numbers (
    number     TEXT NOT NULL PRIMARY KEY,
    contact_id UUID NOT NULL REFERENCES contacts (id) ON DELETE CASCADE
);

CREATE INDEX contact_numbers_by_contact ON contact_numbers (contact_id);

-- What was said to a contact and by them. What was drawn from a call has the call, once, and goes with it.
CREATE TABLE communications (
    id         UUID    NOT NULL PRIMARY KEY,   -- UUID version 7
    contact_id UUID    NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    call_id    UUID    UNIQUE REFERENCES calls (id) ON DELETE CASCADE,
    kind       TEXT    NOT NULL CHECK (kind IN ('call_summary', 'call', 'note', 'email', 'sms', 'telegram', 'meeting')),
    source     TEXT    NOT NULL CHECK (source IN ('ai', 'person')),
    at         BIGINT  NOT NULL,
    made_by    TEXT,                           -- absent where it was drawn from a call
    content    TEXT    NOT NULL,
    tags       TEXT    NOT NULL,               -- JSON array
    metadata   TEXT    NOT NULL                -- JSON object
);

CREATE INDEX communications_by_contact ON communications (contact_id, at, id);

-- What is to be done for a contact. What was promised in a call says where in it, and so is proposed once.
CREATE TABLE tasks (
    id         UUID    NOT NULL PRIMARY KEY,   -- UUID version 7
    contact_id UUID    NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    call_id    UUID    REFERENCES calls (id) ON DELETE SET NULL,
    origin     TEXT,
    quote      TEXT,                           -- the sentence of the call; goes with it
    state      TEXT    NOT NULL CHECK (state IN ('proposed', 'open', 'done', 'dismissed')),
    kind       TEXT    NOT NULL CHECK (kind IN ('callback', 'message', 'meeting', 'payment', 'task')),
    title      TEXT,
    channel    TEXT    CHECK (channel IN ('phone', 'sms', 'email', 'telegram')),
    address    TEXT,
    due_at     BIGINT  NOT NULL,               -- the largest number there is where nothing was said of it
    priority   TEXT    NOT NULL CHECK (priority IN ('low', 'normal', 'high')),
    assignee   TEXT,                           -- a user's name
    made_at    BIGINT  NOT NULL,
    made_by    TEXT,                           -- absent where it was drawn from a call
    changed_at BIGINT  NOT NULL,
    version    BIGINT  NOT NULL CHECK (version > 0),
    UNIQUE (call_id, origin)
);

CREATE INDEX tasks_by_state ON tasks (state, due_at, id);
CREATE INDEX tasks_by_contact ON tasks (contact_id, due_at, id);

-- The customer's number in a call that is over, in one spelling: a contact that is written down later gets its calls by it.
ALTER TABLE ai_call_insights ADD COLUMN customer_number TEXT;

CREATE INDEX insights_by_number ON ai_call_insights (customer_number, call_id);
