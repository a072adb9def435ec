"""Files of secrets that belong to tables in `conf.d`: `secrets/provider-news.password-4f1c09aa`.

Each secret gets a file of its own name, so that a table changes to it, and back from it, in one step.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from relay.config.conf_d import file_name, write_atomically

FOLDER = "secrets"
"""Folder beside the configuration, which only the owner reads."""


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


def remove_secrets(config: Path, files: Iterable[Path]) -> None:
    """Remove files that `write_secrets` wrote, and no others."""
    for file in files:
        if file.parent == config.parent / FOLDER:
            with suppress(OSError):
                file.unlink()
