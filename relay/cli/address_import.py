"""Imports address lists into the running server, all or nothing, and exports them."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from relay.cli.address_files import AddressFile, LineFault, Row
from relay.cli.client import AdminClient
from relay.cli.common import EX_DATAERR, printable
from relay.cli.output import use_utf_8
from relay.cli.progress import with_progress

PAGE = 1000
"""Addresses in one request, at most."""

_MAX_FAULTS = 20
"""Faults that are printed; the others are counted."""


@dataclass(frozen=True, slots=True)
class Import:
    """The import of a file into the list `name`, whose entries differ in `keys`. `defaults` are for missing fields."""

    client: AdminClient
    name: str
    keys: tuple[str, ...]
    file: AddressFile
    defaults: Mapping[str, Any]

    def run(self, known: Iterable[Mapping[str, Any]], *, as_json: bool, dry_run: bool, partial: bool) -> None:
        """Check all entries, then add them and print their number. A dry run compares them with the known ones."""
        rows = [self._with_defaults(row) for row in self.file.rows]
        entries, found = self._check(rows)
        faults = sorted((*self.file.faults, *found), key=lambda fault: fault.line)
        _print_faults(faults)

        if dry_run:
            self._print_counts(entries, known, faults, as_json=as_json)
        elif faults and not partial:
            click.echo(
                f"relay: nothing is imported: {len(faults)} of {self.file.lines} lines have faults; "
                "--partial imports the others",
                err=True,
            )
        else:
            faulty = {fault.line for fault in found}
            done = self._add([row for row in rows if row.line not in faulty])
            counts = {"lines": self.file.lines, "imported": done, "faults": len(faults)}
            click.echo(json.dumps(counts) if as_json else f"{done} imported ({self.file.lines} lines read)")
        if faults:
            sys.exit(EX_DATAERR)

    def _with_defaults(self, row: Row) -> Row:
        return Row(row.line, {**self.defaults, **{key: value for key, value in row.fields.items() if value}})

    def _check(self, rows: Sequence[Row]) -> tuple[list[dict[str, Any]], list[LineFault]]:
        """Let the server parse the rows; return their entries as it would add them, and the faults."""
        entries: list[dict[str, Any]] = []
        faults: list[LineFault] = []
        for page in with_progress(list(_pages(rows)), "checking"):
            answer = self.client.post(f"/{self.name}/check", body={self.name: [row.fields for row in page]})
            entries += answer[self.name]
            faults += (LineFault(page[one["entry"]].line, one["fault"]) for one in answer["faults"])
        return entries, faults

    def _add(self, rows: Sequence[Row]) -> int:
        """Add valid rows, page by page, and return their number. A failed page ends the command."""
        done = 0
        try:
            for page in with_progress(list(_pages(rows)), "importing"):
                self.client.post(f"/{self.name}", body={self.name: [row.fields for row in page]})
                done += len(page)
        except SystemExit:
            click.echo(f"relay: {done} of {len(rows)} are imported; import the file again for all of them", err=True)
            raise
        return done

    def _print_counts(
        self,
        entries: Sequence[Mapping[str, Any]],
        known: Iterable[Mapping[str, Any]],
        faults: Sequence[LineFault],
        *,
        as_json: bool,
    ) -> None:
        """Print what an import would do."""
        wanted = {self._key(one) for one in entries}
        listed = len(wanted & {self._key(one) for one in known})
        counts = {
            "lines": self.file.lines,
            "imported": 0,
            "faults": len(faults),
            "new": len(wanted) - listed,
            "listed": listed,
            "twice": len(entries) - len(wanted),
        }
        text = (
            f"{len(wanted)} would be imported ({self.file.lines} lines read): {counts['new']} new, "
            f"{listed} on the list already; {counts['twice']} are there twice, {len(faults)} have faults"
        )
        click.echo(json.dumps(counts) if as_json else text)

    def _key(self, entry: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(entry[key]) for key in self.keys)


def _pages(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    return (rows[start : start + PAGE] for start in range(0, len(rows), PAGE))


def _print_faults(faults: Sequence[LineFault]) -> None:
    for fault in faults[:_MAX_FAULTS]:
        click.echo(f"relay: {printable(fault)}", err=True)
    if len(faults) > _MAX_FAULTS:
        click.echo(f"relay: {len(faults) - _MAX_FAULTS} more lines have faults", err=True)


def write_csv(rows: Iterable[dict[str, Any]], fields: Sequence[str]) -> None:
    """Write the rows to standard output as CSV. A line end within a value is a space: an import refuses others."""
    use_utf_8()
    writer = csv.DictWriter(sys.stdout, fields, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: " ".join(one.splitlines()) if isinstance(one, str) else one for key, one in row.items()})
