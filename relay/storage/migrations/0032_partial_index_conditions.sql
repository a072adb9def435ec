-- Conditions of indexes without IN for three values, for which SQLite made a table with each row that it wrote.

DROP INDEX entries_open;
CREATE INDEX entries_open ON entries (state, lane, principal, priority, next_attempt_at)
    WHERE state = 'waiting' OR state = 'held' OR state = 'active';

DROP INDEX events_failed;
CREATE INDEX events_failed ON events (kind, at) WHERE kind = 'bounced' OR kind = 'deferred' OR kind = 'complaint';
