-- Pauses of lanes and identities, and the outcomes by which identities are paused. Times are Unix seconds.

CREATE TABLE pauses (
    subject   TEXT PRIMARY KEY NOT NULL,    -- a lane, or 'identity:' and the address
    at        DOUBLE PRECISION NOT NULL,
    until     DOUBLE PRECISION NOT NULL,    -- 0: until an operator resumes it
    why       TEXT NOT NULL,
    category  TEXT NOT NULL,
    settings  TEXT NOT NULL                 -- keyed digest of the provider's settings, '' for other subjects
);

-- One row an identity and hour, for the rates over a window.
CREATE TABLE identity_outcomes (
    identity   TEXT NOT NULL,
    hour       BIGINT NOT NULL,             -- hours since 1970
    sent       BIGINT NOT NULL,
    bounced    BIGINT NOT NULL,
    complaints BIGINT NOT NULL,
    PRIMARY KEY (identity, hour)
);
