-- Tokens that the language model has taken on a day, or that are set aside: a restart gives nothing back.
CREATE TABLE model_tokens (
    day     INTEGER NOT NULL,   -- since 1970 (UTC)
    purpose TEXT    NOT NULL,
    tokens  INTEGER NOT NULL,
    PRIMARY KEY (day, purpose)
) STRICT, WITHOUT ROWID;
