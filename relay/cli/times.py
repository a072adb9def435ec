"""Times as people give them to commands."""

import re
from datetime import UTC, datetime

import click

from relay.clock import system_clock

EX_DATAERR = 65
"""Exit code of input that is not what it should be (sysexits.h)."""

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
