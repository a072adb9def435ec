"""Configuration fragments in `conf.d`, written by commands.

A fragment is written only if the whole configuration is valid with it. It is checked before it is in the folder: a
program that ends meanwhile leaves nothing that the server does not start with.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from relay.config.errors import ConfigError, Fault
from relay.config.load import check
from relay.config.schema import has_secrets
from relay.config.toml_faults import TomlFault, parse_toml

_FILE_CHARACTERS = "@+=!#$&'^{}~ "
"""Characters of an address that a file name may hold unquoted, besides letters and digits."""

_MAX_NAME = 160
"""Characters of a name within a file name, which has at most 255 octets. A longer name is cut and ends in a digest."""


def fragment_path(config: Path, kind: str, name: str) -> Path:
    """Return the file of one table in the folder of the configuration: `conf.d/identity-jane@acme.test.toml`."""
    return config.parent / "conf.d" / f"{kind}-{file_name(name)}.toml"


def file_name(name: str) -> str:
    """Return the name of a table as part of the name of a file."""
    quoted = quote(name, safe=_FILE_CHARACTERS)
    if len(quoted) > _MAX_NAME:
        quoted = f"{quoted[:_MAX_NAME]}~{blake2b(name.encode(), digest_size=8).hexdigest()}"
    return quoted


@contextmanager
def locked(config: Path) -> Iterator[None]:
    """Hold the lock of the folder of a configuration: one program changes its fragments at a time. Blocks."""
    descriptor = os.open(config.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_fragment(config: Path, fragment: Path, text: str, environ: Mapping[str, str]) -> tuple[Fault, ...]:
    """Write a fragment and return the warnings for the whole configuration.

    The file gets the owner and mode of the configuration file. Raises ConfigError if the configuration would be invalid
    with it, and OSError if it cannot be written. Then the fragment is as before, at each moment.
    """
    fragment.parent.mkdir(mode=config.parent.stat().st_mode & 0o777, exist_ok=True)
    warnings = _warnings(config, {fragment: text.encode()}, environ)
    write_atomically(fragment, text.encode(), config, _mode(config, text.encode()))
    return warnings


def restore_fragment(config: Path, fragment: Path, before: bytes | None) -> None:
    """Give a fragment its former content; None removes it. Raises OSError."""
    if before is None:
        fragment.unlink(missing_ok=True)
    else:
        write_atomically(fragment, before, config, _mode(config, before))


def remove_fragment(config: Path, fragment: Path, environ: Mapping[str, str]) -> tuple[Fault, ...]:
    """Remove a fragment and return the warnings for the rest. Raises as `write_fragment` and then keeps the file."""
    warnings = _warnings(config, {fragment: None}, environ)
    fragment.unlink()
    return warnings


def _warnings(config: Path, changed: Mapping[Path, bytes | None], environ: Mapping[str, str]) -> tuple[Fault, ...]:
    """Return the warnings for a configuration with these fragments. Raises ConfigError if it is invalid."""
    settings, faults, warnings = check(config, environ, changed=changed)
    if settings is None:
        raise ConfigError(faults)
    return warnings


def _mode(config: Path, content: bytes) -> int:
    """Return the mode of a fragment: that of the configuration, but only its owner reads one with secrets."""
    with suppress(UnicodeDecodeError, TomlFault):
        if has_secrets(parse_toml(content.decode())):
            return 0o600
    return config.stat().st_mode & 0o666


def write_atomically(file: Path, content: bytes, config: Path, mode: int) -> None:
    """Replace a file in one step. It gets the owner of the configuration file. Raises OSError."""
    model = config.stat()
    unfinished = file.with_suffix(".part")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        output.write(content)
        output.flush()
        with suppress(PermissionError):  # Only root may change the owner. Without it the writer keeps the file.
            os.fchown(output.fileno(), model.st_uid, model.st_gid)
        os.fchmod(output.fileno(), mode)
        os.fsync(output.fileno())
    unfinished.replace(file)
