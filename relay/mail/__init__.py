"""Mail as values: addresses, envelopes, replies, header fields, queue ids. Pure."""
