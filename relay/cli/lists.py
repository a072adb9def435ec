"""What the commands of the lists of addresses share: files of addresses in and out."""

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
"""Addresses of one request."""


def rows_of(text: str) -> Iterator[dict[str, Any]]:
    """Yield the entries of a file: CSV with a column `address`, an address a line, or JSON lines.

    Exits naming the line that is none.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return
    if lines[0].lstrip().startswith("{"):
        for number, line in enumerate(lines, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                give_up(f"line {number} is not JSON: {error}", EX_DATAERR)
    elif "address" in next(csv.reader(lines[:1])):
        yield from csv.DictReader(io.StringIO(text))
    elif "@" in lines[0]:
        yield from ({"address": line.strip()} for line in lines)
    else:
        give_up("the first line must name the columns, `address` among them, or be an address itself", EX_DATAERR)


def send(client: AdminClient, name: str, rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Put the rows on that list, page by page, and say how many there were."""
    for start in range(0, len(rows), PAGE):
        client.post(f"/{name}", body={name: rows[start : start + PAGE]})
    click.echo(json.dumps({"imported": len(rows)}) if as_json else f"{len(rows)} imported")


def write_csv(rows: Iterable[dict[str, Any]], fields: Sequence[str]) -> None:
    """Write the rows to standard output, as `rows_of` reads them."""
    writer = csv.DictWriter(sys.stdout, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
