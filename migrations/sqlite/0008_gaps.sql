-- Questions that nothing written down answers well enough. What they say goes with the call it comes from, or after a time.
CREATE TABLE gaps (
    id         BLOB    NOT NULL PRIMARY KEY,   -- UUID version 7
    state      TEXT    NOT NULL CHECK (state IN ('open', 'answered', 'hidden')),
    document   TEXT,                           -- the name of the one that answers
    changed_at INTEGER NOT NULL,
    changed_by TEXT    NOT NULL,               -- empty until somebody has decided something
    CHECK ((state = 'answered') = (document IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- Alike ones are of one gap, which has no words of its own.
CREATE TABLE gap_questions (
    id         BLOB    NOT NULL PRIMARY KEY,   -- UUID version 7
    gap_id     BLOB    REFERENCES gaps (id) ON DELETE CASCADE,  -- NULL until it is put to those like it
    call_id    BLOB    REFERENCES calls (id) ON DELETE CASCADE, -- NULL where somebody looked it up
    utterance  INTEGER,
    asked_at   INTEGER NOT NULL,
    text       TEXT    NOT NULL,
    confidence REAL    NOT NULL,               -- of the best passage; 0 where there was none
    model      TEXT    NOT NULL,               -- what made the vector; empty where there is none
    vector     BLOB    NOT NULL,               -- 32-bit floats, little-endian
    CHECK ((call_id IS NULL) = (utterance IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX gap_questions_by_gap ON gap_questions (gap_id, asked_at);
CREATE INDEX gap_questions_by_call ON gap_questions (call_id);

-- What became of the cards of a call, by document.
CREATE TABLE card_uses (
    call_id   BLOB    NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    document  TEXT    NOT NULL,
    shown     INTEGER NOT NULL,
    accepted  INTEGER NOT NULL,
    copied    INTEGER NOT NULL,
    dismissed INTEGER NOT NULL,
    wrong     INTEGER NOT NULL,
    PRIMARY KEY (call_id, document)
) STRICT, WITHOUT ROWID;

-- How often somebody who looked something up found a document that surely answers.
CREATE TABLE document_finds (
    document TEXT    NOT NULL PRIMARY KEY REFERENCES documents (name) ON DELETE CASCADE,
    times    INTEGER NOT NULL,
    last_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
