-- Addresses that are sent nothing any more, and the soft bounces that may lead there.

CREATE TABLE suppressions (
    address    TEXT COLLATE "C" NOT NULL,   -- as addresses are compared
    domain     TEXT COLLATE "C" NOT NULL,   -- sending domain, '' for all
    reason     TEXT NOT NULL,
    rule       TEXT NOT NULL,
    reply      TEXT NOT NULL,
    queue_id   TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,   -- 0: never
    PRIMARY KEY (address, domain)
);

-- One row a message. A delivery takes back what was refused at once, not what bounced after a delivery.
CREATE TABLE soft_bounces (
    address  TEXT NOT NULL,
    domain   TEXT NOT NULL,
    queue_id TEXT NOT NULL,
    at       DOUBLE PRECISION NOT NULL,
    late     BOOLEAN NOT NULL,
    PRIMARY KEY (address, domain, queue_id)
);

CREATE INDEX soft_bounces_by_time ON soft_bounces (at);

-- What failed, by time, for the reports on it.
CREATE INDEX events_failed ON events (kind, at) WHERE kind IN ('bounced', 'deferred', 'complaint');
