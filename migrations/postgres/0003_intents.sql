-- What the organisation changed about the intents of its file: those it added, renamed or removed. Names are for programs.
CREATE TABLE intents (
    name       TEXT    NOT NULL PRIMARY KEY,
    title      TEXT    NOT NULL,                -- JSON object: what people call it, by language
    alert      BOOLEAN NOT NULL,
    removed    BOOLEAN NOT NULL,
    changed_at BIGINT  NOT NULL,
    changed_by TEXT    NOT NULL
);

-- Sentences, and the one intent that each is an example of, whatever the file says; NULL: of none of them.
CREATE TABLE intent_examples (
    text       TEXT    NOT NULL PRIMARY KEY,
    intent     TEXT,
    removed    BOOLEAN NOT NULL,
    changed_at BIGINT  NOT NULL,
    changed_by TEXT    NOT NULL
);

CREATE INDEX intent_examples_by_intent ON intent_examples (intent);
