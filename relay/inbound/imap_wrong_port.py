"""Finds out what answers on a port where IMAP failed, to name a wrong port or a wrong `tls`. Blocking."""

import socket
import ssl
from contextlib import suppress

from relay.config.settings import Imap

PROBE_SECONDS = 3.0
"""Seconds for the connection, the handshake and the greeting of a probe, each."""

_MAX_GREETING = 200
"""Octets of a greeting that are read."""

_SERVERS = (
    (b"* ", "IMAP"),
    (b"220", "SMTP or FTP"),
    (b"+OK", "POP3"),
    (b"SSH-", "SSH"),
    (b"HTTP/", "HTTP"),
)
"""First octets of what a server sends, and its protocol."""


def wrong_port(imap: Imap) -> str:
    """Return what is wrong about the port or `tls` of the account, "" if nothing is found."""
    if imap.tls == "implicit":
        greeting = _greeting(imap, tls=True)
        if greeting is None:
            return _without_tls(imap, _greeting(imap, tls=False) or b"")
        return _other_protocol(imap, greeting, " over TLS")
    greeting = _greeting(imap, tls=False)
    if greeting == b"" and _greeting(imap, tls=True) is not None:
        return f'port {imap.port} expects TLS at once: set tls = "implicit"'
    return _other_protocol(imap, greeting or b"", "")


def _without_tls(imap: Imap, greeting: bytes) -> str:
    if _protocol(greeting) == "IMAP":
        return f'port {imap.port} speaks IMAP without TLS: set tls = "starttls", or the port for TLS, 993'
    return _other_protocol(imap, greeting, "")


def _other_protocol(imap: Imap, greeting: bytes, how: str) -> str:
    protocol = _protocol(greeting)
    return "" if protocol in ("", "IMAP") else f"port {imap.port} speaks {protocol}{how}, not IMAP"


def _protocol(greeting: bytes) -> str:
    """Return the protocol of a greeting, "" for an unknown one."""
    return next((name for first, name in _SERVERS if greeting.startswith(first)), "")


def _greeting(imap: Imap, *, tls: bool) -> bytes | None:
    """Return what the server sends first, b"" if nothing arrives; None if no connection or no TLS session is made.

    The certificate is not verified: nothing secret is sent.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        connection = socket.create_connection((imap.host, imap.port), PROBE_SECONDS)
    except OSError:
        return None
    with connection:
        if not tls:
            return _first(connection)
        try:
            secured = context.wrap_socket(connection, server_hostname=imap.host)
        except (OSError, ValueError):
            return None
        with secured:
            return _first(secured)


def _first(connection: socket.socket) -> bytes:
    with suppress(OSError):
        return connection.recv(_MAX_GREETING)
    return b""
