-- Reviewers are users as well.
ALTER TABLE users DROP CONSTRAINT users_role_check;
ALTER TABLE users ADD CONSTRAINT users_role_check CHECK (role IN ('agent', 'reviewer', 'supervisor', 'admin'));

-- It was proposed, and nobody has accepted it so far: also one that was dismissed, and may be opened again.
ALTER TABLE tasks ADD COLUMN unaccepted BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE tasks SET unaccepted = TRUE WHERE state = 'proposed';

-- Of all that a contact does not want: whoever changes it says which they have seen.
ALTER TABLE contacts ADD COLUMN opt_outs_version BIGINT NOT NULL DEFAULT 1 CHECK (opt_outs_version > 0);

-- Calls are a user's who is called so, and are so kept from now on: in whatever letters the agent was named.
UPDATE call_facts SET agent = lower(agent) WHERE lower(agent) IN (SELECT name FROM users);
