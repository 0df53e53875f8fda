-- What others are told of, once for each endpoint: queued in the transaction that makes it so, sent in this order. It has no words:
-- what is sent is read when it is sent.
CREATE TABLE deliveries (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB    NOT NULL UNIQUE,        -- UUID version 7
    endpoint   TEXT    NOT NULL,               -- its name in the configuration
    kind       TEXT    NOT NULL,
    call_id    BLOB    REFERENCES calls (id) ON DELETE CASCADE,
    subject    BLOB,                           -- the contact or the task
    detail     TEXT,                           -- what is kept nowhere else
    once       TEXT,                           -- what an endpoint is told of only once
    at         INTEGER NOT NULL,               -- when it was
    state      TEXT    NOT NULL CHECK (state IN ('waiting', 'done', 'dead')),
    tries      INTEGER NOT NULL,               -- since it was queued last
    due_at     INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    took_ms    INTEGER,                        -- the last try
    code       INTEGER,                        -- the status of its answer, if there was one
    error      TEXT,                           -- why it failed, if it did
    UNIQUE (endpoint, kind, once)
) STRICT;

CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint, state, seq);
CREATE INDEX deliveries_by_call ON deliveries (call_id);
