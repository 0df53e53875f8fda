-- The team somebody is in; NULL where they are in none. Documents name the teams that see them.
ALTER TABLE users ADD COLUMN team TEXT;
