"""Reports over messages, entries and events."""
