"""`relay suppression` and `relay unsubscribe`: show and change the address lists."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click

from relay.cli.address_files import read_address_file
from relay.cli.address_import import PAGE, Import, write_csv
from relay.cli.client import AdminClient
from relay.cli.common import config_option, future_time, json_option, show
from relay.reports.serialize import time_json
from relay.suppression.unsubscribes import SOURCES

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AddressList:
    """One of the lists, as the admin API of the configuration at a path keeps it."""

    name: str
    """Name of the route, and of the entries in its JSON."""
    fields: tuple[str, ...]
    """Columns of the CSV export."""
    keys: tuple[str, ...]
    """Fields that two entries do not share."""
    columns: tuple[tuple[str, str], ...]
    """Headings and fields of the table."""
    after: Callable[[Row], str | list[str]]
    """The parameter `after` of the page behind an entry."""
    route: str = ""
    """Path of the route, "" for the name."""

    def list(self, path: Path, query: Mapping[str, str], *, as_json: bool) -> None:
        """Show the entries that match."""
        show(self._pages(path, query), self.columns, as_json=as_json)

    def add(self, path: Path, rows: Sequence[Row], *, as_json: bool) -> None:
        """Add entries and show them."""
        answer = AdminClient(path).post(f"/{self.name}", body={self.name: rows})
        show(answer[self.name], self.columns, as_json=as_json)

    def remove(self, path: Path, addresses: Sequence[str], scope: Row, *, as_json: bool) -> None:
        """Remove addresses and show their entries. Exit with 1 if none was on the list."""
        body = {"addresses": list(addresses), **scope}
        removed = AdminClient(path).post(f"/{self.name}/remove", body=body)[self.name]
        show(removed, self.columns, as_json=as_json)
        if not removed:
            sys.exit(1)

    def import_file(
        self, path: Path, file: BinaryIO, defaults: Row, *, as_json: bool, dry_run: bool, partial: bool
    ) -> None:
        """Add the entries of a file: all of them, or with faults none; print their number. Exit with 65 for faults.

        With `partial` the valid entries are added beside faults. With `dry_run` none is added.
        """
        imported = Import(
            AdminClient(path), self.name, self.keys, read_address_file(file.read(), self.fields), defaults
        )
        known = self._pages(path, {}) if dry_run else ()
        imported.run(known, as_json=as_json, dry_run=dry_run, partial=partial)

    def export(self, path: Path, *, as_json: bool) -> None:
        """Write the whole list as CSV, or as JSON lines."""
        found = self._pages(path, {})
        if as_json:
            show(found, self.columns, as_json=True)
            return
        write_csv(found, self.fields)

    def _pages(self, path: Path, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Yield all matching entries, reading them page by page."""
        client = AdminClient(path)
        wanted: dict[str, Any] = {key: value for key, value in query.items() if value} | {"limit": str(PAGE)}
        while True:
            page: Sequence[dict[str, Any]] = client.get(f"/{self.route or self.name}", wanted)[self.name]
            yield from page
            if len(page) < PAGE:
                return
            wanted["after"] = self.after(page[-1])


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

_addresses_argument = click.argument("addresses", nargs=-1, required=True)


def _import_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the file, and the options of an import."""
    for option in (
        click.argument("file", type=click.File("rb")),
        click.option("--dry-run", is_flag=True, help="Import nothing: check the file and count its entries."),
        click.option("--partial", is_flag=True, help="Import the valid entries if others have faults."),
    ):
        command = option(command)
    return command


_suppression_domain = click.option(
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
@_addresses_argument
@config_option
@_suppression_domain
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
@_addresses_argument
@config_option
@_suppression_domain
@json_option
def remove_suppressions(addresses: tuple[str, ...], path: Path, domain: str, as_json: bool) -> None:
    """Remove addresses from the list, with the count of their soft bounces. Exits with 1 if none was on it."""
    SUPPRESSIONS.remove(path, addresses, {"domain": domain}, as_json=as_json)


@suppression.command("import")
@_import_options
@config_option
@json_option
def import_suppressions(file: BinaryIO, path: Path, as_json: bool, dry_run: bool, partial: bool) -> None:
    """Add the addresses of a file to the list ("-" is standard input).

    The file is CSV with a column `address`, has one address per line, or JSON lines as from `export`. If a line has a
    fault, nothing is imported, and the exit code is 65.
    """
    defaults = {"provenance": "import"}
    SUPPRESSIONS.import_file(path, file, defaults, as_json=as_json, dry_run=dry_run, partial=partial)


@suppression.command("export")
@config_option
@json_option
def export_suppressions(path: Path, as_json: bool) -> None:
    """Write the whole list as CSV or, with --json, as JSON lines."""
    SUPPRESSIONS.export(path, as_json=as_json)


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
@_addresses_argument
@config_option
@click.option("--domain", default="", help="Sending domain; default: all.")
@click.option("--campaign", default="", help="Campaign; default: all campaign mail.")
@json_option
def add_unsubscribes(addresses: tuple[str, ...], path: Path, domain: str, campaign: str, as_json: bool) -> None:
    """Add addresses to the list. Campaign mail to them is dropped with the reason."""
    rows = [{"address": one, "domain": domain, "campaign": campaign} for one in addresses]
    UNSUBSCRIBES.add(path, rows, as_json=as_json)


@unsubscribe.command("remove")
@_addresses_argument
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
@_import_options
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


@unsubscribe.command("export")
@config_option
@json_option
def export_unsubscribes(path: Path, as_json: bool) -> None:
    """Write the whole list as CSV or, with --json, as JSON lines."""
    UNSUBSCRIBES.export(path, as_json=as_json)
