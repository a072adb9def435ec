-- Failures by category, and bounces after a delivery: to be found by their message, newest first.

CREATE INDEX events_by_category ON events (
    substr(substr(data, instr(data || '"category":"', '"category":"') + 12), 1, instr(substr(data, instr(data || '"category":"', '"category":"') + 12) || '"', '"') - 1),
    queue_id
) WHERE kind IN ('bounced', 'deferred');

CREATE INDEX events_late ON events (queue_id) WHERE kind = 'bounced' AND data LIKE '%"late":true%';
