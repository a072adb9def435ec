"""A digest of a section of the configuration, which shows whether it changed between two starts."""

from hashlib import blake2b

from pydantic import SecretStr

from relay.config.values import Section


def settings_digest(section: Section | None, key: bytes) -> str:
    """Return a digest of all values with the secrets, keyed so that no secret can be guessed from it; "" for None."""
    if section is None:
        return ""
    return blake2b(repr(_revealed(section)).encode(), key=key, digest_size=16, person=b"relay.settings").hexdigest()


def _revealed(value: object) -> object:
    """Return a value with its secrets, also those of inner sections."""
    match value:
        case Section():
            return sorted((name, _revealed(getattr(value, name))) for name in type(value).model_fields)
        case SecretStr():
            return value.get_secret_value()
    return value
