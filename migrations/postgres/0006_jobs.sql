-- What is done after a call, step by step: queued in the transaction that ends the call, once for each version of a step.
CREATE TABLE jobs (
    id         UUID   NOT NULL PRIMARY KEY,    -- UUID version 7
    call_id    UUID   NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    step       TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'dead')),
    tries      BIGINT NOT NULL,                -- since it was queued last
    claims     BIGINT NOT NULL,                -- ever: tells who has it from who had it
    due_at     BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    error      TEXT,                           -- of the last try, if that failed
    UNIQUE (call_id, step, version)
);

CREATE INDEX jobs_by_state ON jobs (state, due_at);

-- What a call came to (JSON objects). Nothing in `insight` rests on how the customer felt; what does is in `with_moods`, which
-- is NULL where nothing does, or where moods are kept no more.
CREATE TABLE ai_call_insights (
    call_id    UUID   NOT NULL PRIMARY KEY REFERENCES calls (id) ON DELETE CASCADE,
    version    BIGINT NOT NULL,                -- of the step that made it
    made_at    BIGINT NOT NULL,
    insight    TEXT   NOT NULL,
    with_moods TEXT,
    quality    TEXT   NOT NULL
);
