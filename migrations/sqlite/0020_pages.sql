-- A page of a list or of a search is found without looking at what is on no page, however much that is.

-- Which ended calls began within a time, in the order of a page.
DROP INDEX calls_by_state;
CREATE INDEX calls_by_state ON calls (state, id, started_at);

CREATE INDEX call_facts_by_intent ON call_facts (intent, call_id);

-- Tasks of whatever state.
CREATE INDEX tasks_by_due ON tasks (due_at, id);
CREATE INDEX tasks_by_priority ON tasks (rank, due_at, id);

-- By what contacts are looked for, in the order of a page: a text may stand anywhere in their words, so these are looked through,
-- without all else that is known of the contacts. It serves also where no word is looked for.
DROP INDEX contacts_by_activity;
CREATE INDEX contacts_by_words ON contacts (active_at, id, kind, stage, words);
