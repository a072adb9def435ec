"""What the commands of the address lists share: the requests to the admin API, tables, and files."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click

from relay.cli.address_files import read_address_file
from relay.cli.address_import import PAGE, Import, write_csv
from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, show
from relay.cli.progress import with_progress

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
            show(with_progress(found, "exporting"), self.columns, as_json=True)
            return
        write_csv(with_progress(found, "exporting"), self.fields)

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


def export_command(of: AddressList) -> click.Command:
    """Return the command `export` of a list."""

    @click.command("export")
    @config_option
    @json_option
    def export(path: Path, as_json: bool) -> None:
        """Write the whole list as CSV or, with --json, as JSON lines."""
        of.export(path, as_json=as_json)

    return export


addresses_argument = click.argument("addresses", nargs=-1, required=True)


def import_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the file, and the options of an import."""
    for option in (
        click.argument("file", type=click.File("rb")),
        click.option("--dry-run", is_flag=True, help="Import nothing: check the file and count its entries."),
        click.option("--partial", is_flag=True, help="Import the valid entries if others have faults."),
    ):
        command = option(command)
    return command
