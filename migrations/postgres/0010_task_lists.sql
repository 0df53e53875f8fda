-- Tasks as a queue: what matters most first, and of that what is due first; and those of one user.
ALTER TABLE tasks ADD COLUMN rank BIGINT
    GENERATED ALWAYS AS (CASE priority WHEN 'high' THEN 0 WHEN 'normal' THEN 1 ELSE 2 END) STORED;

CREATE INDEX tasks_by_rank ON tasks (state, rank, due_at, id);
CREATE INDEX tasks_by_assignee ON tasks (assignee, state, rank, due_at, id);
