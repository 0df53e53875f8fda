-- Whether the call's log may still have what was read of the customer's mood, which need not be kept for as long as the words.
ALTER TABLE calls ADD COLUMN moods_kept INTEGER NOT NULL DEFAULT 1 CHECK (moods_kept IN (0, 1));
