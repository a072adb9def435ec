"""The HTTP API of applications: its listener, keys, errors, and the description in OpenAPI."""
