"""Files that a configuration refers to: secrets, certificates, DKIM keys, and the data directory."""

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
from relay.config.settings import Listener, Server, Settings
from relay.config.sources import Tree
from relay.config.toml_positions import KeyPath

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


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


def find_file_errors(settings: Settings) -> Iterator[Problem]:
    """Yield files that cannot be used as they are: certificates, the data directory, a missing database driver."""
    if settings.sqlite_path is None and find_spec("psycopg") is None:
        yield Problem(("storage", "url"), "psycopg is not installed", 'pip install "trackrelay[postgres]"')
    yield from _open_data_dir(settings.server)
    for index, listener in enumerate(settings.listeners):
        if listener.tls != "none" and listener.certificate and listener.key:
            yield from _certificate_errors(("listener", index), listener)


def _open_data_dir(server: Server) -> Iterator[Problem]:
    """Yield a data directory where other users can put files of their own: a database, keys, the admin socket."""
    try:
        mode = stat.S_IMODE(server.data_dir.stat().st_mode)
    except OSError:
        return
    if mode & _OTHERS_WRITE and not server.allow_open:
        problem = f"other users can write to {server.data_dir}: it has mode {mode:04o}"
        yield Problem(("server", "data_dir"), problem, "mode 0700, or allow_open = true")


def missing_dkim_keys(settings: Settings) -> Iterator[Problem]:
    """Yield the domains that have selectors but no key file for any of them."""
    for name, domain in settings.domains.items():
        files = [settings.server.data_dir / "dkim" / name / f"{selector}.pem" for selector in domain.dkim.selectors]
        if files and not any(file.exists() for file in files):
            path = ("domains", name, "dkim", "selectors", 0)
            yield Problem(path, f"there is no key in {files[0]} yet; `relay dkim new {name}` creates one")


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


def _certificate_errors(path: KeyPath, listener: Listener) -> Iterator[Problem]:
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

    # The password callback keeps OpenSSL from asking on the terminal for the password of an encrypted key.
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(listener.certificate, listener.key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        yield Problem((*path, "certificate"), f"certificate and key cannot be used together: {reason}", "PEM files")
