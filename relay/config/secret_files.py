"""Files of secrets: their contents take the place of the keys that name them."""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from relay.config.errors import ENVIRONMENT, Fault, Problem
from relay.config.schema import example_of, keys_from_file, table_at
from relay.config.sources import Tree
from relay.config.toml_positions import KeyPath


def read_secrets(tree: Tree, folder: Path, environ: Mapping[str, str]) -> list[Fault]:
    """Replace every `<key>_file` by `<key>` with the file's content; return warnings for files that others can read.

    Relative names are searched in $CREDENTIALS_DIRECTORY (systemd's LoadCredential=), then in the folder.
    """
    systemd_folder = environ.get("CREDENTIALS_DIRECTORY", "")
    folders = (Path(systemd_folder), folder) if systemd_folder else (folder,)

    warnings: list[Fault] = []
    for path, values in list(_tables(tree.values, ())):
        table = table_at(path)
        for key, field in keys_from_file(table).items() if table else ():
            if f"{key}_file" in values:
                file = _read_one(tree, path, key, field, folders)
                if file and not (systemd_folder and file.is_relative_to(systemd_folder)):
                    warnings += _mode_warnings(tree, (*path, f"{key}_file"), file, stat.S_IRWXG | stat.S_IRWXO)
            elif values.get(key) and field.annotation is not str:
                source = tree.location((*path, key)).file
                if source != ENVIRONMENT:
                    warnings += _mode_warnings(tree, (*path, key), Path(source), stat.S_IRWXO)
    return warnings


def _tables(values: Any, path: KeyPath) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    if isinstance(values, dict):
        yield path, values
        for key, value in values.items():
            yield from _tables(value, (*path, key))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _tables(value, (*path, index))


def _read_one(tree: Tree, path: KeyPath, key: str, field: FieldInfo, folders: tuple[Path, ...]) -> Path | None:
    """Read one secret into the tree and return its file.

    On an error add a fault and an example value, and return None.
    """
    key_path = (*path, f"{key}_file")
    values = tree.table(path)
    name = values.pop(key_path[-1])
    if key in values:
        tree.add_fault(Problem(key_path, f"{key} is set too", f"either {key} or {key}_file"))
        return None

    tree.set_location((*path, key), tree.location(key_path))
    if not isinstance(name, str) or not name or "\0" in name:
        problem = "is not the name of a file"
    else:
        file = folders[-1] / name
        tree.files.append(file)
        try:
            file = tree.files[-1] = next((at / name for at in folders if (at / name).exists()), file)
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            problem = f"{file} cannot be read: {error.strerror}"
        except UnicodeDecodeError:
            problem = f"{file} is not UTF-8"
        else:
            values[key] = text.split() if field.annotation not in (SecretStr, str) else text.rstrip("\r\n")
            return file

    tree.add_fault(Problem(key_path, problem))
    example = example_of(field)
    values |= {} if example is None else {key: example}
    return None


def _mode_warnings(tree: Tree, path: KeyPath, file: Path, others: int) -> list[Fault]:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return []
    if not mode & others & (stat.S_IRGRP | stat.S_IROTH):
        return []
    readers = "every user" if mode & stat.S_IROTH else "the group"
    problem = f"{readers} can read the secret: {file} has mode {mode:04o}"
    return [Problem(path, problem, "0600").at(tree.location(path))]
