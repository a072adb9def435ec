"""Earlier name of `relay.config.secret_hash`, kept for scripts that import it."""

from relay.config.secret_hash import hash_secret, verify_secret

__all__ = ["hash_secret", "verify_secret"]
