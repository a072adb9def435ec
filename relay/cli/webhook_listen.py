"""`relay webhook listen`: a receiver for people who build one. It verifies posts and prints them."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import click

from relay.cli.common import EX_CONFIG, config_option, printable, settings_or_exit
from relay.clock import system_clock
from relay.webhooks.formats.registry import sender_of
from relay.webhooks.signing import Key, parse_key, verify_standard

_MAX_BODY = 1 << 20
"""Octets of a post, at most."""


class _Receiver(BaseHTTPRequestHandler):
    """Answers 204 to posts that verify, 401 to others, or always with `status`."""

    protocol_version = "HTTP/1.1"
    keys: ClassVar[tuple[Key, ...]] = ()
    status: ClassVar[int | None] = None

    def do_POST(self) -> None:
        """Verify and print one post."""
        length = int(self.headers.get("Content-Length", "0") or 0)
        body = self.rfile.read(min(length, _MAX_BODY))
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = verify_standard(self.keys, headers, body, system_clock()) if self.keys else "not verified: no secret"
        click.echo(f"{headers.get('webhook-id', '-')}  {fault or 'verified'}")
        click.echo(_shown(body))
        self.send_response(self.status or (401 if fault and self.keys else 204))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing: each post is printed already."""


def _shown(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return printable(body.decode("utf-8", "replace"))


@click.command("listen")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free port.")
@click.option("--name", default="", help="Verify by the secret of this [[webhook]].")
@click.option("--secret", default="", help="Verify by this secret (whsec_…).")
@click.option("--status", type=click.IntRange(200, 599), default=None, help="Answer so to each post.")
@config_option
def listen(port: int, name: str, secret: str, status: int | None, path: Path) -> None:
    """Receive posts on 127.0.0.1, verify and print them.

    The webhook needs url = "http://127.0.0.1:PORT/" and allow_networks = ["127.0.0.1/32"].
    """
    try:
        _Receiver.keys = (parse_key(secret),) if secret else _keys_of(name, path) if name else ()
    except ValueError as error:
        raise click.UsageError(f"--secret: {error}") from None
    _Receiver.status = status
    with ThreadingHTTPServer(("127.0.0.1", port), _Receiver) as server:
        click.echo(f"listening on http://127.0.0.1:{server.server_address[1]}/  (Ctrl-C ends it)")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("ended")


def _keys_of(name: str, path: Path) -> tuple[Key, ...]:
    settings = settings_or_exit(path)
    found = next((one for one in settings.webhooks if one.name == name), None)
    if found is None:
        click.echo(f'relay: there is no [[webhook]] "{name}"', err=True)
        sys.exit(EX_CONFIG)
    return sender_of(found, settings.server.hostname).keys
