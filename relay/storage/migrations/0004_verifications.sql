-- What was found out about identities and sending domains, and the codes that are out. Times are Unix seconds.

CREATE TABLE verifications (
    subject  TEXT NOT NULL,                 -- address of an identity, a domain, or the queue id of a test mail
    step     TEXT NOT NULL,
    state    TEXT NOT NULL,
    at       DOUBLE PRECISION NOT NULL,
    detail   TEXT NOT NULL,
    queue_id TEXT NOT NULL,                 -- of the mail it was found out by, '' for none
    PRIMARY KEY (subject, step)
);

-- One row an identity: the code last sent, and when codes were sent before it.
CREATE TABLE challenges (
    identity     TEXT PRIMARY KEY NOT NULL,
    sent_to      TEXT NOT NULL,
    salt         TEXT NOT NULL,             -- hexadecimal
    digest       TEXT NOT NULL,             -- hexadecimal, keyed by a secret that is not in the database; '' once used
    queue_id     TEXT NOT NULL,             -- of the mail that carries the code
    tries        INTEGER NOT NULL,
    sent         TEXT NOT NULL,             -- JSON list of times
    confirmed_at DOUBLE PRECISION NOT NULL
);

CREATE INDEX challenges_by_mail ON challenges (queue_id);
