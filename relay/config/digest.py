"""A digest of a section of the configuration, which shows whether it changed between two starts."""

from hashlib import blake2b

from pydantic import SecretStr

from relay.config.values import Section


def settings_digest(section: Section | None, key: bytes) -> str:
    """Return a digest of all values with the secrets, keyed so that no secret can be guessed from it; "" for None."""
    if section is None:
        return ""
    values = {name: getattr(section, name) for name in type(section).model_fields}
    shown = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in values.items()
    }
    return blake2b(repr(sorted(shown.items())).encode(), key=key, digest_size=16, person=b"relay.settings").hexdigest()
