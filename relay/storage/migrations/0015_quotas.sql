-- Uses of all quotas of the last day: pages, replies, copies, codes. The index of the table stays.

ALTER TABLE verification_requests RENAME TO quotas;
