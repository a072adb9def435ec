"""The earlier name of `relay.config.secret_hash`, for scripts that make hashes by it."""

from relay.config.secret_hash import hash_secret, verify_secret

__all__ = ["hash_secret", "verify_secret"]
