-- Why this relay made a message itself: dsn, alert, test, forward; '' for mail of applications.

ALTER TABLE messages ADD COLUMN origin TEXT NOT NULL DEFAULT '';

UPDATE messages SET origin = CASE
        WHEN policy LIKE '%"forward_domain":%' THEN 'forward'
        WHEN tags = '["relay-test"]' OR metadata LIKE '{"test":%' THEN 'test'
        WHEN metadata LIKE '{"alert":%' THEN 'alert'
        ELSE 'dsn'
    END
    WHERE policy LIKE '%"forward_domain":%' OR tags = '["relay-test"]' OR (subject LIKE 'relay test: %' AND metadata LIKE '{"test":%')
        OR (reverse_path = '' AND (metadata LIKE '{"alert":%' OR metadata LIKE '{"dsn_for":%'));
