"""Talks to the running server through its admin socket."""

import http.client
import json
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

import click

from relay.cli.common import EX_TEMPFAIL, EX_UNAVAILABLE, settings_or_exit

PATIENCE = 30.0
"""Seconds an answer may take."""


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


class AdminClient:
    """Asks the server of one configuration."""

    def __init__(self, config: Path) -> None:
        settings = settings_or_exit(config)
        self._socket = settings.server.data_dir / settings.admin.socket

    def get(self, path: str, query: Mapping[str, str | Sequence[str]] | None = None) -> Any:
        """Return the JSON answer to GET; exit with a clear word when there is none."""
        return self._ask("GET", path, query)

    def lines(self, path: str, query: Mapping[str, str | Sequence[str]] | None = None) -> Iterator[Any]:
        """Yield the JSON answer to GET line by line as it comes; exit with a clear word when it breaks off."""
        with self._answer("GET", path, query) as response:
            try:
                for line in response:
                    value = json.loads(line)
                    if value is None:
                        return
                    yield value
            except (OSError, http.client.HTTPException, ValueError) as error:
                give_up(f"the answer broke off ({error})", EX_TEMPFAIL)
        give_up("the answer broke off: the log of the relay says why", EX_TEMPFAIL)

    def post(
        self,
        path: str,
        query: Mapping[str, str | Sequence[str]] | None = None,
        allowed: tuple[int, ...] = (),
        body: object = None,
        seconds: float = PATIENCE,
    ) -> Any:
        """Return the JSON answer to POST with that JSON body, if any; a status in `allowed` is an answer too."""
        return self._ask("POST", path, query, allowed, None if body is None else json.dumps(body), seconds)

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | Sequence[str]] | None,
        allowed: tuple[int, ...] = (),
        body: str | None = None,
        seconds: float = PATIENCE,
    ) -> Any:
        with self._answer(method, path, query, allowed, body, seconds) as response:
            try:
                return json.loads(response.read())
            except (OSError, http.client.HTTPException) as error:
                give_up(f"the answer broke off ({error})", EX_TEMPFAIL)

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | Sequence[str]] | None,
        allowed: tuple[int, ...] = (),
        body: str | None = None,
        seconds: float = PATIENCE,
    ) -> Iterator[http.client.HTTPResponse]:
        """Ask, and give the answer to be read; exit with what the server said when it is a refusal."""
        connection = _UnixConnection(str(self._socket), seconds)
        target = quote(path, safe="/") + (f"?{urlencode(query, doseq=True)}" if query else "")
        with closing(connection):
            try:
                connection.request(method, target, body, {"Content-Type": "application/json"} if body else {})
                response = connection.getresponse()
                refusal = response.status != 200 and response.status not in allowed and response.read()
            except PermissionError:
                give_up(f"{self._socket}: only the relay's own user (or root) may ask the server", EX_UNAVAILABLE)
            except (OSError, http.client.HTTPException) as error:
                give_up(f"no relay answers on {self._socket} ({error}); is `relay serve` running with this config?")
            if refusal is not False:
                give_up(refusal.decode("utf-8", "replace").strip(), EX_TEMPFAIL if response.status >= 500 else 1)
            yield response


def give_up(message: str, code: int = EX_UNAVAILABLE) -> NoReturn:
    """Say why and exit."""
    click.echo(f"relay: {message}", err=True)
    sys.exit(code)
