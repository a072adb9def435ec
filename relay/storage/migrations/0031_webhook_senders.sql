-- A webhook of other senders than before has nothing of the former one, though its name is the same.

ALTER TABLE webhooks ADD COLUMN senders TEXT NOT NULL DEFAULT '';  -- digest of domains and identities, '' if unknown
