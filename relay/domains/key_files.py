"""Reads and writes the files of DKIM keys and tracker keys."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from relay.config.settings import Settings
from relay.domains.relay_keys import Keys
from relay.mailauth.dkim_keys import KeyFaultError, SigningKey, check_names, load_key
from relay.rewrite.tokens import Keyring, new_key, parse_keyring

TRACKER_KEY_FILE = "tracker.key"

DKIM_FOLDER = "dkim"

KEY_OCTETS = 32

Log = Callable[..., None]


def key_path(data_dir: Path, domain: str, selector: str) -> Path:
    """Return the path of a key file. Raises KeyFaultError for invalid DNS names, which could leave the folder."""
    check_names(selector, domain)
    return data_dir / DKIM_FOLDER / domain.lower() / f"{selector}.pem"


def read_keys(data_dir: Path, domain: str, selectors: Sequence[str]) -> tuple[SigningKey, ...]:
    """Read the existing keys of a domain, in the order of the selectors; `missing_keys` names the others.

    Raises KeyFaultError naming the file of an unusable key, OSError if a file cannot be read.
    """
    return tuple(
        _read(path, domain, selector)
        for selector in selectors
        if (path := key_path(data_dir, domain, selector)).exists()
    )


def missing_keys(data_dir: Path, domain: str, selectors: Sequence[str]) -> tuple[Path, ...]:
    """Return the paths of missing keys of these selectors."""
    paths = (key_path(data_dir, domain, selector) for selector in selectors)
    return tuple(path for path in paths if not path.exists())


def write_key(data_dir: Path, domain: str, selector: str, pem: bytes) -> Path:
    """Write a key file, readable by its owner only, and return its path.

    The file is created atomically. Raises FileExistsError if it exists, because replacing a key would break its
    signatures; KeyFaultError if `pem` is not a usable key.
    """
    key = load_key(pem, domain, selector)
    path = key_path(data_dir, domain, selector)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)

    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        temporary.touch(mode=0o600, exist_ok=False)
        temporary.write_bytes(key.pem)
        path.hardlink_to(temporary)
    except FileExistsError:
        raise FileExistsError(f"{path} is there already; make the new key under another selector") from None
    finally:
        temporary.unlink(missing_ok=True)

    return path


def replace_key(data_dir: Path, domain: str, selector: str, pem: bytes) -> Path:
    """Write a key file as `write_key` does, replacing a key that is no longer needed."""
    key = load_key(pem, domain, selector)
    path = key_path(data_dir, domain, selector)
    if not path.exists():
        return write_key(data_dir, domain, selector, pem)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600, exist_ok=False)
    temporary.write_bytes(key.pem)
    temporary.replace(path)
    return path


def _read(path: Path, domain: str, selector: str) -> SigningKey:
    try:
        return load_key(path.read_bytes(), domain, selector)
    except KeyFaultError as fault:
        raise KeyFaultError(f"{path}: {fault}") from None


def read_keyring(settings: Settings, log: Log) -> Keyring:
    """Return the configured tracker keys, else those in the data folder, generated if there are none."""
    if settings.tracker.keys:
        return parse_keyring([key.get_secret_value() for key in settings.tracker.keys])
    path = settings.server.data_dir / TRACKER_KEY_FILE
    if not path.exists():
        _write_private(path, new_key(os.urandom(KEY_OCTETS)) + "\n")
        log("keys.created", file=str(path))
    return read_tracker_key_file(path)


def read_tracker_key_file(path: Path) -> Keyring:
    """Read the tracker keys of a file. Raises KeyFaultError for malformed ones, OSError if it cannot be read."""
    try:
        return parse_keyring(path.read_text(encoding="ascii").split())
    except ValueError as error:
        problem = "is not ASCII" if isinstance(error, UnicodeDecodeError) else str(error)
        raise KeyFaultError(
            f"{path}: {problem}; restore it from the backup, or links sent before lead nowhere"
        ) from None


def load_keys(settings: Settings, log: Log) -> Keys:
    """Load all keys. Tracker keys are generated if there are none."""
    dkim = load_signing_keys(settings, log)
    return Keys(read_keyring(settings, log), dkim)


def load_signing_keys(settings: Settings, log: Log) -> dict[str, tuple[SigningKey, ...]]:
    """Load the DKIM keys, by domain. A domain whose selectors all lack a key is logged; its mail is not signed.

    A selector without a key beside one with a key is reserved for the next key.
    """
    data_dir = settings.server.data_dir
    dkim = {}
    for name, domain in settings.domains.items():
        dkim[name] = read_keys(data_dir, name, domain.dkim.selectors)
        for missing in missing_keys(data_dir, name, domain.dkim.selectors)[:1]:
            if not dkim[name]:
                log("keys.missing", domain=name, selector=missing.stem, file=str(missing))
    return dkim


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
