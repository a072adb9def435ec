-- Queue, history, limits. Times are Unix seconds. Queue ids sort by time, so new rows go to the end of each table.

CREATE TABLE messages (
    queue_id     TEXT PRIMARY KEY NOT NULL,
    created_at   REAL NOT NULL,
    reverse_path TEXT NOT NULL,
    domain       TEXT NOT NULL,             -- sending domain
    identity     TEXT NOT NULL,
    policy       TEXT NOT NULL,             -- JSON; what differs in each message is kept beside it
    added_fields BLOB NOT NULL,
    smtputf8     INTEGER NOT NULL,
    ret          TEXT NOT NULL,
    envid        TEXT NOT NULL,
    size         INTEGER NOT NULL,
    message_id   TEXT NOT NULL,
    header_from  TEXT NOT NULL,
    subject      TEXT NOT NULL,
    credential   TEXT NOT NULL,
    client       TEXT NOT NULL,
    campaign     TEXT NOT NULL,
    tags         TEXT NOT NULL,             -- JSON list
    metadata     TEXT NOT NULL              -- JSON object
) WITHOUT ROWID;

CREATE INDEX messages_by_time ON messages (created_at);
CREATE INDEX messages_by_message_id ON messages (message_id);

-- What the application sent, until every entry of the message is final.
CREATE TABLE contents (
    queue_id TEXT PRIMARY KEY NOT NULL,
    content  BLOB NOT NULL
);

CREATE TABLE entries (
    queue_id        TEXT NOT NULL,
    number          INTEGER NOT NULL,
    recipient       TEXT NOT NULL,
    lane            TEXT NOT NULL,
    created_at      REAL NOT NULL,
    expires_at      REAL NOT NULL,
    next_attempt_at REAL NOT NULL,
    release_at      REAL NOT NULL,
    state           TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    notify          TEXT NOT NULL,
    orcpt           TEXT NOT NULL,
    last_reply      TEXT,                   -- JSON: [code, status, text]
    last_remote     TEXT NOT NULL,
    reason          TEXT NOT NULL,
    uncertain       INTEGER NOT NULL,
    delay_notified  INTEGER NOT NULL,
    recipient_key   TEXT NOT NULL,          -- the recipient as addresses are compared
    lease           TEXT NOT NULL DEFAULT '',  -- boot id of the process that holds an active entry
    PRIMARY KEY (queue_id, number)
) WITHOUT ROWID;

CREATE INDEX entries_by_recipient ON entries (recipient_key);
CREATE INDEX entries_open ON entries (state, lane, next_attempt_at) WHERE state IN ('waiting', 'held', 'active');

CREATE TABLE events (
    id       INTEGER PRIMARY KEY,
    at       REAL NOT NULL,
    kind     TEXT NOT NULL,
    queue_id TEXT NOT NULL,
    number   INTEGER NOT NULL,
    address  TEXT NOT NULL,
    data     TEXT NOT NULL                  -- JSON object, '' when empty
);

CREATE INDEX events_by_message ON events (queue_id);

-- Tags (name '') and metadata of messages, to find them by.
CREATE TABLE labels (
    name     TEXT NOT NULL,
    value    TEXT NOT NULL,
    queue_id TEXT NOT NULL,
    PRIMARY KEY (name, value, queue_id)
) WITHOUT ROWID;

-- The places of entries in the ledgers of identities and providers.
CREATE TABLE slots (
    queue_id TEXT NOT NULL,
    number   INTEGER NOT NULL,
    key      TEXT NOT NULL,
    at       REAL NOT NULL,
    standing INTEGER NOT NULL,
    PRIMARY KEY (queue_id, number, key)
) WITHOUT ROWID;

CREATE INDEX slots_by_time ON slots (at);
