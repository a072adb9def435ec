"""Client of the admin API of the running server, on its Unix socket."""

import http.client
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

import click

from relay.cli.common import EX_CONFIG, EX_TEMPFAIL, EX_UNAVAILABLE
from relay.config import Settings, check
from relay.config.server import Admin, Server
from relay.config.sources import read_sources

TIMEOUT = 30.0
"""Seconds to wait for a response."""


def _socket_of(config: Path) -> Path:
    """Return the socket of a configuration. Its warnings are printed, and its faults too.

    Faults end the command with 78, unless a server answers: it runs by what it read before.
    """
    settings, faults, warnings = check(config, os.environ)
    for one in (*warnings, *faults):
        click.echo(f"warning: {one}" if one in warnings else str(one), err=True)
    if settings is not None:
        return settings.server.data_dir / settings.admin.socket

    tree = read_sources(config, os.environ)
    names = [
        default if (value := tree.table(path)) is None else value
        for path, default in ((("server", "data_dir"), str(Server().data_dir)), (("admin", "socket"), Admin().socket))
    ]
    if all(isinstance(name, str) and name and "\0" not in name for name in names):
        path = config.parent.joinpath(*names)
        with suppress(PermissionError):
            if accepts_connections(path):
                return path
    sys.exit(EX_CONFIG)


def accepts_connections(path: Path) -> bool:
    """Return whether a server listens on a Unix socket. Raises PermissionError if this user may not ask."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(TIMEOUT)
        try:
            probe.connect(str(path))
        except PermissionError:
            raise
        except OSError:
            return False
    return True


NO_SERVER = "no relay answers on"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("relay", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: Mapping[str, str | Sequence[str]] | None = None
    allowed: tuple[int, ...] = ()
    """Statuses beside 200 that are no errors."""
    body: str | None = None
    """JSON."""
    seconds: float = TIMEOUT


class AdminClient:
    """Sends requests to the server of one configuration. Errors are printed and end the process."""

    def __init__(self, config: Path, settings: Settings | None = None) -> None:
        self._socket = settings.server.data_dir / settings.admin.socket if settings else _socket_of(config)

    def silence(self) -> str:
        """Return why no server can be asked, "" if one accepts connections on the socket."""
        try:
            return "" if accepts_connections(self._socket) else f"{NO_SERVER} {self._socket}"
        except PermissionError:
            return _denied(self._socket)

    def get(self, path: str, query: Mapping[str, str | Sequence[str]] | None = None) -> Any:
        """Return the JSON response to GET."""
        return self._ask(_Request("GET", path, query))

    def find(self, path: str) -> Any | None:
        """Return the JSON response to GET, None for 404: a server may be older than this command."""
        with self._answer(_Request("GET", path, allowed=(404,))) as response:
            return json.loads(response.read()) if response.status != 404 else None

    def lines(self, path: str, query: Mapping[str, str | Sequence[str]] | None = None) -> Iterator[Any]:
        """Yield the JSON lines of the response to GET as they arrive; exit with an error if it is incomplete."""
        with self._answer(_Request("GET", path, query)) as response:
            try:
                for line in response:
                    value = json.loads(line)
                    if value is None:
                        return
                    yield value
            except (OSError, http.client.HTTPException, ValueError) as error:
                give_up(f"the response is incomplete ({error})", EX_TEMPFAIL)
        give_up("the response is incomplete: see the log of the relay for the reason", EX_TEMPFAIL)

    def post(
        self,
        path: str,
        query: Mapping[str, str | Sequence[str]] | None = None,
        allowed: tuple[int, ...] = (),
        body: object = None,
        seconds: float = TIMEOUT,
    ) -> Any:
        """Return the JSON response to POST, with an optional JSON body. Statuses in `allowed` are no errors."""
        text = None if body is None else json.dumps(body)
        return self._ask(_Request("POST", path, query, allowed, text, seconds))

    def _ask(self, request: _Request) -> Any:
        with self._answer(request) as response:
            try:
                return json.loads(response.read())
            except (OSError, http.client.HTTPException) as error:
                give_up(f"the response is incomplete ({error})", EX_TEMPFAIL)

    @contextmanager
    def _answer(self, request: _Request) -> Iterator[http.client.HTTPResponse]:
        """Send a request and yield the response; exit with the text of the server if it is an error."""
        connection = _UnixConnection(str(self._socket), request.seconds)
        query = f"?{urlencode(request.query, doseq=True)}" if request.query else ""
        fields = {"Content-Type": "application/json"} if request.body else {}
        with closing(connection):
            try:
                connection.request(request.method, quote(request.path, safe="/") + query, request.body, fields)
                response = connection.getresponse()
                error_text = None if response.status in (200, *request.allowed) else response.read()
            except PermissionError:
                give_up(_denied(self._socket), EX_UNAVAILABLE)
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "strerror", None) or error
                give_up(f"{NO_SERVER} {self._socket} ({reason}); is `relay serve` running with this config?")
            if error_text is not None:
                give_up(error_text.decode("utf-8", "replace").strip(), EX_TEMPFAIL if response.status >= 500 else 1)
            yield response


def _denied(path: Path) -> str:
    return f"{path}: permission denied; run the command as the user of the relay or as root"


def give_up(message: str, code: int = EX_UNAVAILABLE) -> NoReturn:
    """Print an error and exit."""
    click.echo(f"relay: {message}", err=True)
    sys.exit(code)
