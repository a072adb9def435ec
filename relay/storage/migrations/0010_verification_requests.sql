-- Requests of the last hour for codes and tries of codes on the pages. Times are Unix seconds.

CREATE TABLE verification_requests (
    subject TEXT PRIMARY KEY NOT NULL,      -- keyed hash of a client or address, with what it asked for
    times   TEXT NOT NULL,                  -- JSON list
    last_at DOUBLE PRECISION NOT NULL
);

CREATE INDEX verification_requests_by_time ON verification_requests (last_at);
