-- Who is accountable for an entry, and its priority: the flows of a lane take turns.

ALTER TABLE entries ADD COLUMN principal TEXT NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;

DROP INDEX entries_open;
CREATE INDEX entries_open ON entries (state, lane, principal, priority, next_attempt_at)
    WHERE state IN ('waiting', 'held', 'active');
