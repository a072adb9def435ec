"""`relay unsubscribe`: show and change the unsubscribe list."""

from pathlib import Path
from typing import BinaryIO

import click

from relay.cli.address_list import AddressList, addresses_argument, export_command, import_options
from relay.cli.common import config_option, json_option
from relay.suppression.unsubscribes import SOURCES

UNSUBSCRIBES = AddressList(
    name="unsubscribes",
    fields=("address", "domain", "campaign", "source", "queue_id", "created_at", "excludes_from"),
    keys=("address", "domain", "campaign"),
    columns=(
        ("ADDRESS", "address"),
        ("FROM", "domain"),
        ("CAMPAIGN", "campaign"),
        ("EXCLUDES FROM", "excludes_from"),
        ("SINCE", "created_at"),
        ("BY", "source"),
        ("MESSAGE", "queue_id"),
    ),
    after=lambda last: [last["address"], last["domain"], last["campaign"]],
)


@click.group()
def unsubscribe() -> None:
    """Show and change the unsubscribe list. It applies to campaign mail only."""


@unsubscribe.command("list")
@config_option
@click.option("--address", default="", help="Only this address.")
@click.option("--domain", default="", help="Only entries for this sending domain.")
@click.option("--campaign", default="", help="Only entries for this campaign.")
@click.option("--source", default="", type=click.Choice(["", *SOURCES]), help="Only entries from this source.")
@json_option
def list_unsubscribes(path: Path, as_json: bool, **query: str) -> None:
    """List unsubscribed addresses with domain, campaign, time and source.

    EXCLUDES FROM: the campaign, all campaigns of the domain, or all of this relay (global), as `exclusion` is set now.
    """
    UNSUBSCRIBES.list(path, query, as_json=as_json)


@unsubscribe.command("add")
@addresses_argument
@config_option
@click.option("--domain", default="", help="Sending domain; default: all.")
@click.option("--campaign", default="", help="Campaign; default: all campaign mail.")
@json_option
def add_unsubscribes(addresses: tuple[str, ...], path: Path, domain: str, campaign: str, as_json: bool) -> None:
    """Add addresses to the list. Campaign mail to them is dropped with the reason."""
    rows = [{"address": one, "domain": domain, "campaign": campaign} for one in addresses]
    UNSUBSCRIBES.add(path, rows, as_json=as_json)


@unsubscribe.command("remove")
@addresses_argument
@config_option
@click.option("--domain", help="Only entries for this sending domain.")
@click.option("--campaign", help="Only entries for this campaign.")
@json_option
def remove_unsubscribes(
    addresses: tuple[str, ...], path: Path, domain: str | None, campaign: str | None, as_json: bool
) -> None:
    """Remove addresses from the list, at their request. Exits with 1 if none was on it."""
    UNSUBSCRIBES.remove(path, addresses, {"domain": domain, "campaign": campaign}, as_json=as_json)


@unsubscribe.command("import")
@import_options
@config_option
@click.option("--domain", default="", help="Sending domain for entries without one; default: all.")
@click.option("--campaign", default="", help="Campaign for entries without one; default: all campaign mail.")
@json_option
def import_unsubscribes(
    file: BinaryIO, path: Path, domain: str, campaign: str, as_json: bool, dry_run: bool, partial: bool
) -> None:
    """Add the addresses of a file to the list ("-" is standard input).

    The file is CSV with a column `address`, has one address per line, or JSON lines as from `export`. If a line has a
    fault, nothing is imported, and the exit code is 65.
    """
    defaults = {"source": "import", "domain": domain, "campaign": campaign}
    UNSUBSCRIBES.import_file(path, file, defaults, as_json=as_json, dry_run=dry_run, partial=partial)


unsubscribe.add_command(export_command(UNSUBSCRIBES))
