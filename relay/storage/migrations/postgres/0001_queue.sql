-- Queue, history, limits, nodes. Times are Unix seconds. Text that is compared or sorted is compared by its octets.

CREATE TABLE messages (
    queue_id     TEXT COLLATE "C" PRIMARY KEY,
    created_at   DOUBLE PRECISION NOT NULL,
    reverse_path TEXT NOT NULL,
    domain       TEXT NOT NULL,             -- sending domain
    identity     TEXT NOT NULL,
    policy       TEXT NOT NULL,             -- JSON; what differs in each message is kept beside it
    added_fields BYTEA NOT NULL,
    smtputf8     BOOLEAN NOT NULL,
    ret          TEXT NOT NULL,
    envid        TEXT NOT NULL,
    size         BIGINT NOT NULL,
    message_id   TEXT NOT NULL,
    header_from  TEXT NOT NULL,
    subject      TEXT NOT NULL,
    credential   TEXT NOT NULL,
    client       TEXT NOT NULL,
    campaign     TEXT NOT NULL,
    tags         TEXT NOT NULL,             -- JSON list
    metadata     TEXT NOT NULL              -- JSON object
);

CREATE INDEX messages_by_time ON messages (created_at, queue_id);
CREATE INDEX messages_by_message_id ON messages USING hash (message_id);

-- What the application sent, until every entry of the message is final. It is not compressed: it lives for seconds.
CREATE TABLE contents (
    queue_id TEXT COLLATE "C" PRIMARY KEY,
    content  BYTEA NOT NULL
);

ALTER TABLE contents ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE entries (
    queue_id        TEXT COLLATE "C" NOT NULL,
    number          INTEGER NOT NULL,
    recipient       TEXT NOT NULL,
    lane            TEXT COLLATE "C" NOT NULL,
    created_at      DOUBLE PRECISION NOT NULL,
    expires_at      DOUBLE PRECISION NOT NULL,
    next_attempt_at DOUBLE PRECISION NOT NULL,
    release_at      DOUBLE PRECISION NOT NULL,
    state           TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    notify          TEXT NOT NULL,
    orcpt           TEXT NOT NULL,
    last_reply      TEXT,                   -- JSON: [code, status, text]
    last_remote     TEXT NOT NULL,
    reason          TEXT NOT NULL,
    uncertain       BOOLEAN NOT NULL,
    delay_notified  BOOLEAN NOT NULL,
    recipient_key   TEXT NOT NULL,          -- the recipient as addresses are compared
    lease           TEXT NOT NULL DEFAULT '',  -- of the node that holds an active entry: nodes.lease
    lease_number    BIGINT NOT NULL DEFAULT 0, -- the claim that took it, among those of that lease
    PRIMARY KEY (queue_id, number)
);

CREATE INDEX entries_by_recipient ON entries USING hash (recipient_key);
CREATE INDEX entries_open ON entries (state, lane, next_attempt_at, queue_id, number)
    WHERE state IN ('waiting', 'held', 'active');

-- Rows of a queue change several times within seconds: what they leave behind is cleared early.
ALTER TABLE entries SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1,
                         autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE contents SET (autovacuum_vacuum_scale_factor = 0.02);

-- By time, one part for each week: old ones are dropped whole. What has a time of no part is in events_default.
CREATE TABLE events (
    id       BIGINT GENERATED ALWAYS AS IDENTITY,
    at       DOUBLE PRECISION NOT NULL,
    kind     TEXT NOT NULL,
    queue_id TEXT COLLATE "C" NOT NULL,
    number   INTEGER NOT NULL,
    address  TEXT NOT NULL,
    data     TEXT NOT NULL                  -- JSON object, '' when empty
) PARTITION BY RANGE (at);

CREATE INDEX events_by_message ON events (queue_id);
CREATE TABLE events_default PARTITION OF events DEFAULT;

-- Tags (name '') and metadata of messages, to find them by.
CREATE TABLE labels (
    name     TEXT NOT NULL,
    value    TEXT NOT NULL,
    queue_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (name, value, queue_id)
);

-- The ledgers of identities and providers. Whoever changes places of a ledger holds its row, and gives both the next
-- number: a node that has seen a ledger up to a number needs only the places with a higher one.
CREATE SEQUENCE ledger_changes;

CREATE TABLE ledgers (
    key    TEXT COLLATE "C" PRIMARY KEY,
    change BIGINT NOT NULL
);

-- The places of entries in the ledgers. One that was given back stays, without a standing, until its time is past.
CREATE TABLE slots (
    queue_id TEXT COLLATE "C" NOT NULL,
    number   INTEGER NOT NULL,
    key      TEXT COLLATE "C" NOT NULL,
    at       DOUBLE PRECISION NOT NULL,
    standing INTEGER,
    change   BIGINT NOT NULL,
    node     TEXT NOT NULL,                 -- that gave the place
    PRIMARY KEY (queue_id, number, key)
);

CREATE INDEX slots_by_change ON slots (key, change);
CREATE INDEX slots_by_time ON slots (at);

-- The processes that share this database. A lease is renewed by the heartbeat; '' when it ran out.
CREATE TABLE nodes (
    node         TEXT PRIMARY KEY,
    hostname     TEXT NOT NULL,
    version      TEXT NOT NULL,
    boot         TEXT NOT NULL,             -- this start of the process
    lease        TEXT NOT NULL,
    former       TEXT NOT NULL,             -- lease of the start before, until what it held is dealt with
    started_at   DOUBLE PRECISION NOT NULL,
    heartbeat_at DOUBLE PRECISION NOT NULL  -- by the clock of the database, as is started_at
);
