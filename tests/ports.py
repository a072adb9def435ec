"""Ports of tests: no two test processes of a machine are given the same."""

import os
import socket
from itertools import count

_ports = count(11_000 + 2_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")))
"""Below the ports the system gives to clients, and for each test process its own."""


def free_port() -> int:
    """Return a TCP port nobody uses, and no other test process will be given, also while its server is down."""
    for port in _ports:
        if not _reserve(port):
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("there are more ports than numbers")


def _reserve(port: int) -> bool:
    """Take the port's name in Linux's abstract namespace, which goes with the process; return False if it is taken."""
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0relay-tests-port-{port}")
    except OSError:
        name.close()
        return False
    name.detach()
    return True
