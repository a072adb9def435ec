"""Plain tables for people; `--json` is for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON lines.")


def show(rows: Iterable[Mapping[str, object]], columns: Sequence[tuple[str, str]], *, as_json: bool) -> None:
    """Print the rows: as JSON lines, or the named columns (title, key) aligned, with a word when there are none."""
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
        return
    rows = list(rows)
    if not rows:
        click.echo("nothing")
        return
    cells = [[title for title, _ in columns], *([_text(row.get(key)) for _, key in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    for line in cells:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())


def printable(value: object, kept: str = "") -> str:
    """Return the value without control characters, but for those `kept`: what strangers wrote steers no terminal."""
    return "".join(char if char.isprintable() or char in kept else " " for char in str(value))


def _text(value: object) -> str:
    return "" if value is None else printable(value)
