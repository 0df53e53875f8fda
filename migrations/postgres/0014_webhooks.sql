-- What others are told of, once for each endpoint: queued in the transaction that makes it so, sent in this order. It has no words:
-- what is sent is read when it is sent.
CREATE TABLE deliveries (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         UUID   NOT NULL UNIQUE,         -- UUID version 7
    endpoint   TEXT   NOT NULL,                -- its name in the configuration
    kind       TEXT   NOT NULL,
    call_id    UUID   REFERENCES calls (id) ON DELETE CASCADE,
    subject    UUID,                           -- the contact or the task
    detail     TEXT,                           -- what is kept nowhere else
    once       TEXT,                           -- what an endpoint is told of only once
    at         BIGINT NOT NULL,                -- when it was
    state      TEXT   NOT NULL CHECK (state IN ('waiting', 'done', 'dead')),
    tries      BIGINT NOT NULL,                -- since it was queued last
    due_at     BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    took_ms    BIGINT,                         -- the last try
    code       BIGINT,                         -- the status of its answer, if there was one
    error      TEXT,                           -- why it failed, if it did
    UNIQUE (endpoint, kind, once)
);

CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint, state, seq);
CREATE INDEX deliveries_by_call ON deliveries (call_id);
