"""The files a configuration names: secrets beside it, certificates, DKIM keys."""

import ssl
import stat
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from relay.config.errors import ENVIRONMENT, Fault, Problem
from relay.config.schema import example_of, keys_from_file, table_at
from relay.config.settings import Listener, Settings
from relay.config.sources import Tree
from relay.config.toml_positions import KeyPath


def read_secrets(tree: Tree, folder: Path, environ: Mapping[str, str]) -> list[Fault]:
    """Put the content of every `<key>_file` in the place of `<key>`; return warnings about who else can read them.

    Relative names are looked for in $CREDENTIALS_DIRECTORY (systemd's LoadCredential=), then in the folder.
    """
    handed_over = environ.get("CREDENTIALS_DIRECTORY", "")
    folders = (Path(handed_over), folder) if handed_over else (folder,)
    warnings: list[Fault] = []
    for path, values in list(_tables(tree.values, ())):
        table = table_at(path)
        for key, field in keys_from_file(table).items() if table else ():
            if f"{key}_file" in values:
                file = _read_one(tree, path, key, field, folders)
                if file and not (handed_over and file.is_relative_to(handed_over)):
                    warnings += _readable(tree, (*path, f"{key}_file"), file, stat.S_IRWXG | stat.S_IRWXO)
            elif values.get(key) and field.annotation is not str:
                source = tree.place((*path, key)).file
                if source != ENVIRONMENT:
                    warnings += _readable(tree, (*path, key), Path(source), stat.S_IRWXO)
    return warnings


def file_findings(settings: Settings) -> Iterator[Problem]:
    """Yield what is wrong with the certificates of the listeners, and what the store needs and is not installed."""
    if settings.sqlite_path is None and find_spec("psycopg") is None:
        yield Problem(("storage", "url"), "psycopg is not installed", 'pip install "trackrelay[postgres]"')
    for index, listener in enumerate(settings.listeners):
        if listener.tls != "none" and listener.certificate and listener.key:
            yield from _certificate_findings(("listener", index), listener)


def missing_dkim_keys(settings: Settings) -> Iterator[Problem]:
    """Yield the domains that have selectors, and no key file for any of them yet."""
    for name, domain in settings.domains.items():
        files = [settings.server.data_dir / "dkim" / name / f"{selector}.pem" for selector in domain.dkim.selectors]
        if files and not any(file.exists() for file in files):
            path = ("domains", name, "dkim", "selectors", 0)
            yield Problem(path, f"there is no key in {files[0]} yet; `relay dkim new {name}` makes one")


def _tables(values: Any, path: KeyPath) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    if isinstance(values, dict):
        yield path, values
        for key, value in values.items():
            yield from _tables(value, (*path, key))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _tables(value, (*path, index))


def _read_one(tree: Tree, path: KeyPath, key: str, field: FieldInfo, folders: tuple[Path, ...]) -> Path | None:
    """Read one secret into the tree; return its file, or None after putting a stand-in there and blaming the file."""
    named = (*path, f"{key}_file")
    values = tree.table(path)
    name = values.pop(named[-1])
    if key in values:
        tree.blame(Problem(named, f"{key} is set too", f"either {key} or {key}_file"))
        return None
    tree.found_at((*path, key), tree.place(named))
    if not isinstance(name, str) or not name:
        problem = "is not the name of a file"
    else:
        file = next((at / name for at in folders if (at / name).exists()), folders[-1] / name)
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            problem = f"{file} cannot be read: {error.strerror}"
        except UnicodeDecodeError:
            problem = f"{file} is not UTF-8"
        else:
            values[key] = text.split() if field.annotation not in (SecretStr, str) else text.rstrip("\r\n")
            return file
    tree.blame(Problem(named, problem))
    stand_in = example_of(field)
    values |= {} if stand_in is None else {key: stand_in}
    return None


def _readable(tree: Tree, path: KeyPath, file: Path, who: int) -> list[Fault]:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return []
    if not mode & who & (stat.S_IRGRP | stat.S_IROTH):
        return []
    people = "everybody" if mode & stat.S_IROTH else "its group"
    problem = f"the secret can be read by {people}: {file} has mode {mode:04o}"
    return [Problem(path, problem, "0600").at(tree.place(path))]


def _certificate_findings(path: KeyPath, listener: Listener) -> Iterator[Problem]:
    unreadable = False
    for key, file in (("certificate", listener.certificate), ("key", listener.key)):
        try:
            if file:
                file.read_bytes()
        except OSError as error:
            unreadable = True
            yield Problem((*path, key), f"{file} cannot be read: {error.strerror}")
    if unreadable or not listener.certificate:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(listener.certificate, listener.key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        yield Problem((*path, "certificate"), f"certificate and key cannot be used together: {reason}", "PEM files")
