-- Questions that nothing written down answers well enough. What they say goes with the call it comes from, or after a time.
CREATE TABLE gaps (
    id         UUID   NOT NULL PRIMARY KEY,    -- UUID version 7
    state      TEXT   NOT NULL CHECK (state IN ('open', 'answered', 'hidden')),
    document   TEXT,                           -- the name of the one that answers
    changed_at BIGINT NOT NULL,
    changed_by TEXT   NOT NULL,                -- empty until somebody has decided something
    CHECK ((state = 'answered') = (document IS NOT NULL))
);

-- Alike ones are of one gap, which has no words of its own.
CREATE TABLE gap_questions (
    id         UUID   NOT NULL PRIMARY KEY,    -- UUID version 7
    gap_id     UUID   REFERENCES gaps (id) ON DELETE CASCADE,   -- NULL until it is put to those like it
    call_id    UUID   REFERENCES calls (id) ON DELETE CASCADE,  -- NULL where somebody looked it up
    utterance  BIGINT,
    asked_at   BIGINT NOT NULL,
    text       TEXT   NOT NULL,
    confidence DOUBLE PRECISION NOT NULL,      -- of the best passage; 0 where there was none
    model      TEXT   NOT NULL,                -- what made the vector; empty where there is none
    vector     BYTEA  NOT NULL,                -- 32-bit floats, little-endian
    CHECK ((call_id IS NULL) = (utterance IS NULL))
);

CREATE INDEX gap_questions_by_gap ON gap_questions (gap_id, asked_at);
CREATE INDEX gap_questions_by_call ON gap_questions (call_id);

-- What became of the cards of a call, by document.
CREATE TABLE card_uses (
    call_id   UUID   NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    document  TEXT   NOT NULL,
    shown     BIGINT NOT NULL,
    accepted  BIGINT NOT NULL,
    copied    BIGINT NOT NULL,
    dismissed BIGINT NOT NULL,
    wrong     BIGINT NOT NULL,
    PRIMARY KEY (call_id, document)
);

-- How often somebody who looked something up found a document that surely answers.
CREATE TABLE document_finds (
    document TEXT   NOT NULL PRIMARY KEY REFERENCES documents (name) ON DELETE CASCADE,
    times    BIGINT NOT NULL,
    last_at  BIGINT NOT NULL
);
