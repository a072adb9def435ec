-- What sites were found to accept, by site or 'address ' and the address. Times are Unix seconds.

CREATE TABLE sites (
    site        TEXT PRIMARY KEY NOT NULL,
    found       DOUBLE PRECISION NOT NULL,  -- messages a minute
    cut_at      DOUBLE PRECISION NOT NULL,
    connections BIGINT NOT NULL,
    used        DOUBLE PRECISION NOT NULL,  -- seconds of use since the cut
    refusals    BIGINT NOT NULL,
    changed_at  DOUBLE PRECISION NOT NULL,
    not_before  DOUBLE PRECISION NOT NULL,
    is_estimate BOOLEAN NOT NULL,
    blocked     BOOLEAN NOT NULL,
    why         TEXT NOT NULL
);
