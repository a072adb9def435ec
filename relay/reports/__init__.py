"""Questions over messages, entries and events."""
