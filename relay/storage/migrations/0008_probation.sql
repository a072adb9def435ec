-- Suppressions that end: the message that tests the address afterwards, and whether it was delivered.

ALTER TABLE suppressions ADD COLUMN probation TEXT NOT NULL DEFAULT '';     -- queue id, '' for none
ALTER TABLE suppressions ADD COLUMN probation_at REAL NOT NULL DEFAULT 0;
ALTER TABLE suppressions ADD COLUMN lifted INTEGER NOT NULL DEFAULT 0;

CREATE INDEX suppressions_lifted ON suppressions (probation_at) WHERE lifted = 1;
