"""What commands about a mail in a file share: the file, a configuration that may be left out, its recipients."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from relay.cli.common import settings_or_exit
from relay.config import Settings
from relay.mail.authors import addresses_in
from relay.mail.dot_stuffing import normalise
from relay.mail.headers import fields

Command = TypeVar("Command", bound=Callable[..., Any])

mail_argument = click.argument("file", type=click.File("rb"))
"""The mail, "-" for standard input. Commands get it as `file`."""


def optional_config_option(text: str) -> Callable[[Command], Command]:
    """Return the option of a configuration that may be left out, with this help. Commands get it as `path`."""
    return click.option("-c", "--config", "path", type=click.Path(path_type=Path), envvar="RELAY_CONFIG", help=text)


def settings_or_built_in(path: Path | None) -> Settings:
    """Return the settings of a configuration, the built-in ones without one; exit with 78 if it has errors."""
    return Settings() if path is None else settings_or_exit(path)


def header_recipients(content: bytes) -> tuple[str, ...]:
    """Return the addresses of To, Cc and Bcc, without fields that are unreadable."""
    found = fields(content)
    read = [addresses_in(content, found, name) for name in (b"to", b"cc", b"bcc")]
    return tuple(address for one in read if isinstance(one, tuple) for address in one)


def with_line_ends(content: bytes) -> bytes:
    """Convert LF to CRLF. A file with both is not changed, and a note is printed."""
    if b"\r" not in content:
        return normalise(content)
    bare = content.count(b"\r") + content.count(b"\n") - 2 * content.count(b"\r\n")
    if bare:
        click.echo(
            f"{bare} line ends are a bare CR or LF; the relay converts them to CRLF when it receives the mail", err=True
        )
    return content
