"""What the start of a relay does beyond reading its configuration, tried without starting: keys, store, addresses."""

import asyncio
import errno
import os
import socket
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

from relay.config.bind_addresses import bind_hosts, listening_sections
from relay.config.errors import Problem, key_text
from relay.config.listener_checks import REUSING
from relay.config.settings import Settings
from relay.config.toml_positions import KeyPath
from relay.domains.key_files import TRACKER_KEY_FILE, read_keys, read_tracker_key_file
from relay.dsn.bounce_rules import RulesError
from relay.dsn.rules_file import load_bounce_rules
from relay.events.ports import StoreError
from relay.mailauth.dkim_keys import KeyFaultError
from relay.storage.open import check_store
from relay.storage.sqlite.schema import check_header

Address = tuple[str, int]
"""Host and port as configured."""


def find_data_faults(settings: Settings, config: Path) -> Iterator[Problem]:
    """Yield keys, bounce rules and a database with which the relay does not start. Connects to a PostgreSQL server."""
    try:
        load_bounce_rules(config)
    except RulesError as error:
        yield Problem((), str(error))

    path = settings.sqlite_path
    try:
        if path is None:
            asyncio.run(check_store(settings))
        elif path.exists() and path.stat().st_size:
            check_header(path)
    except StoreError as error:
        yield Problem(("storage", "url"), str(error).removeprefix("storage.url: "))
    except OSError as error:
        yield Problem(("storage", "url"), f"{error.filename}: {error.strerror}")

    yield from _find_folder_faults(settings)

    data_dir = settings.server.data_dir
    for name, domain in settings.domains.items():
        try:
            read_keys(data_dir, name, domain.dkim.selectors)
        except KeyFaultError as error:
            yield Problem(("domains", name, "dkim", "selectors"), str(error))
        except OSError as error:
            yield Problem(("domains", name, "dkim", "selectors"), f"{error.filename}: {error.strerror}")
    try:
        if not settings.tracker.keys and (data_dir / TRACKER_KEY_FILE).exists():
            read_tracker_key_file(data_dir / TRACKER_KEY_FILE)
    except KeyFaultError as error:
        yield Problem(("tracker", "keys"), str(error))
    except OSError as error:
        yield Problem(("tracker", "keys"), f"{error.filename}: {error.strerror}")


def _find_folder_faults(settings: Settings) -> Iterator[Problem]:
    """Yield the folders that exist and in which this process may not create files."""
    data_dir = settings.server.data_dir
    folders: dict[Path, KeyPath] = {data_dir: ("server", "data_dir"), data_dir / "spool": ("server", "data_dir")}
    if settings.log_file:
        folders.setdefault(settings.log_file.parent, ("log", "file"))
    if settings.sqlite_path:
        folders.setdefault(settings.sqlite_path.parent, ("storage", "url"))
    if settings.admin.socket:
        folders.setdefault((data_dir / settings.admin.socket).parent, ("admin", "socket"))

    for folder, path in folders.items():
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            # Root may write everywhere but on a file system that is read-only.
            reason = os.strerror(errno.EACCES if os.geteuid() else errno.EROFS)
            yield Problem(path, f"no file can be created in {folder}: {reason}")


def find_address_faults(settings: Settings, own_ports: Collection[int] | None) -> Iterator[Problem]:
    """Yield the addresses on which the relay could not listen.

    A port in `own_ports` is in use by the running relay itself; None for a running relay with unknown ports.
    """
    addresses = [
        (path, (host, section.port))
        for path, section in listening_sections(settings).items()
        for host in bind_hosts(settings, section)
    ]
    in_use: dict[tuple[object, ...], KeyPath] = {}
    for path, address in addresses:
        try:
            found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            yield Problem(path, f"{address[0]} is not found: {error.strerror}", "an IP address of this machine")
            continue
        is_shared = settings.server.reuse_port and path[0] in REUSING
        for family, kind, protocol, _, bound in found:
            # Names and other spellings of one address: `relay.config.listener_checks` compares them as written.
            if bound[1] and (owner := in_use.setdefault(bound, path)) != path:
                yield Problem(
                    path, f"{key_text(owner)} leads to {bound[0]!s} port {bound[1]!s} too", "an address for each"
                )
                break
            number = _bind_error(family, kind, protocol, bound, reuse_port=is_shared)
            is_own = number == errno.EADDRINUSE and (own_ports is None or address[1] in own_ports)
            if number and not is_own:
                yield _bind_problem(path, f"{bound[0]!s} port {bound[1]!s}", number)
                break


def _bind_error(
    family: int,
    kind: int,
    protocol: int,
    address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
    *,
    reuse_port: bool,
) -> int:
    """Bind a socket to an address and close it; return errno, 0 for none. It does not listen: no client can connect."""
    with closing(socket.socket(family, kind, protocol)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind(address)
        except OSError as error:
            return error.errno or errno.EIO
    return 0


def _bind_problem(path: KeyPath, address: str, error: int) -> Problem:
    match error:
        case errno.EADDRINUSE:
            return Problem(
                path, f"another process listens on {address}", "a free address; `ss -ltnp` lists those in use"
            )
        case errno.EADDRNOTAVAIL:
            return Problem(path, f"{address} is at no address of this machine", "one of those that `ip address` lists")
        case errno.EACCES:
            return Problem(path, f"this user may not listen on {address}", NEEDS_RIGHT)
    return Problem(path, f"{address}: {os.strerror(error)}")


NEEDS_RIGHT = "root, or CAP_NET_BIND_SERVICE as in conf/relay.service"
"""What a process needs to listen on a port below 1024."""
