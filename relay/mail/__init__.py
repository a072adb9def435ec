"""The vocabulary of mail, pure: addresses, envelopes, replies, header fields and queue ids as values."""
