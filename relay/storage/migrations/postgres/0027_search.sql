-- The index of searches: the messages of a block that have a term. A block is written once, when its messages are some
-- seconds old, so that accepting mail costs nothing more. Newer messages are read as they are.

CREATE TABLE search_blocks (
    term     TEXT COLLATE "C" NOT NULL,     -- letter of its kind, colon, value
    last     TEXT COLLATE "C" NOT NULL,     -- queue id of the last message of the block
    ids      TEXT NOT NULL,                 -- queue ids, one behind the other
    PRIMARY KEY (term, last)
);

CREATE INDEX search_blocks_by_last ON search_blocks (last);

-- Entries that failed, to be found by their status.
CREATE INDEX entries_failed ON entries (state, queue_id) WHERE state IN ('bounced', 'dropped');
