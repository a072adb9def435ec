"""`relay top`: the queue, the sites and what happens, renewed until Ctrl-C."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, printable

_ROWS = 15
"""Sites of a screen, at most."""

_CLEAR = "\x1b[2J\x1b[H"


@click.command()
@config_option
@click.option("--interval", default=1.0, show_default=True, type=click.FloatRange(0.1, 3600), help="Seconds.")
@click.option("--count", default=0, type=click.IntRange(0), help="End after so many screens. 0: run until Ctrl-C.")
@json_option
def top(path: Path, interval: float, count: int, as_json: bool) -> None:
    """Show the queue, what is paused, the busiest sites, and what happened since the last screen.

    Without a terminal the screens follow one another.
    """
    try:
        for shown, screen in enumerate(_screens(AdminClient(path)), 1):
            click.echo(json.dumps(screen) if as_json else drawn(screen, clear=sys.stdout.isatty()))
            if shown == count:
                return
            time.sleep(interval)
    except KeyboardInterrupt:
        click.echo()


def _screens(client: AdminClient) -> Iterator[dict[str, Any]]:
    """Yield what the server says, again and again. The first screen has no events."""
    after = client.get("/events", {"after": "now", "limit": "1"})["next"]
    happened: Counter[str] = Counter()
    while True:
        status = client.get("/status")
        kept = {key: status[key] for key in ("version", "healthy", "queue", "paused")}
        yield {**kept, "events": dict(sorted(happened.items())), "sites": client.get("/sites")["sites"][:_ROWS]}
        happened.clear()
        more = True
        while more:
            page = client.get("/events", {"after": after, "limit": "1000"})
            happened.update(str(one["type"]).removeprefix("message.") for one in page["events"])
            after, more = page["next"], page["more"]


def drawn(screen: Mapping[str, Any], *, clear: bool) -> str:
    """Return a screen as text."""
    queue = screen["queue"]
    lines = [
        f"relay {screen['version']}, {'healthy' if screen['healthy'] else 'NOT HEALTHY'}",
        f"queue   {_counts(queue) if queue is not None else 'the store does not answer'}",
        f"events  {_counts(screen['events'])}",
        f"paused  {', '.join(map(printable, screen['paused'])) or 'nothing'}",
        *_table(screen["sites"]),
    ]
    return (_CLEAR if clear else "") + "\n".join(lines)


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{printable(name)} {count}" for name, count in found.items()) or "nothing"


def _table(sites: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if sites:
        yield f"\n{'SITE':40} {'WAITING':>8}  STATE"
    for one in sites:
        yield f"{printable(one['site'])[:40]:40} {one['waiting']:>8}  {printable(one['state'])}"
