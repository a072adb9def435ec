-- Copies of simulated mail as it would have left. They are deleted with their messages.

CREATE TABLE sent_copies (
    queue_id     TEXT NOT NULL,
    number       INTEGER NOT NULL,           -- of the entry; -1: all recipients that get the same octets
    at           DOUBLE PRECISION NOT NULL,  -- Unix seconds
    reverse_path TEXT NOT NULL,
    content      BLOB NOT NULL,
    PRIMARY KEY (queue_id, number)
);
