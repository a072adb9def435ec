"""Import and export of address lists, for `relay suppression` and `relay unsubscribe`."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from relay.cli.client import AdminClient, give_up
from relay.cli.common import EX_DATAERR

PAGE = 1000
"""Addresses in one request, at most."""


def read_entries(text: str) -> Iterator[dict[str, Any]]:
    """Yield the entries of a file: CSV with a column `address`, one address per line, or JSON lines.

    Exits with an error that names the invalid line.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return
    if lines[0].lstrip().startswith("{"):
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                give_up(f"line {number} is not JSON: {error}", EX_DATAERR)
            if not isinstance(row, dict):
                give_up(f"line {number} is not a JSON object with an address", EX_DATAERR)
            yield row
    elif "address" in next(csv.reader(lines[:1])):
        yield from csv.DictReader(io.StringIO(text))
    elif "@" in lines[0]:
        yield from ({"address": line.strip()} for line in lines)
    else:
        give_up("the first line must be an address, or name the columns, with `address` among them", EX_DATAERR)


def import_entries(client: AdminClient, name: str, rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Add the rows to a list, page by page, and print their number."""
    for start in range(0, len(rows), PAGE):
        client.post(f"/{name}", body={name: rows[start : start + PAGE]})
    click.echo(json.dumps({"imported": len(rows)}) if as_json else f"{len(rows)} imported")


def write_csv(rows: Iterable[dict[str, Any]], fields: Sequence[str]) -> None:
    """Write the rows to standard output as CSV."""
    writer = csv.DictWriter(sys.stdout, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
