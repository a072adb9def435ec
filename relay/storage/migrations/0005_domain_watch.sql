-- Sending domains under watch: what their DNS showed last, which keys sign, when they are looked at next.

CREATE TABLE domain_watch (
    domain        TEXT PRIMARY KEY NOT NULL,
    wanted        TEXT NOT NULL,            -- fingerprint of the records it should have
    set_up_at     DOUBLE PRECISION NOT NULL,
    next_check_at DOUBLE PRECISION NOT NULL,
    checked_at    DOUBLE PRECISION NOT NULL, -- 0: never
    health        TEXT NOT NULL,            -- unchecked, passing, failing
    health_since  DOUBLE PRECISION NOT NULL,
    statuses      TEXT NOT NULL,            -- JSON object: status by record
    keys          TEXT NOT NULL,            -- JSON list of DKIM keys
    verified      INTEGER NOT NULL          -- 1: DNS shows a key that signs
);

CREATE INDEX domain_watch_due ON domain_watch (next_check_at);

-- Base URLs by which the tracker answered once: what worked and works no more is told from what never did.
CREATE TABLE tracking_hosts (
    base_url    TEXT PRIMARY KEY NOT NULL,
    answered_at DOUBLE PRECISION NOT NULL
);
