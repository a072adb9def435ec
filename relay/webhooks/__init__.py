"""Events for other programs: the feed with its cursor, and webhooks that post each event to a receiver."""
