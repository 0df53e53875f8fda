-- Recordings made elsewhere: each becomes a call, once.
CREATE TABLE imports (
    id              UUID   NOT NULL PRIMARY KEY,   -- UUID version 7
    idempotency_key TEXT   NOT NULL UNIQUE,        -- whoever sends it again has sent the same recording
    call_id         UUID   NOT NULL UNIQUE,        -- the call it becomes, which is not there before it is worked on
    request         TEXT   NOT NULL,               -- JSON object: where the audio is, and what is known of the call
    state           TEXT   NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'dead')),
    tries           BIGINT NOT NULL,               -- since it was queued last
    due_at          BIGINT NOT NULL,
    added_at        BIGINT NOT NULL,
    changed_at      BIGINT NOT NULL,
    added_by        TEXT   NOT NULL,
    error           TEXT                           -- of the last try, if that failed
);

CREATE INDEX imports_by_state ON imports (state, due_at);
