"""The HTTP API of the commands, on a Unix socket that only the user of the relay can open."""
