-- Hosts, URLs and single links that turned out to be malicious: clicks on them are not redirected.

CREATE TABLE link_blocks (
    key        TEXT PRIMARY KEY NOT NULL,   -- digest of kind and value
    kind       TEXT NOT NULL,               -- host, url, token
    value      TEXT NOT NULL,               -- canonical
    created_at DOUBLE PRECISION NOT NULL,
    note       TEXT NOT NULL
);
