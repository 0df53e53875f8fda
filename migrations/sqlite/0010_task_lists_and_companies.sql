-- Tasks as a queue: what matters most first, and of that what is due first; and those of one user.
ALTER TABLE tasks ADD COLUMN rank INTEGER
    GENERATED ALWAYS AS (CASE priority WHEN 'high' THEN 0 WHEN 'normal' THEN 1 ELSE 2 END) VIRTUAL;

CREATE INDEX tasks_by_rank ON tasks (state, rank, due_at, id);
CREATE INDEX tasks_by_assignee ON tasks (assignee, state, rank, due_at, id);

-- Whom contacts belong to. Texts are as `sotto_crm::Company` checks them.
CREATE TABLE companies (
    id         BLOB    NOT NULL PRIMARY KEY,   -- UUID version 7
    name       TEXT    NOT NULL CHECK (name <> ''),
    numbers    TEXT    NOT NULL,               -- JSON array, the usual one first
    notes      TEXT    NOT NULL,
    words      TEXT    NOT NULL,               -- what it is found by, in one spelling
    changed_at INTEGER NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0)
) STRICT, WITHOUT ROWID;

CREATE INDEX companies_by_change ON companies (changed_at, id);

-- Whose a number is, where it is no contact's. Of one company alone.
CREATE TABLE company_numbers (
    number     TEXT NOT NULL PRIMARY KEY,
    company_id BLOB NOT NULL REFERENCES companies (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX company_numbers_by_company ON company_numbers (company_id);

ALTER TABLE contacts ADD COLUMN company_id BLOB REFERENCES companies (id) ON DELETE SET NULL;

CREATE INDEX contacts_by_company ON contacts (company_id, active_at, id);

-- Jobs of a state, those that changed last first.
CREATE INDEX jobs_by_change ON jobs (state, changed_at, id);
