"""The relay's keys on disk: the tracker's, made on first start, and the DKIM keys of the sending domains."""

import os
from collections.abc import Callable
from pathlib import Path

from relay.config.settings import Settings
from relay.render import Keys
from relay.rewrite.tokens import Keyring, new_key, parse_keyring
from relay.sign.files import missing_keys, read_keys

TRACKER_KEY_FILE = "tracker.key"
KEY_OCTETS = 32

Tell = Callable[..., None]


def read_keyring(settings: Settings, log: Tell) -> Keyring:
    """Return the tracker's keys: the configured ones, else those in the data folder, made when there are none."""
    if settings.tracker.keys:
        return parse_keyring([key.get_secret_value() for key in settings.tracker.keys])
    path = settings.server.data_dir / TRACKER_KEY_FILE
    if not path.exists():
        _write_private(path, new_key(os.urandom(KEY_OCTETS)) + "\n")
        log("keys.created", file=str(path))
    return parse_keyring(path.read_text(encoding="ascii").split())


def read_all(settings: Settings, log: Tell) -> Keys:
    """Return every key there is. A domain with selectors and no key at all goes unsigned, which is logged.

    A selector without a key beside one that has one is where the next key will be.
    """
    data_dir = settings.server.data_dir
    dkim = {}
    for name, domain in settings.domains.items():
        dkim[name] = read_keys(data_dir, name, domain.dkim.selectors)
        for missing in missing_keys(data_dir, name, domain.dkim.selectors)[:1]:
            if not dkim[name]:
                log("keys.missing", domain=name, selector=missing.stem, file=str(missing))
    return Keys(read_keyring(settings, log), dkim)


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
