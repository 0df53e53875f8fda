-- Jobs are claimed step by step: one that waits for a language model holds up no other.
DROP INDEX jobs_by_state;
CREATE INDEX jobs_by_state ON jobs (state, step, due_at);

-- What has made the vectors of what was said in a call; empty until something has.
ALTER TABLE call_facts ADD COLUMN embedded_by TEXT NOT NULL DEFAULT '';
CREATE INDEX call_facts_by_embedding ON call_facts (embedded_by, call_id);

-- What was said in calls that are over, to be found by its meaning: passages of a few utterances.
CREATE TABLE call_passages (
    call_id  BLOB    NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    place    INTEGER NOT NULL,                 -- among the call's passages, from 0
    from_ms  INTEGER NOT NULL,                 -- when its first utterance begins
    until_ms INTEGER NOT NULL,                 -- when its last one begins
    vector   BLOB    NOT NULL,                 -- 32-bit floats, little-endian
    PRIMARY KEY (call_id, place)
) STRICT, WITHOUT ROWID;
