"""Fragments of the configuration in `conf.d`, written by commands: checked with all the rest before they stay."""

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
"""Of what addresses may hold, what may stand in the name of a file."""


_LONGEST = 160
"""Characters of a name in the name of a file, which has 255 octets at most; longer ones end in a digest."""


def fragment_of(config: Path, kind: str, name: str) -> Path:
    """Return the file beside the configuration that holds this one table: `conf.d/identity-jane@acme.test.toml`."""
    written = quote(name, safe=_FILE_CHARACTERS)
    if len(written) > _LONGEST:
        written = f"{written[:_LONGEST]}~{blake2b(name.encode(), digest_size=8).hexdigest()}"
    return config.parent / "conf.d" / f"{kind}-{written}.toml"


def write_fragment(
    config: Path, fragment: Path, path: KeyPath, values: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[Fault, ...]:
    """Write a table into a fragment and return what the whole configuration is warned of.

    The file belongs to whom the configuration belongs to, and can be read by nobody else than that. Raises ConfigError
    when the configuration is at fault with it, OSError when it cannot be written; then everything is as it was before.
    """
    before = fragment.read_bytes() if fragment.exists() else None
    fragment.parent.mkdir(mode=config.parent.stat().st_mode & 0o777, exist_ok=True)
    _put(fragment, toml_table(path, values).encode(), config)
    return _checked(config, fragment, before, environ)


def remove_fragment(config: Path, fragment: Path, environ: Mapping[str, str]) -> tuple[Fault, ...]:
    """Remove a fragment and return what the rest is warned of; raises as `write_fragment`, the file still there."""
    before = fragment.read_bytes()
    fragment.unlink()
    return _checked(config, fragment, before, environ)


def _checked(config: Path, fragment: Path, before: bytes | None, environ: Mapping[str, str]) -> tuple[Fault, ...]:
    settings, faults, warnings = check(config, environ)
    if settings is not None:
        return warnings
    if before is None:
        fragment.unlink()
    else:
        _put(fragment, before, config)
    raise ConfigError(faults)


def _put(fragment: Path, content: bytes, config: Path) -> None:
    """Write the file whole or not at all, with mode and owner of the configuration."""
    like = config.stat()
    unfinished = fragment.with_suffix(".part")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        with suppress(PermissionError):  # Only root gives files away; who may write here may read here.
            os.fchown(file.fileno(), like.st_uid, like.st_gid)
        os.fchmod(file.fileno(), like.st_mode & 0o666)
        os.fsync(file.fileno())
    unfinished.replace(fragment)
