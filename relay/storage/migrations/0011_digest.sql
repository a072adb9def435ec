-- SHA-256 of a content and the fields of its message that decide what is sent; '' for contents from before.

ALTER TABLE contents ADD COLUMN digest BLOB NOT NULL DEFAULT x'';
