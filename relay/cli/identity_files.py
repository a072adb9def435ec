"""`relay identity add` and `remove`."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from relay.cli.common import EX_CONFIG, config_option, settings_or_exit
from relay.cli.config import reload_command
from relay.cli.undelivered_replies import warn_of_lost_replies
from relay.config import ConfigError, Settings
from relay.config.table_files import (
    StaleTableError,
    Table,
    TableElsewhereError,
    change_table,
    place_text,
    read_table,
    remove_table,
)
from relay.config.table_names import identity_table
from relay.mail.address import AddressError, parse_address
from relay.mail.address_from_name import free_address
from relay.mail.canonical_address import canonical
from relay.people.own_choices import credentials_in, opened_credentials

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

    table = read_table(path, identity_table(address), os.environ)
    _refuse_overwriting(table, force=force)
    values = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in keys.items()
        if value not in (None, ())
    }

    try:
        warnings = change_table(path, table.name, values, os.environ).warnings
    except ConfigError as error:
        click.echo(f"{error}\nrelay: {address} was not added", err=True)
        sys.exit(EX_CONFIG)
    except TableElsewhereError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        click.echo(f"relay: {table.file} cannot be written: {error.strerror}", err=True)
        sys.exit(EX_CONFIG)

    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{address} is in {table.file}")
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
    table = read_table(path, identity_table(canonical(address)), os.environ)
    if not table.file.exists():
        hint = f"; it is in {place_text(table.elsewhere)}: remove it there" if table.elsewhere else ""
        raise click.UsageError(f"there is no {table.file}{hint}")

    try:
        remove_table(path, table.name, os.environ)
    except (TableElsewhereError, StaleTableError) as error:
        raise click.UsageError(str(error)) from None
    except ConfigError as error:
        click.echo(f"{error}\nrelay: {address} was not removed", err=True)
        sys.exit(EX_CONFIG)

    click.echo(f"{canonical(address)} is removed")
    for name in opened_credentials(settings, canonical(address), credentials_in(table.values)):
        text = f"no other identity names the credential {name}: it may send as each identity that is open to all"
        click.echo(f"warning: {text}", err=True)
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


def _refuse_overwriting(table: Table, *, force: bool) -> None:
    if table.elsewhere is not None:
        raise click.UsageError(f"{table.name.name} is in {place_text(table.elsewhere)} already; change it there")
    if table.file.exists() and not force:
        raise click.UsageError(f"{table.file} exists already; use --force to replace it")


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
