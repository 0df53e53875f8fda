-- A page of a list or of a search is found without looking at what is on no page, however much that is.

-- Which ended calls began within a time, in the order of a page.
DROP INDEX calls_by_state;
CREATE INDEX calls_by_state ON calls (state, id, started_at);

CREATE INDEX call_facts_by_intent ON call_facts (intent, call_id);

-- Tasks of whatever state.
CREATE INDEX tasks_by_due ON tasks (due_at, id);
CREATE INDEX tasks_by_priority ON tasks (rank, due_at, id);

-- A text may stand anywhere in the words of a contact. They are looked through in their table, which is fast: an index of them would
-- need an extension, and those that are in order have no room for as many words as a contact may have.
