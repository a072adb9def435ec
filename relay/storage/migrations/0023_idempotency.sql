-- Idempotency keys of submissions, written with their messages: a second submission with the same key is not stored.

CREATE TABLE idempotency (
    owner    TEXT NOT NULL,             -- credential, else the client
    key_hash TEXT NOT NULL,
    request  TEXT NOT NULL,             -- digest of what was submitted
    queue_id TEXT NOT NULL,
    at       DOUBLE PRECISION NOT NULL, -- Unix seconds
    PRIMARY KEY (owner, key_hash)
);

CREATE INDEX idempotency_by_at ON idempotency (at);
