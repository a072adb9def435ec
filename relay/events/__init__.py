"""What happened to a message and what its reader did, as values; and where they go."""
