-- What the organisation changed about the intents of its file: those it added, renamed or removed. Names are for programs.
CREATE TABLE intents (
    name       TEXT    NOT NULL PRIMARY KEY,
    title      TEXT    NOT NULL,               -- JSON object: what people call it, by language
    alert      INTEGER NOT NULL CHECK (alert IN (0, 1)),
    removed    INTEGER NOT NULL CHECK (removed IN (0, 1)),
    changed_at INTEGER NOT NULL,
    changed_by TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Sentences, and the one intent that each is an example of, whatever the file says; NULL: of none of them.
CREATE TABLE intent_examples (
    text       TEXT    NOT NULL PRIMARY KEY,
    intent     TEXT,
    removed    INTEGER NOT NULL CHECK (removed IN (0, 1)),
    changed_at INTEGER NOT NULL,
    changed_by TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX intent_examples_by_intent ON intent_examples (intent);
