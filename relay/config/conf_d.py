"""Configuration fragments in `conf.d`, written by commands.

A fragment is kept only if the whole configuration is valid with it.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote

from relay.config.errors import ConfigError, Fault
from relay.config.load import check
from relay.config.show import toml_table
from relay.config.toml_positions import KeyPath

_FILE_CHARACTERS = "@+=!#$&'^{}~ "
"""Characters of an address that a file name may hold unquoted, besides letters and digits."""

_MAX_NAME = 160
"""Characters of a name within a file name, which has at most 255 octets. A longer name is cut and ends in a digest."""


def fragment_path(config: Path, kind: str, name: str) -> Path:
    """Return the file of one table in the folder of the configuration: `conf.d/identity-jane@acme.test.toml`."""
    quoted = quote(name, safe=_FILE_CHARACTERS)
    if len(quoted) > _MAX_NAME:
        quoted = f"{quoted[:_MAX_NAME]}~{blake2b(name.encode(), digest_size=8).hexdigest()}"
    return config.parent / "conf.d" / f"{kind}-{quoted}.toml"


def write_fragment(
    config: Path, fragment: Path, path: KeyPath, values: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[Fault, ...]:
    """Write one table as a fragment and return the warnings for the whole configuration.

    The file gets the owner and mode of the configuration file. Raises ConfigError if the configuration is invalid with
    it, and OSError if it cannot be written. After an error the fragment is as it was before.
    """
    before = fragment.read_bytes() if fragment.exists() else None
    fragment.parent.mkdir(mode=config.parent.stat().st_mode & 0o777, exist_ok=True)
    _write_atomically(fragment, toml_table(path, values).encode(), config)
    return _check_or_restore(config, fragment, before, environ)


def remove_fragment(config: Path, fragment: Path, environ: Mapping[str, str]) -> tuple[Fault, ...]:
    """Remove a fragment and return the warnings for the rest. Raises as `write_fragment` and then keeps the file."""
    before = fragment.read_bytes()
    fragment.unlink()
    return _check_or_restore(config, fragment, before, environ)


def _check_or_restore(
    config: Path, fragment: Path, before: bytes | None, environ: Mapping[str, str]
) -> tuple[Fault, ...]:
    settings, faults, warnings = check(config, environ)
    if settings is not None:
        return warnings
    if before is None:
        fragment.unlink()
    else:
        _write_atomically(fragment, before, config)
    raise ConfigError(faults)


def _write_atomically(fragment: Path, content: bytes, config: Path) -> None:
    """Replace the file in one step, with owner and mode of the configuration file."""
    model = config.stat()
    unfinished = fragment.with_suffix(".part")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        with suppress(PermissionError):  # Only root may change the owner. Without it the writer keeps the file.
            os.fchown(file.fileno(), model.st_uid, model.st_gid)
        os.fchmod(file.fileno(), model.st_mode & 0o666)
        os.fsync(file.fileno())
    unfinished.replace(fragment)
