"""What the start of a relay does beyond reading its configuration, tried without starting: keys, store, addresses."""

import asyncio
import errno
import os
import socket
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

from relay.config.bind_addresses import bind_hosts, listening_sections
from relay.config.errors import Problem
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


def find_address_faults(settings: Settings, own_ports: Collection[int] | None) -> Iterator[Problem]:
    """Yield the addresses on which the relay could not listen.

    A port in `own_ports` is in use by the running relay itself; None for a running relay with unknown ports.
    """
    addresses = [
        (path, (host, section.port))
        for path, section in listening_sections(settings).items()
        for host in bind_hosts(settings, section)
    ]
    for path, address in addresses:
        try:
            found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            yield Problem(path, f"{address[0]} is not found: {error.strerror}", "an IP address of this machine")
            continue
        for family, kind, protocol, _, bound in found:
            number = _bind_error(family, kind, protocol, bound)
            is_own = number == errno.EADDRINUSE and (own_ports is None or address[1] in own_ports)
            if number and not is_own:
                yield _bind_problem(path, f"{bound[0]!s} port {bound[1]!s}", number)
                break


def _bind_error(
    family: int, kind: int, protocol: int, address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
) -> int:
    """Bind a socket to an address and close it; return errno, 0 for none. It does not listen: no client can connect."""
    with closing(socket.socket(family, kind, protocol)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
