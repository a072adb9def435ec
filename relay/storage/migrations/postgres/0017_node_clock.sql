-- How far the clock of a node is ahead of that of the database, in seconds, at its last heartbeat.
ALTER TABLE nodes ADD COLUMN clock DOUBLE PRECISION NOT NULL DEFAULT 0;
