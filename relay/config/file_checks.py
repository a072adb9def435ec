"""Files and folders that the start of a relay needs: what would make it fail, and what needs attention."""

import os
import stat
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from relay.config.certificates import CertificateError, find_certificate_warnings, read_certificate
from relay.config.errors import Problem
from relay.config.oauth_checks import oauth_warnings
from relay.config.settings import Console, Listener, Server, Settings
from relay.config.toml_positions import KeyPath

MAX_SOCKET_PATH = 107
"""Octets of the path of a Unix socket, at most (unix(7): `sun_path` has 108 with the final NUL)."""

_NAMES = {stat.S_IFREG: "a regular file", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device"}

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

_FOLDERS = ("spool", "dkim")
"""Folders in `data_dir`."""

_FILES = ("tracker.key",)
"""Files in `data_dir`. The start would wait for ever for a pipe in place of one."""

_BESIDE_DATABASE = (".lock", "-wal", "-shm")
"""Endings of the names of the files beside a SQLite database."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def find_file_errors(settings: Settings) -> Iterator[Problem]:
    """Yield what would make the start fail: certificates, keys, folders, the socket, a missing database driver."""
    if settings.sqlite_path is None and find_spec("psycopg") is None:
        yield Problem(("storage", "url"), "psycopg is not installed", 'pip install "trackrelay[postgres]"')
    if settings.server.event_loop == "uvloop" and find_spec("uvloop") is None:
        yield Problem(("server", "event_loop"), "uvloop is not installed", 'pip install uvloop, or "auto"')
    folder_errors = list(_data_dir_errors(settings.server))
    yield from folder_errors
    yield from _socket_errors(settings)
    if settings.log_file:
        yield from _file_errors(("log", "file"), settings.log_file, settings)
    for name in () if folder_errors else _FILES:
        yield from _file_errors(("server", "data_dir"), settings.server.data_dir / name, settings, stat.S_ISREG)
    if settings.sqlite_path:
        yield from _file_errors(("storage", "url"), settings.sqlite_path, settings, stat.S_ISREG)
        for ending in _BESIDE_DATABASE:
            if os.path.lexists(file := f"{settings.sqlite_path}{ending}"):
                yield from _file_errors(("storage", "url"), Path(file), settings, stat.S_ISREG)
    for index, listener in enumerate(settings.listeners):
        if listener.tls != "none" and listener.certificate:
            try:
                read_certificate(listener.certificate, listener.key)
            except CertificateError as error:
                yield Problem(("listener", index, error.key), error.problem, error.allowed)
    if settings.console.certificate:
        try:
            read_certificate(settings.console.certificate, settings.console.key)
        except CertificateError as error:
            yield Problem(("console", error.key), error.problem, error.allowed)


def find_file_warnings(settings: Settings, now: float) -> Iterator[Problem]:
    """Yield what needs attention at this time: certificates, client secrets, DKIM keys, an open data directory."""
    for index, listener in enumerate(settings.listeners):
        for warning in certificate_warnings(listener, settings.server.hostname, now):
            yield Problem(("listener", index, "certificate"), warning)
    for warning in console_certificate_warnings(settings.console, now):
        yield Problem(("console", "certificate"), warning)
    yield from oauth_warnings(settings, now)
    yield from _open_data_dir(settings.server)
    for name, domain in settings.domains.items():
        files = [settings.server.data_dir / "dkim" / name / f"{selector}.pem" for selector in domain.dkim.selectors]
        if files and not any(map(_exists, files)):
            path = ("domains", name, "dkim", "selectors", 0)
            yield Problem(path, f"there is no key in {files[0]} yet; `relay dkim new {name}` creates one")


def certificate_warnings(listener: Listener, hostname: str, now: float) -> Iterator[str]:
    """Yield what is wrong with the usable certificate of a listener. Names matter to applications only."""
    if listener.tls == "none" or listener.certificate is None:
        return
    try:
        found = read_certificate(listener.certificate, listener.key)
    except CertificateError:
        return
    yield from find_certificate_warnings(found, hostname if listener.kind == "submission" else "", now)


def console_certificate_warnings(console: Console, now: float) -> Iterator[str]:
    """Yield what is wrong with the usable certificate of the console, for the host of its URL."""
    if console.certificate is None:
        return
    try:
        found = read_certificate(console.certificate, console.key)
    except CertificateError:
        return
    yield from find_certificate_warnings(found, urlsplit(console.url).hostname or "", now, "console.url")


def _data_dir_errors(server: Server) -> Iterator[Problem]:
    """Yield a data directory that cannot be created, or where other users can put files of their own."""
    path: KeyPath = ("server", "data_dir")
    try:
        existing = next(one for one in (server.data_dir, *server.data_dir.parents) if one.exists())
    except PermissionError:
        return
    except OSError as error:
        yield Problem(path, f"{server.data_dir} cannot be used: {error.strerror}", "a folder")
        return
    if existing != server.data_dir and server.data_dir.is_symlink():
        yield Problem(path, f"{server.data_dir} is a link that leads nowhere", "a folder")
        return
    if not existing.is_dir():
        yield Problem(path, f"{existing} is not a folder", "a folder")
        return
    for name in _FOLDERS:
        folder = server.data_dir / name
        if os.path.lexists(folder) and not folder.is_dir():
            yield Problem(path, f"{folder} is no folder", "move it away")
    mode = _mode(server.data_dir)
    if mode & _OTHERS_WRITE and not server.allow_open:
        problem = f"other users can write to {server.data_dir}: it has mode {mode:04o}"
        yield Problem(path, problem, "mode 0700, or allow_open = true")


def _open_data_dir(server: Server) -> Iterator[Problem]:
    """Yield a data directory in use that is open to other users."""
    mode = _mode(server.data_dir)
    if not mode & _OTHERS or not _has_files(server.data_dir):
        return
    can = "can write to" if mode & _OTHERS_WRITE else "can read"
    problem = f"other users {can} {server.data_dir}, which has the queue and the keys: it has mode {mode:04o}"
    key = "allow_open" if server.allow_open else "data_dir"
    yield Problem(("server", key), problem, "mode 0700" + ("" if server.allow_open else ", which the next start sets"))


def _socket_errors(settings: Settings) -> Iterator[Problem]:
    if not settings.admin.socket:
        return
    path: KeyPath = ("admin", "socket")
    socket = settings.server.data_dir / settings.admin.socket
    if (length := len(str(socket).encode("utf-8", "surrogateescape"))) > MAX_SOCKET_PATH:
        problem = f"{socket} has {length} octets, and the path of a socket at most {MAX_SOCKET_PATH}"
        yield Problem(path, problem, "a shorter path, such as /run/relay/admin.sock")
        return
    yield from _file_errors(path, socket, settings, stat.S_ISSOCK)


def _file_errors(
    path: KeyPath, file: Path, settings: Settings, allows: Callable[[int], bool] = bool
) -> Iterator[Problem]:
    """Yield a file of another type than `allows`, or whose folder does not exist. The start creates `data_dir` only."""
    try:
        mode = _type_of(file)
        target = Path(os.path.realpath(file)) if file.is_symlink() else file
        if stat.S_ISDIR(mode):
            yield Problem(path, f"{file} is a folder", "the name of a file")
        elif mode and not allows(mode):
            yield Problem(path, f"{file} is {_NAMES.get(stat.S_IFMT(mode), 'no regular file')}", "the name of a file")
        elif target.parent != settings.server.data_dir and not target.parent.is_dir():
            yield Problem(path, f"the folder {target.parent} does not exist", "a file in a folder that exists")
    except PermissionError:
        return  # Another user than that of the server runs the command.
    except OSError as error:
        yield Problem(path, f"{file} cannot be used: {error.strerror}", "the name of a file")


def _type_of(file: Path) -> int:
    """Return the mode of a file, 0 if there is none. Raises OSError, also for links that lead back to themselves."""
    try:
        return file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _mode(folder: Path) -> int:
    """Return the permissions of a folder, 0 if they cannot be read."""
    try:
        return stat.S_IMODE(folder.stat().st_mode)
    except OSError:
        return 0


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:
        return False


def _has_files(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False
