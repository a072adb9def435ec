"""Options, exit codes (all of sysexits in one place), tables, time parsing."""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from relay.clock import system_clock
from relay.config import Settings, check

EX_DATAERR = 65
"""Exit code (sysexits.h): the input is invalid."""


EX_NOINPUT = 66
"""Exit code (sysexits.h): the input cannot be read."""


EX_UNAVAILABLE = 69
"""Exit code (sysexits.h): no server answers."""


EX_TEMPFAIL = 75
"""Exit code (sysexits.h): it fails at the moment; try again later."""


EX_NOPERM = 77
"""Exit code (sysexits.h): the provider refuses the login."""


EX_CONFIG = 78
"""Exit code (sysexits.h): the configuration is invalid."""


_SPAN = re.compile(r"(\d{1,6})\s?([smhdw])")


_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def span(text: str) -> float | None:
    """Return the seconds of "90s", "12h", "30d" or "4w", None for anything else."""
    found = _SPAN.fullmatch(text.strip())
    return float(found[1]) * _SECONDS[found[2]] if found else None


def later(text: str) -> float:
    """Return the moment that far in the future, in Unix seconds."""
    seconds = span(text)
    if seconds is None:
        raise click.UsageError(f"{text!r} is no span of time; right would be 12h, 30d or 4w")
    return system_clock() + seconds


def moment(text: str) -> float:
    """Return the moment meant: that long ago ("30d"), or a date or time ("2030-01-31", "2030-01-31T12:00:00Z")."""
    seconds = span(text)
    if seconds is not None:
        return system_clock() - seconds
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{text!r} is no time; right would be 30d, 2030-01-31 or 2030-01-31T12:00:00Z") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


config_option = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    envvar="RELAY_CONFIG",
    default="/etc/relay/relay.toml",
    show_default=True,
    show_envvar=True,
    help="The configuration file.",
)
"""The option every command has that reads the configuration; the command gets a Path as `path`."""


def settings_or_exit(path: Path) -> Settings:
    """Return the settings; print every warning and fault to standard error, and exit with 78 when there are faults."""
    settings, faults, warnings = check(path, os.environ)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    for fault in faults:
        click.echo(str(fault), err=True)
    if settings is None:
        sys.exit(EX_CONFIG)
    return settings


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
