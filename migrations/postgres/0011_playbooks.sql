-- What agents do for a customer who wants something, step by step, in place of what the file says. Names of intents are for
-- programs; one that is removed takes its playbook along.
CREATE TABLE playbooks (
    intent     TEXT    NOT NULL PRIMARY KEY,
    steps      TEXT    NOT NULL,                -- JSON array: what to do, by language, and what is named once it is done
    changed_at BIGINT  NOT NULL,
    changed_by TEXT    NOT NULL
);
