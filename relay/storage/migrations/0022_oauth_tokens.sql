-- Refresh tokens of accounts with OAuth2, encrypted, and which node exchanges one now. Times are Unix seconds.

CREATE TABLE oauth_tokens (
    name           TEXT PRIMARY KEY NOT NULL,
    sealed         TEXT NOT NULL,
    version        BIGINT NOT NULL,             -- grows with each change
    changed_at     DOUBLE PRECISION NOT NULL,
    holder         TEXT NOT NULL,               -- process that has it reserved, '' for none
    reserved_until DOUBLE PRECISION NOT NULL
);
