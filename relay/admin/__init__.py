"""The local HTTP API the commands talk to, on a Unix socket that only the relay's user can open."""
