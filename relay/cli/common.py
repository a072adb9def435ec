"""Parts that all commands share: exit codes, the configuration, times, and output."""

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


class CannotCreateError(click.ClickException):
    """A file cannot be created (EX_CANTCREAT of sysexits.h)."""

    exit_code = 73


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
"""Option of all commands that read the configuration. They get a Path as `path`."""

json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON lines.")


def settings_or_exit(path: Path, *, warn: bool = True) -> Settings:
    """Return the settings and print warnings (`warn`); print errors and exit with 78 if there are any."""
    settings, faults, warnings = check(path, os.environ)
    for warning in warnings if warn else ():
        click.echo(f"warning: {warning}", err=True)
    for fault in faults:
        click.echo(str(fault), err=True)
    if settings is None:
        sys.exit(EX_CONFIG)
    return settings


_PERIOD = re.compile(r"(\d{1,6})\s?([smhdw])")

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def parse_period(text: str) -> float | None:
    """Return the seconds of "90s", "12h", "30d" or "4w", None for anything else."""
    found = _PERIOD.fullmatch(text.strip())
    return float(found[1]) * _SECONDS[found[2]] if found else None


def future_time(text: str) -> float:
    """Return the Unix time after a period such as "30d"."""
    seconds = parse_period(text)
    if seconds is None:
        raise click.UsageError(f"{text!r} is not a period; use 12h, 30d or 4w")
    return system_clock() + seconds


def past_time(text: str) -> float:
    """Return the Unix time of "2030-01-31", "2030-01-31T12:00:00Z", or of a period before now such as "30d"."""
    seconds = parse_period(text)
    if seconds is not None:
        return system_clock() - seconds
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{text!r} is not a time; use 30d, 2030-01-31 or 2030-01-31T12:00:00Z") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def show(rows: Iterable[Mapping[str, object]], columns: Sequence[tuple[str, str]], *, as_json: bool) -> None:
    """Print the rows as JSON lines, or as a table of the columns (title, key); "nothing" for no rows."""
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
    """Return the value without control characters other than `kept`: received text must not control a terminal.

    White space becomes a space, every other control character U+FFFD.
    """
    return "".join(char if char.isprintable() or char in kept else _replacement(char) for char in str(value))


def _replacement(char: str) -> str:
    return " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"


def _text(value: object) -> str:
    return "" if value is None else printable(value)
