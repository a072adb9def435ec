"""`relay suppression`: shows and changes the suppression list."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from relay.cli.address_files import PAGE, import_entries, read_entries, write_csv
from relay.cli.client import AdminClient
from relay.cli.common import config_option, future_time, json_option, show
from relay.reports.serialize import time_json

FIELDS = ("address", "domain", "reason", "rule", "reply", "queue_id", "created_at", "expires_at")


COLUMNS = (
    ("ADDRESS", "address"),
    ("FOR", "domain"),
    ("REASON", "reason"),
    ("SINCE", "created_at"),
    ("UNTIL", "expires_at"),
    ("REPLY", "reply"),
)


_domain_option = click.option("--domain", default="", help="Sending domain for which it counts; default: all mail.")


@click.group()
def suppression() -> None:
    """Show and change the suppression list. Unsubscribes have their own list."""


@suppression.command("list")
@config_option
@click.option("--address", default="", help="Only this address.")
@click.option("--domain", default="", help="Only entries for this sending domain.")
@click.option("--reason", default="", help="Only this reason: manual, complaint, or a category of bounces.")
@json_option
def list_command(path: Path, address: str, domain: str, reason: str, as_json: bool) -> None:
    """List suppressed addresses with the evidence: reason, rule, reply, message, time."""
    found = _pages(AdminClient(path), {"address": address, "domain": domain, "reason": reason})
    show(found, COLUMNS, as_json=as_json)


@suppression.command("add")
@click.argument("addresses", nargs=-1, required=True)
@config_option
@_domain_option
@click.option("--note", default="", help="Reason to show in the list.")
@click.option("--expires", default="", help="Time until it ends, such as 30d; default: never.")
@json_option
def add_command(addresses: tuple[str, ...], path: Path, domain: str, note: str, expires: str, as_json: bool) -> None:
    """Add addresses to the list. Mail to them is dropped with the reason."""
    until = time_json(future_time(expires)) if expires else ""
    adding = [{"address": one, "domain": domain, "reply": note, "expires_at": until} for one in addresses]
    answer = AdminClient(path).post("/suppressions", body={"suppressions": adding})
    show(answer["suppressions"], COLUMNS, as_json=as_json)


@suppression.command("remove")
@click.argument("addresses", nargs=-1, required=True)
@config_option
@_domain_option
@json_option
def remove_command(addresses: tuple[str, ...], path: Path, domain: str, as_json: bool) -> None:
    """Remove addresses from the list, with the count of their soft bounces. Exits with 1 if none was on it."""
    body = {"addresses": list(addresses), "domain": domain}
    removed = AdminClient(path).post("/suppressions/remove", body=body)["suppressions"]
    show(removed, COLUMNS, as_json=as_json)
    if not removed:
        sys.exit(1)


@suppression.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8-sig"))
@config_option
@json_option
def import_command(file: io.TextIOBase, path: Path, as_json: bool) -> None:
    """Add the addresses of a file to the list ("-" is standard input).

    The file is CSV with a column `address`, has one address per line, or JSON lines as from `export`.
    """
    import_entries(AdminClient(path), "suppressions", list(read_entries(file.read())), as_json=as_json)


@suppression.command("export")
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
    """Yield all matching suppressions, reading them page by page."""
    wanted = {key: value for key, value in query.items() if value} | {"limit": str(PAGE)}
    while True:
        page: list[dict[str, Any]] = client.get("/suppressions", wanted)["suppressions"]
        yield from page
        if len(page) < PAGE:
            return
        wanted["after"] = f"{page[-1]['address']}/{page[-1]['domain']}"
