-- How the evidence against an address came, and evidence that proves nothing: shown, and suppressing nobody.

ALTER TABLE suppressions ADD COLUMN provenance TEXT NOT NULL DEFAULT '';
ALTER TABLE suppressions ADD COLUMN proof TEXT NOT NULL DEFAULT '';

UPDATE suppressions SET provenance = 'operator' WHERE reason = 'manual';

CREATE TABLE unproven_evidence (
    address    TEXT NOT NULL,               -- as addresses are compared
    domain     TEXT NOT NULL,               -- sending domain or identity for which it would count
    reason     TEXT NOT NULL,
    rule       TEXT NOT NULL,
    reply      TEXT NOT NULL,
    queue_id   TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    provenance TEXT NOT NULL,
    why        TEXT NOT NULL,
    times      INTEGER NOT NULL,            -- how often it came; the columns before are of the last time
    PRIMARY KEY (address, domain, reason)
);

CREATE INDEX unproven_evidence_by_time ON unproven_evidence (created_at);
