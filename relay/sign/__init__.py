"""DKIM signatures (RFC 6376, RFC 8463): canonical forms, keys, and the fields to put in front of a message."""
