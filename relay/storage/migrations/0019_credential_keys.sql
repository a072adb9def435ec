-- When each key of a credential was last used, and whether it is revoked.

CREATE TABLE credential_keys (
    key        TEXT PRIMARY KEY NOT NULL,   -- fingerprint of the hash
    credential TEXT NOT NULL,
    used_at    DOUBLE PRECISION NOT NULL,   -- Unix seconds, 0 for never
    revoked_at DOUBLE PRECISION NOT NULL    -- Unix seconds, 0 for never
);
