"""`relay suppression`: show and change the suppression list."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from relay.cli.address_list import AddressList, addresses_argument, export_command, import_options
from relay.cli.client import AdminClient
from relay.cli.common import config_option, future_time, json_option, show
from relay.reports.serialize import time_json

SUPPRESSIONS = AddressList(
    name="suppressions",
    fields=(
        "address",
        "domain",
        "reason",
        "rule",
        "reply",
        "queue_id",
        "created_at",
        "expires_at",
        "provenance",
        "proof",
        "state",
        "probation",
    ),
    keys=("address", "domain"),
    columns=(
        ("ADDRESS", "address"),
        ("FOR", "domain"),
        ("REASON", "reason"),
        ("SINCE", "created_at"),
        ("UNTIL", "expires_at"),
        ("STATE", "state"),
        ("TESTED BY", "probation"),
        ("VIA", "provenance"),
        ("REPLY", "reply"),
    ),
    after=lambda last: f"{last['address']}/{last['domain']}",
)

UNPROVEN = AddressList(
    name="unproven",
    fields=("address", "domain", "reason", "rule", "reply", "queue_id", "created_at", "provenance", "why", "times"),
    keys=("address", "domain"),
    columns=(
        ("ADDRESS", "address"),
        ("FOR", "domain"),
        ("REASON", "reason"),
        ("LAST", "created_at"),
        ("TIMES", "times"),
        ("VIA", "provenance"),
        ("WHY IT PROVES NOTHING", "why"),
    ),
    after=lambda last: f"{last['address']}/{last['domain']}",
    route="suppressions/unproven",
)

_REPLAYED = (
    ("ADDRESS", "address"),
    ("FOR", "domain"),
    ("REASON", "reason"),
    ("SINCE", "created_at"),
    ("STEP", "step"),
    ("ONLY FOR", "scope"),
    ("WHY", "why"),
)

_domain_option = click.option(
    "--domain", default="", help="Sending domain or identity for which it counts; default: all mail."
)


@click.group()
def suppression() -> None:
    """Show and change the suppression list. Unsubscribes have their own list."""


@suppression.command("list")
@config_option
@click.option("--address", default="", help="Only this address.")
@click.option("--domain", default="", help="Only entries for this sending domain.")
@click.option("--reason", default="", help="Only this reason: manual, complaint, or a category of bounces.")
@click.option("--unproven", is_flag=True, help="Unproven evidence, which suppresses no address.")
@json_option
def list_suppressions(path: Path, as_json: bool, unproven: bool, **query: str) -> None:
    """List suppressed addresses with the evidence (reason, rule, reply, message, time, how it came), end and state.

    State `probation`: the suppression ended, and one message at a time is sent, whose result lifts or renews it.
    """
    (UNPROVEN if unproven else SUPPRESSIONS).list(path, query, as_json=as_json)


@suppression.command("replay")
@config_option
@click.option("--lift", is_flag=True, help="Change the list; otherwise the changes are only shown.")
@json_option
def replay_suppressions(path: Path, lift: bool, as_json: bool) -> None:
    """Judge the list by today's rules, and show which suppressions they would lift or narrow, and why."""
    client = AdminClient(path)

    def pages() -> Iterator[dict[str, Any]]:
        after: str | None = ""
        while after is not None:
            place = {"after": after} if after else {}
            route = "/suppressions/replay"
            page = client.post(route, body=place) if lift else client.get(route, place)
            yield from page["replayed"]
            after = page["after"]

    show(pages(), _REPLAYED, as_json=as_json)


@suppression.command("add")
@addresses_argument
@config_option
@_domain_option
@click.option("--note", default="", help="Reason to show in the list.")
@click.option("--expires", default="", help="Time until it ends, such as 30d; default: never.")
@json_option
def add_suppressions(
    addresses: tuple[str, ...], path: Path, domain: str, note: str, expires: str, as_json: bool
) -> None:
    """Add addresses to the list. Mail to them is dropped with the reason."""
    until = time_json(future_time(expires)) if expires else ""
    rows = [{"address": one, "domain": domain, "reply": note, "expires_at": until} for one in addresses]
    SUPPRESSIONS.add(path, rows, as_json=as_json)


@suppression.command("remove")
@addresses_argument
@config_option
@_domain_option
@json_option
def remove_suppressions(addresses: tuple[str, ...], path: Path, domain: str, as_json: bool) -> None:
    """Remove addresses from the list, with the count of their soft bounces. Exits with 1 if none was on it."""
    SUPPRESSIONS.remove(path, addresses, {"domain": domain}, as_json=as_json)


@suppression.command("import")
@import_options
@config_option
@json_option
def import_suppressions(file: BinaryIO, path: Path, as_json: bool, dry_run: bool, partial: bool) -> None:
    """Add the addresses of a file to the list ("-" is standard input).

    The file is CSV with a column `address`, has one address per line, or JSON lines as from `export`. If a line has a
    fault, nothing is imported, and the exit code is 65.
    """
    defaults = {"provenance": "import"}
    SUPPRESSIONS.import_file(path, file, defaults, as_json=as_json, dry_run=dry_run, partial=partial)


suppression.add_command(export_command(SUPPRESSIONS))
