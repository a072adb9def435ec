"""Files of secrets that belong to tables in `conf.d`: `secrets/provider-news.password-4f1c09aa`.

Each secret gets a file of its own name, so that a table changes to it, and back from it, in one step.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from relay.config.conf_d import file_name, write_atomically

FOLDER = "secrets"
"""Folder beside the configuration, which only the owner reads."""

_MAX_NAME = 4096
"""Characters of the name of a file, at most."""


def write_secrets(config: Path, table: str, secrets: Mapping[str, str], mark: str) -> dict[str, str]:
    """Write each secret to a file; return the keys that name the files: {"password_file": "secrets/…"}. Raises OSError.

    `mark` makes the names new.
    """
    if not secrets:
        return {}
    folder = config.parent / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    references = {}
    for key, secret in secrets.items():
        name = f"{file_name(table)}.{key}-{mark}"
        write_atomically(folder / name, secret.encode(), config, 0o600)
        references[f"{key}_file"] = f"{FOLDER}/{name}"
    return references


def own_secrets(config: Path, table: str, names: Iterable[str], values: object) -> tuple[Path, ...]:
    """Return the files among these names that `write_secrets` wrote for that table, and that the values do not name.

    A file of another name, or one that two tables share, is that of the operator.
    """
    form = re.compile(f"{re.escape(file_name(table))}\\.[a-z_]+-[0-9a-f]+")
    files = [config.parent / name for name in names]
    found = [one for one in files if one.parent == config.parent / FOLDER and form.fullmatch(one.name)]
    kept = {Path(text).name for text in _texts(values)} if found else set()
    return tuple(one for one in found if one.name not in kept)


def _texts(values: object) -> Iterator[str]:
    """Yield the texts of a tree of values that may name a file."""
    if isinstance(values, str) and len(values) <= _MAX_NAME and "\0" not in values:
        yield values
    elif isinstance(values, Mapping):
        for one in values.values():
            yield from _texts(one)
    elif isinstance(values, list):
        for one in values:
            yield from _texts(one)


def remove_secrets(files: Iterable[Path]) -> None:
    """Remove files that `write_secrets` wrote."""
    for file in files:
        with suppress(OSError):
            file.unlink()
