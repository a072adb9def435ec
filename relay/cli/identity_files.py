"""`relay identity add/remove`, with the address naming it alone uses."""

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
from relay.config import ConfigError, Settings
from relay.config.conf_d import fragment_path, remove_fragment, write_fragment
from relay.config.sources import read_sources
from relay.mail.address import AddressError, parse_address
from relay.mail.canonical import canonical

_NOT_DECOMPOSED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})
"""Latin letters that Unicode does not take apart into a letter and a mark."""


_BETWEEN = re.compile(r"[^a-z0-9]+")


_SILENT = re.compile(r"['’`.]")


_LONGEST = 60
"""Characters, so that a number still fits into a local part (RFC 5321 section 4.5.3.1.1)."""


def local_part(name: str) -> str:
    """Return "jane.doe" of "Jane Doe": words in ASCII and lower case, joined by dots; "" when no letter is Latin."""
    spelt = unicodedata.normalize("NFKD", name.casefold().translate(_NOT_DECOMPOSED))
    plain = "".join(char for char in spelt if not unicodedata.combining(char))
    words = _BETWEEN.split(_SILENT.sub("", plain))
    return ".".join(word for word in words if word)[:_LONGEST].rstrip(".")


def free_address(name: str, domain: str, taken: Container[str]) -> str:
    """Return the address of that name at the domain that nobody has: jane.doe@, jane.doe2@, …; "" when none can be."""
    local = local_part(name)
    if not local:
        return ""
    address, number = f"{local}@{domain}", 1
    while address in taken:
        number += 1
        address = f"{local}{number}@{domain}"
    return address


reload_option = click.option(
    "--reload/--no-reload", "reload", default=None, help="Have the running server take it; asked when not given."
)


@click.command("add")
@click.argument("who", metavar="ADDRESS|NAME")
@config_option
@click.option("--display-name", help="The name in From where an application gives none.")
@click.option("--company", help="Stands behind the name: Jane Doe (Acme Ltd).")
@click.option("--forward-to", multiple=True, metavar="ADDRESS", help="Where somebody reads for it; repeatable.")
@click.option("--provider", help="The way its mail takes, when not that of its domain.")
@click.option("--hourly-limit", type=int, help="Messages in any 60 minutes.")
@click.option("--daily-limit", type=int, help="Messages in any 24 hours.")
@click.option("--credential", "credentials", multiple=True, metavar="NAME", help="Who may send as it; repeatable.")
@click.option("--reply-to", metavar="ADDRESS", help="A fixed Reply-To.")
@click.option("--reply-tracking", is_flag=True, default=None, help="Replies come back through the relay.")
@click.option("--bcc", multiple=True, metavar="ADDRESS", help="Who gets a copy of what it sends; repeatable.")
@click.option("--force", is_flag=True, help="Write over a file this command wrote before.")
@reload_option
def add_command(who: str, path: Path, force: bool, reload: bool | None, **keys: Any) -> None:
    """Add an identity: a file in conf.d beside the configuration, which stays only when nothing is wrong with it.

    NAME, such as "Jane Doe", becomes an address at server.identities_domain that nobody has yet.
    """
    settings = settings_or_exit(path)
    address = canonical(who) if "@" in who else _address_of(settings, who)
    try:
        parse_address(address)
    except AddressError as error:
        raise click.UsageError(f"{who!r} is no mail address: {error}") from None
    if "@" not in who and keys["display_name"] is None:
        keys["display_name"] = who
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
    _reload(settings, path, reload)
    click.echo(f"See whether it works: relay identity test {address}")


@click.command("remove")
@click.argument("address")
@config_option
@reload_option
def remove_command(address: str, path: Path, reload: bool | None) -> None:
    """Remove an identity that `add` made. What is known of its mail stays."""
    settings = settings_or_exit(path)
    fragment = fragment_path(path, "identity", canonical(address))
    if not fragment.exists():
        where = _place(path, address) if settings.identity_for(address) else ""
        hint = f"; it is in {where}: take it out there" if where else ""
        raise click.UsageError(f"there is no {fragment}{hint}")
    try:
        remove_fragment(path, fragment, os.environ)
    except ConfigError as error:
        click.echo(f"{error}\nrelay: {address} was not removed", err=True)
        sys.exit(EX_CONFIG)
    click.echo(f"{canonical(address)} is removed")
    _reload(settings, path, reload)


def _address_of(settings: Settings, name: str) -> str:
    """Return a free address of that name at the platform's domain; exit saying what is missing."""
    domain = settings.server.identities_domain
    if not domain:
        raise click.UsageError(
            f'{name!r} is no address; names become addresses where server.identities_domain is set, such as "acme.test"'
        )
    address = free_address(name, domain, settings.identities)
    if not address:
        raise click.UsageError(f"{name!r} has no letter an address could be made of; give the address itself")
    return address


def _refuse_overwriting(path: Path, settings: Settings, address: str, fragment: Path, *, force: bool) -> None:
    if fragment.exists():
        if not force:
            raise click.UsageError(f"{fragment} is there already; --force writes over it")
    elif settings.identity_for(address):
        raise click.UsageError(f"{address} is in {_place(path, address)} already; change it there")


def _place(path: Path, address: str) -> str:
    place = read_sources(path, os.environ).location(("identities", canonical(address)))
    return f"{place.file}:{place.line}"


def _reload(settings: Settings, path: Path, wanted: bool | None) -> None:
    """Have the running server take the change, when that is wanted; ask where somebody can answer."""
    running = bool(settings.admin.socket) and (settings.server.data_dir / settings.admin.socket).exists()
    if wanted is None and running and sys.stdin.isatty():
        wanted = click.confirm("Have the running server take it now?", default=True)
    if wanted:
        click.get_current_context().invoke(reload_command, path=path)
    elif running:
        click.echo("The running server takes it with: relay config reload")
