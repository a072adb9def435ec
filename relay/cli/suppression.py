"""`relay suppression`: the addresses that are sent nothing any more."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, later, show
from relay.cli.lists import PAGE, rows_of, send, write_csv
from relay.reports.serialize import time_form

FIELDS = ("address", "domain", "reason", "rule", "reply", "queue_id", "created_at", "expires_at")


COLUMNS = (
    ("ADDRESS", "address"),
    ("FOR", "domain"),
    ("REASON", "reason"),
    ("SINCE", "created_at"),
    ("UNTIL", "expires_at"),
    ("REPLY", "reply"),
)


_domain_option = click.option(
    "--domain", default="", help="Only for mail of this sending domain; without it for all mail."
)


@click.group()
def suppression() -> None:
    """Look at the suppression list and change it. Unsubscribes are another list."""


@suppression.command("list")
@config_option
@click.option("--address", default="", help="Only this address.")
@click.option("--domain", default="", help="Only what holds for this sending domain alone.")
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
@click.option("--note", default="", help="Why, for whoever looks at the list.")
@click.option("--expires", default="", help="For how long, such as 30d; without it for good.")
@json_option
def add_command(addresses: tuple[str, ...], path: Path, domain: str, note: str, expires: str, as_json: bool) -> None:
    """Put addresses on the list: the next message to them is dropped with the reason."""
    until = time_form(later(expires)) if expires else ""
    adding = [{"address": one, "domain": domain, "reply": note, "expires_at": until} for one in addresses]
    answer = AdminClient(path).post("/suppressions", body={"suppressions": adding})
    show(answer["suppressions"], COLUMNS, as_json=as_json)


@suppression.command("remove")
@click.argument("addresses", nargs=-1, required=True)
@config_option
@_domain_option
@json_option
def remove_command(addresses: tuple[str, ...], path: Path, domain: str, as_json: bool) -> None:
    """Take addresses off the list, with the soft bounces counted against them. Exits with 1 when none was on it."""
    body = {"addresses": list(addresses), "domain": domain}
    taken = AdminClient(path).post("/suppressions/remove", body=body)["suppressions"]
    show(taken, COLUMNS, as_json=as_json)
    if not taken:
        sys.exit(1)


@suppression.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8-sig"))
@config_option
@json_option
def import_command(file: io.TextIOBase, path: Path, as_json: bool) -> None:
    """Put the addresses of a file on the list ("-" is standard input).

    CSV with a header that has a column `address`, one address a line, or JSON lines, as `export` writes them.
    """
    send(AdminClient(path), "suppressions", list(rows_of(file.read())), as_json=as_json)


@suppression.command("export")
@config_option
@json_option
def export_command(path: Path, as_json: bool) -> None:
    """Write the whole list, as CSV unless --json is given."""
    found = _pages(AdminClient(path), {})
    if as_json:
        show(found, COLUMNS, as_json=True)
    else:
        write_csv(found, FIELDS)


def _pages(client: AdminClient, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield all suppressions that match, page by page."""
    wanted = {key: value for key, value in query.items() if value} | {"limit": str(PAGE)}
    while True:
        page: list[dict[str, Any]] = client.get("/suppressions", wanted)["suppressions"]
        yield from page
        if len(page) < PAGE:
            return
        wanted["after"] = f"{page[-1]['address']}/{page[-1]['domain']}"
