-- People of the console: what they chose, their sessions, failed logins, plans they confirm, and the audit.

CREATE TABLE accounts (
    address       TEXT PRIMARY KEY NOT NULL,
    code_mark     TEXT NOT NULL,             -- fingerprint of the hash of the code that the password replaced
    password_hash TEXT NOT NULL,
    totp          TEXT NOT NULL,             -- sealed secret of the app, '' for none
    totp_step     BIGINT NOT NULL,           -- step of the last code that was used
    logged_in_at  DOUBLE PRECISION NOT NULL, -- Unix seconds, 0 for never
    network       TEXT NOT NULL              -- of the last login
);

CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY NOT NULL,
    address    TEXT NOT NULL,
    grant_mark TEXT NOT NULL,                -- digest of what the person was granted
    began_at   DOUBLE PRECISION NOT NULL,
    ends_at    DOUBLE PRECISION NOT NULL,
    client     TEXT NOT NULL
);

CREATE INDEX sessions_by_address ON sessions (address);

CREATE TABLE login_attempts (
    key        TEXT PRIMARY KEY NOT NULL,    -- account or network
    failures   BIGINT NOT NULL,
    last_at    DOUBLE PRECISION NOT NULL,
    next_at    DOUBLE PRECISION NOT NULL     -- when the next one may come
);

CREATE TABLE plans (
    id         TEXT PRIMARY KEY NOT NULL,
    token_hash TEXT NOT NULL,                -- session of the person who was shown it
    action     TEXT NOT NULL,
    detail     TEXT NOT NULL,                -- JSON object
    keys       TEXT NOT NULL,                -- JSON list
    made_at    DOUBLE PRECISION NOT NULL
);

CREATE TABLE changes (
    id      TEXT PRIMARY KEY NOT NULL,
    at      DOUBLE PRECISION NOT NULL,       -- Unix seconds
    person  TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    before  TEXT NOT NULL,
    after   TEXT NOT NULL,
    client  TEXT NOT NULL
);

CREATE INDEX changes_by_at ON changes (at, id);

CREATE INDEX changes_by_person ON changes (person, at, id);
