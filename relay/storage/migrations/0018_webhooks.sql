-- Webhooks: how far each has posted the events, and the events whose post failed. Times are Unix seconds.

CREATE TABLE webhooks (
    name       TEXT PRIMARY KEY NOT NULL,
    position   TEXT NOT NULL,               -- in the events table: transaction (0 on SQLite) and id
    progress   TEXT NOT NULL,               -- JSON object
    replay     TEXT NOT NULL,               -- JSON object, '' for none
    current_at DOUBLE PRECISION NOT NULL,   -- when it had posted all events, last
    paused_at  DOUBLE PRECISION NOT NULL,   -- 0: not paused
    why        TEXT NOT NULL,
    resumes    INTEGER NOT NULL             -- how often an operator resumed it
);

CREATE TABLE webhook_failures (
    name      TEXT NOT NULL,
    position  TEXT NOT NULL,
    event_id  TEXT NOT NULL,
    type      TEXT NOT NULL,
    queue_id  TEXT NOT NULL,
    recipient TEXT NOT NULL,
    first_at  DOUBLE PRECISION NOT NULL,
    next_at   DOUBLE PRECISION NOT NULL,    -- 0: given up
    attempts  INTEGER NOT NULL,
    status    INTEGER NOT NULL,             -- of the last answer, 0 without one
    answer    TEXT NOT NULL,
    PRIMARY KEY (name, position)
);
