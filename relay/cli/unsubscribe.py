"""`relay unsubscribe`: shows and changes the unsubscribe list."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from relay.cli.address_files import PAGE, import_entries, read_entries, write_csv
from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, show
from relay.suppression.unsubscribes import SOURCES

FIELDS = ("address", "domain", "campaign", "source", "queue_id", "created_at")


COLUMNS = (
    ("ADDRESS", "address"),
    ("FROM", "domain"),
    ("CAMPAIGN", "campaign"),
    ("SINCE", "created_at"),
    ("BY", "source"),
    ("MESSAGE", "queue_id"),
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
def list_command(path: Path, address: str, domain: str, campaign: str, source: str, as_json: bool) -> None:
    """List unsubscribed addresses with domain, campaign, time and source."""
    query = {"address": address, "domain": domain, "campaign": campaign, "source": source}
    show(_pages(AdminClient(path), query), COLUMNS, as_json=as_json)


@unsubscribe.command("add")
@click.argument("addresses", nargs=-1, required=True)
@config_option
@click.option("--domain", default="", help="Sending domain; default: all.")
@click.option("--campaign", default="", help="Campaign; default: all campaign mail.")
@json_option
def add_command(addresses: tuple[str, ...], path: Path, domain: str, campaign: str, as_json: bool) -> None:
    """Add addresses to the list. Campaign mail to them is dropped with the reason."""
    adding = [{"address": one, "domain": domain, "campaign": campaign} for one in addresses]
    answer = AdminClient(path).post("/unsubscribes", body={"unsubscribes": adding})
    show(answer["unsubscribes"], COLUMNS, as_json=as_json)


@unsubscribe.command("remove")
@click.argument("addresses", nargs=-1, required=True)
@config_option
@click.option("--domain", help="Only entries for this sending domain.")
@click.option("--campaign", help="Only entries for this campaign.")
@json_option
def remove_command(
    addresses: tuple[str, ...], path: Path, domain: str | None, campaign: str | None, as_json: bool
) -> None:
    """Remove addresses from the list, at their request. Exits with 1 if none was on it."""
    body = {"addresses": list(addresses), "domain": domain, "campaign": campaign}
    removed = AdminClient(path).post("/unsubscribes/remove", body=body)["unsubscribes"]
    show(removed, COLUMNS, as_json=as_json)
    if not removed:
        sys.exit(1)


@unsubscribe.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8-sig"))
@config_option
@click.option("--domain", default="", help="Sending domain for entries without one; default: all.")
@click.option("--campaign", default="", help="Campaign for entries without one; default: all campaign mail.")
@json_option
def import_command(file: io.TextIOBase, path: Path, domain: str, campaign: str, as_json: bool) -> None:
    """Add the addresses of a file to the list ("-" is standard input).

    The file is CSV with a column `address`, has one address per line, or JSON lines as from `export`.
    """
    defaults = {"source": "import", "domain": domain, "campaign": campaign}
    rows = [defaults | {key: value for key, value in row.items() if value} for row in read_entries(file.read())]
    import_entries(AdminClient(path), "unsubscribes", rows, as_json=as_json)


@unsubscribe.command("export")
@config_option
@json_option
def export_command(path: Path, as_json: bool) -> None:
    """Write the whole list as CSV or, with --json, as JSON lines."""
    found = _pages(AdminClient(path), {})
    if as_json:
        show(found, COLUMNS, as_json=True)
    else:
        write_csv(found, FIELDS)


def _pages(client: AdminClient, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield all matching unsubscribes, reading them page by page."""
    wanted = {key: value for key, value in query.items() if value} | {"limit": str(PAGE)}
    after: list[str] = []
    while True:
        page: list[dict[str, Any]] = client.get("/unsubscribes", {**wanted, "after": after})["unsubscribes"]
        yield from page
        if len(page) < PAGE:
            return
        after = [page[-1]["address"], page[-1]["domain"], page[-1]["campaign"]]
