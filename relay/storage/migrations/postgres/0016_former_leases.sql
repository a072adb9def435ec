-- How long the entries of a node that died stay its own: until then its next start may settle what it delivered.

ALTER TABLE nodes ADD COLUMN former_until DOUBLE PRECISION NOT NULL DEFAULT 0;
