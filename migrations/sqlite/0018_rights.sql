-- Reviewers are users as well. What a column may hold is changed by making its table anew; who is signed in stays so.
CREATE TABLE users_now (
    id            BLOB    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,            -- PHC string
    role          TEXT    NOT NULL CHECK (role IN ('agent', 'reviewer', 'supervisor', 'admin')),
    created_at    INTEGER NOT NULL,
    disabled      INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    team          TEXT
) STRICT, WITHOUT ROWID;

INSERT INTO users_now (id, name, password_hash, role, created_at, disabled, team)
    SELECT id, name, password_hash, role, created_at, disabled, team FROM users;

CREATE TABLE sessions_now (
    token_hash BLOB    NOT NULL PRIMARY KEY,   -- SHA-256
    user_id    BLOB    NOT NULL REFERENCES users_now (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO sessions_now (token_hash, user_id, created_at, seen_at, expires_at)
    SELECT token_hash, user_id, created_at, seen_at, expires_at FROM sessions;

-- Sessions first: users that go would take them along.
DROP TABLE sessions;
DROP TABLE users;
ALTER TABLE users_now RENAME TO users;
ALTER TABLE sessions_now RENAME TO sessions;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- It was proposed, and nobody has accepted it so far: also one that was dismissed, and may be opened again.
ALTER TABLE tasks ADD COLUMN unaccepted INTEGER NOT NULL DEFAULT 0 CHECK (unaccepted IN (0, 1));
UPDATE tasks SET unaccepted = 1 WHERE state = 'proposed';

-- Of all that a contact does not want: whoever changes it says which they have seen.
ALTER TABLE contacts ADD COLUMN opt_outs_version INTEGER NOT NULL DEFAULT 1 CHECK (opt_outs_version > 0);

-- Calls are a user's who is called so, and are so kept from now on: in whatever letters the agent was named.
UPDATE call_facts SET agent = lower(agent) WHERE lower(agent) IN (SELECT name FROM users);
