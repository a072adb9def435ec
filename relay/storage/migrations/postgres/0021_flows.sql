-- Who is accountable for an entry, and its priority: the flows of a lane take turns.

ALTER TABLE entries ADD COLUMN principal TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN priority SMALLINT NOT NULL DEFAULT 1;

DROP INDEX entries_open;
CREATE INDEX entries_open ON entries (state, lane, principal, priority, next_attempt_at, queue_id, number)
    WHERE state IN ('waiting', 'held', 'active');
