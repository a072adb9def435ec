-- What DNS had in the place of each wanted record at the last check, as a JSON object: shown beside what is wanted.

ALTER TABLE domain_watch ADD COLUMN found TEXT NOT NULL DEFAULT '{}';
