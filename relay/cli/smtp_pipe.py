"""Copies an SMTP session between standard streams and a server: `sendmail -bs`."""

import socket
from contextlib import suppress
from threading import Thread
from typing import BinaryIO

import click

from relay.cli.common import EX_TEMPFAIL
from relay.config.parsers import HostPort

_BLOCK = 1 << 16
"""Octets of one read, at most."""


def copy_session(address: HostPort, source: BinaryIO, target: BinaryIO, timeout: float) -> int:
    """Copy until the server closes the connection; return the exit code."""
    try:
        with socket.create_connection((address.host, address.port), timeout) as server:
            Thread(target=_send, args=(source, server), daemon=True).start()
            while block := server.recv(_BLOCK):
                target.write(block)
                target.flush()
    except OSError as error:
        click.echo(f"sendmail: {address.host}:{address.port}: {error}", err=True)
        return EX_TEMPFAIL
    return 0


def _send(source: BinaryIO, server: socket.socket) -> None:
    """Send lines as they come, then end this direction: the server answers what it has and closes."""
    with suppress(OSError):
        for line in source:
            server.sendall(line)
        server.shutdown(socket.SHUT_WR)
