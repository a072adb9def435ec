"""`relay identity add` and `remove`, and the addresses that `add` derives from names."""

import os
import re
import sys
import unicodedata
from collections.abc import Container
from pathlib import Path
from typing import Any

import click

from relay.cli.common import EX_CONFIG, config_option, settings_or_exit
from relay.cli.config import reload_command
from relay.cli.undelivered_replies import warn_of_lost_replies
from relay.config import ConfigError, Settings
from relay.config.conf_d import fragment_path, remove_fragment, write_fragment
from relay.config.sources import read_sources
from relay.mail.address import AddressError, parse_address
from relay.mail.canonical_address import canonical

_NOT_DECOMPOSED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})
"""Latin letters that Unicode does not decompose into a letter and a mark."""

_SEPARATORS = re.compile(r"[^a-z0-9]+")

_REMOVED = re.compile(r"['’`.]")

_MAX_LENGTH = 60
"""Characters, at most, so that a number still fits into the local part (RFC 5321 section 4.5.3.1.1)."""


def local_part(name: str) -> str:
    """Return "jane.doe" for "Jane Doe": lower-case ASCII words joined by dots; "" if no letter is Latin."""
    decomposed = unicodedata.normalize("NFKD", name.casefold().translate(_NOT_DECOMPOSED))
    letters = "".join(char for char in decomposed if not unicodedata.combining(char))
    words = _SEPARATORS.split(_REMOVED.sub("", letters))
    return ".".join(word for word in words if word)[:_MAX_LENGTH].rstrip(".")


def free_address(name: str, domain: str, taken: Container[str]) -> str:
    """Return the first unused address for a name: jane.doe@, jane.doe2@, …; "" if no letter is Latin."""
    local = local_part(name)
    if not local:
        return ""
    address, number = f"{local}@{domain}", 1
    while address in taken:
        number += 1
        address = f"{local}{number}@{domain}"
    return address


reload_option = click.option(
    "--reload/--no-reload", "reload", default=None, help="Reload the configuration of the running server; default: ask."
)


@click.command("add")
@click.argument("target", metavar="ADDRESS|NAME")
@config_option
@click.option("--display-name", help="The name in From if an application gives none.")
@click.option("--company", help="Follows the name in From: Jane Doe (Acme Ltd).")
@click.option("--forward-to", multiple=True, metavar="ADDRESS", help="Mailbox for its returned mail; repeatable.")
@click.option("--provider", help="Provider of its mail; default: that of its domain.")
@click.option("--hourly-limit", type=int, help="Messages in any 60 minutes.")
@click.option("--daily-limit", type=int, help="Messages in any 24 hours.")
@click.option(
    "--credential", "credentials", multiple=True, metavar="NAME", help="Credential that may send as it; repeatable."
)
@click.option("--reply-to", metavar="ADDRESS", help="A fixed Reply-To.")
@click.option("--reply-tracking", is_flag=True, default=None, help="Route replies through the relay.")
@click.option("--bcc", multiple=True, metavar="ADDRESS", help="Address that gets a copy of its mail; repeatable.")
@click.option("--force", is_flag=True, help="Replace a file that this command wrote before.")
@reload_option
def add_command(target: str, path: Path, force: bool, reload: bool | None, **keys: Any) -> None:
    """Add an identity as a file in conf.d, beside the configuration. It is kept only if the configuration is valid.

    NAME, such as "Jane Doe", becomes an unused address at server.identities_domain.
    """
    settings = settings_or_exit(path)
    address = canonical(target) if "@" in target else _address_of(settings, target)
    try:
        parse_address(address)
    except AddressError as error:
        raise click.UsageError(f"{target!r} is not a mail address: {error}") from None
    if "@" not in target and keys["display_name"] is None:
        keys["display_name"] = target

    fragment = fragment_path(path, "identity", address)
    _refuse_overwriting(path, settings, address, fragment, force=force)
    values = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in keys.items()
        if value not in (None, ())
    }

    try:
        warnings = write_fragment(path, fragment, ("identities", address), values, os.environ)
    except ConfigError as error:
        click.echo(f"{error}\nrelay: {address} was not added", err=True)
        sys.exit(EX_CONFIG)
    except OSError as error:
        click.echo(f"relay: {fragment} cannot be written: {error.strerror}", err=True)
        sys.exit(EX_CONFIG)

    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{address} is in {fragment}")
    warn_of_lost_replies(settings_or_exit(path, warn=False), [address])
    reload_running(settings, path, reload)
    click.echo(f"Test it with: relay identity test {address}")


@click.command("remove")
@click.argument("address")
@config_option
@reload_option
def remove_command(address: str, path: Path, reload: bool | None) -> None:
    """Remove an identity that `add` created. The records of its mail are kept."""
    settings = settings_or_exit(path)
    fragment = fragment_path(path, "identity", canonical(address))
    if not fragment.exists():
        location = _location(path, address) if settings.identity_for(address) else ""
        hint = f"; it is in {location}: remove it there" if location else ""
        raise click.UsageError(f"there is no {fragment}{hint}")

    try:
        remove_fragment(path, fragment, os.environ)
    except ConfigError as error:
        click.echo(f"{error}\nrelay: {address} was not removed", err=True)
        sys.exit(EX_CONFIG)

    click.echo(f"{canonical(address)} is removed")
    reload_running(settings, path, reload)


def _address_of(settings: Settings, name: str) -> str:
    """Return an unused address for a name at server.identities_domain; exit with an error if there is none."""
    domain = settings.server.identities_domain
    if not domain:
        raise click.UsageError(
            f'{name!r} is not an address; to add a name, set server.identities_domain, such as "acme.test"'
        )
    address = free_address(name, domain, settings.identities)
    if not address:
        raise click.UsageError(f"{name!r} has no letter for an address; give the address itself")
    return address


def _refuse_overwriting(path: Path, settings: Settings, address: str, fragment: Path, *, force: bool) -> None:
    if fragment.exists():
        if not force:
            raise click.UsageError(f"{fragment} exists already; use --force to replace it")
    elif settings.identity_for(address):
        raise click.UsageError(f"{address} is in {_location(path, address)} already; change it there")


def _location(path: Path, address: str) -> str:
    location = read_sources(path, os.environ).location(("identities", canonical(address)))
    return f"{location.file}:{location.line}"


def reload_running(settings: Settings, path: Path, wanted: bool | None) -> bool:
    """Reload the running server if wanted, and return whether it was; ask if that is open and there is a terminal."""
    running = bool(settings.admin.socket) and (settings.server.data_dir / settings.admin.socket).exists()
    if wanted is None and running and sys.stdin.isatty():
        wanted = click.confirm("Reload the running server now?", default=True)
    if wanted:
        click.get_current_context().invoke(reload_command, path=path)
    elif running:
        click.echo("Reload the running server with: relay config reload")
    return bool(wanted)
