-- The last batch of counts of each process, so that one whose COMMIT was not answered can be written again; and the
-- counts of one domain or identity in order of time.

CREATE TABLE tally_writers (
    writer TEXT PRIMARY KEY NOT NULL,
    batch  BIGINT NOT NULL,             -- number of the last batch that was added
    at     DOUBLE PRECISION NOT NULL    -- Unix seconds of that batch
);

CREATE INDEX tallies_of_domain ON tallies (domain, kind, at);
