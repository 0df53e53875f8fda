-- What is said of the quality of a call by people. Nobody changes what they have said: they say it anew, as the next version.
CREATE TABLE quality_reviews (
    call_id  BLOB    NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    reviewer TEXT    NOT NULL,                 -- a user's name
    version  INTEGER NOT NULL CHECK (version > 0),
    at       INTEGER NOT NULL,
    verdict  TEXT    NOT NULL CHECK (verdict IN ('accepted', 'corrected')),
    scores   TEXT    NOT NULL,                 -- JSON array, question by question
    comment  TEXT    NOT NULL,
    PRIMARY KEY (call_id, reviewer, version)
) STRICT, WITHOUT ROWID;

-- What the call's agent, or a reviewer, answers to that.
CREATE TABLE quality_replies (
    id      BLOB    NOT NULL PRIMARY KEY,      -- UUID version 7
    call_id BLOB    NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    at      INTEGER NOT NULL,
    by_whom TEXT    NOT NULL,
    text    TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX quality_replies_by_call ON quality_replies (call_id, id);

-- Calls that somebody wants to be looked at.
CREATE TABLE call_flags (
    call_id BLOB    NOT NULL PRIMARY KEY REFERENCES calls (id) ON DELETE CASCADE,
    at      INTEGER NOT NULL,
    by_whom TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- By what a call that is over is found and counted: drawn from its log together with what it came to.
CREATE TABLE call_facts (
    call_id     BLOB    NOT NULL PRIMARY KEY REFERENCES calls (id) ON DELETE CASCADE,
    started_at  INTEGER NOT NULL,
    agent       TEXT,                          -- who took part last
    intent      TEXT,
    intent_title TEXT   NOT NULL,              -- JSON object by language
    sentiment   TEXT    CHECK (sentiment IN ('positive', 'neutral', 'negative')), -- NULL also where it is kept no more
    score       REAL,                          -- of its quality, from 0 to 1
    agent_ms    INTEGER NOT NULL,              -- how long they spoke
    customer_ms INTEGER NOT NULL,
    silence_ms  INTEGER NOT NULL,
    finals      INTEGER NOT NULL,              -- utterances, and how late all of them together were published
    latency_ms  INTEGER NOT NULL,
    words       INTEGER NOT NULL,              -- words, and the sum of their probabilities
    probability REAL    NOT NULL,
    lost_ms     INTEGER NOT NULL               -- audio that recognition did not get
) STRICT, WITHOUT ROWID;

CREATE INDEX call_facts_by_start ON call_facts (started_at);
CREATE INDEX call_facts_by_agent ON call_facts (agent, call_id);

-- What was said in calls that are over, to be found by its words, which are in one spelling.
CREATE TABLE call_words (
    id        INTEGER PRIMARY KEY,
    call_id   BLOB    NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    utterance INTEGER NOT NULL,
    party     TEXT    NOT NULL,
    at_ms     INTEGER NOT NULL,
    text      TEXT    NOT NULL,
    words     TEXT    NOT NULL
) STRICT;

CREATE INDEX call_words_by_call ON call_words (call_id);

-- The words are parted by spaces and have letters and digits alone: of these `ascii` leaves each as it is.
CREATE VIRTUAL TABLE call_words_index USING fts5 (
    words, content = 'call_words', content_rowid = 'id', columnsize = 0, tokenize = 'ascii'
);

-- Words that go leave the index at once, not when it is put in order.
INSERT INTO call_words_index (call_words_index, rank) VALUES ('secure-delete', 1);

CREATE TRIGGER call_words_added AFTER INSERT ON call_words BEGIN
    INSERT INTO call_words_index (rowid, words) VALUES (new.id, new.words);
END;

CREATE TRIGGER call_words_gone AFTER DELETE ON call_words BEGIN
    INSERT INTO call_words_index (call_words_index, rowid, words) VALUES ('delete', old.id, old.words);
END;
