-- What is said of the quality of a call by people. Nobody changes what they have said: they say it anew, as the next version.
CREATE TABLE quality_reviews (
    call_id  UUID    NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    reviewer TEXT    NOT NULL,                 -- a user's name
    version  BIGINT  NOT NULL CHECK (version > 0),
    at       BIGINT  NOT NULL,
    verdict  TEXT    NOT NULL CHECK (verdict IN ('accepted', 'corrected')),
    scores   TEXT    NOT NULL,                 -- JSON array, question by question
    comment  TEXT    NOT NULL,
    PRIMARY KEY (call_id, reviewer, version)
);

-- What the call's agent, or a reviewer, answers to that.
CREATE TABLE quality_replies (
    id      UUID    NOT NULL PRIMARY KEY,      -- UUID version 7
    call_id UUID    NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    at      BIGINT  NOT NULL,
    by_whom TEXT    NOT NULL,
    text    TEXT    NOT NULL
);

CREATE INDEX quality_replies_by_call ON quality_replies (call_id, id);

-- Calls that somebody wants to be looked at.
CREATE TABLE call_flags (
    call_id UUID    NOT NULL PRIMARY KEY REFERENCES calls (id) ON DELETE CASCADE,
    at      BIGINT  NOT NULL,
    by_whom TEXT    NOT NULL
);

-- By what a call that is over is found and counted: drawn from its log together with what it came to.
CREATE TABLE call_facts (
    call_id     UUID    NOT NULL PRIMARY KEY REFERENCES calls (id) ON DELETE CASCADE,
    started_at  BIGINT  NOT NULL,
    agent       TEXT,                          -- who took part last
    intent      TEXT,
    intent_title TEXT   NOT NULL,              -- JSON object by language
    sentiment   TEXT    CHECK (sentiment IN ('positive', 'neutral', 'negative')), -- NULL also where it is kept no more
    score       DOUBLE PRECISION,              -- of its quality, from 0 to 1
    agent_ms    BIGINT  NOT NULL,              -- how long they spoke
    customer_ms BIGINT  NOT NULL,
    silence_ms  BIGINT  NOT NULL,
    finals      BIGINT  NOT NULL,              -- utterances, and how late all of them together were published
    latency_ms  BIGINT  NOT NULL,
    words       BIGINT  NOT NULL,              -- words, and the sum of their probabilities
    probability DOUBLE PRECISION NOT NULL,
    lost_ms     BIGINT  NOT NULL               -- audio that recognition did not get
);

CREATE INDEX call_facts_by_start ON call_facts (started_at);
CREATE INDEX call_facts_by_agent ON call_facts (agent, call_id);

-- What was said in calls that are over, to be found by its words, which are in one spelling.
CREATE TABLE call_words (
    call_id   UUID    NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    utterance BIGINT  NOT NULL,
    party     TEXT    NOT NULL,
    at_ms     BIGINT  NOT NULL,
    text      TEXT    NOT NULL,
    words     TSVECTOR NOT NULL,
    PRIMARY KEY (call_id, utterance)
);

CREATE INDEX call_words_index ON call_words USING gin (words);
