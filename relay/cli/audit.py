"""`relay audit`: compares what was accepted with what the store has."""

import asyncio
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from relay.cli.common import EX_UNAVAILABLE, config_option, json_option, printable, settings_or_exit, show
from relay.clock import system_clock
from relay.config import Settings
from relay.events.ports import StoreError
from relay.reports.run_audit import run_audit
from relay.reports.store_audit import ACCEPTED, STATES, Leak, StoreAudit
from relay.storage.open import open_audit

COLUMNS = (
    ("DAY", "day"),
    ("IDENTITY", "identity"),
    *((name.upper(), name) for name in (ACCEPTED, *STATES)),
    ("DIFFERENCE", "difference"),
)


@click.command()
@config_option
@json_option
def audit(path: Path, as_json: bool) -> None:
    """Compare the recipients that were accepted with their entries and events, by day and identity.

    Reads the store itself, in short steps; the server may be running. Exits with 1 if there is a leak.
    """
    settings = settings_or_exit(path)
    try:
        found = asyncio.run(_audit(settings))
    except StoreError as error:
        click.echo(f"relay: {error}", err=True)
        sys.exit(EX_UNAVAILABLE)

    if as_json:
        for row in _rows(found):
            click.echo(json.dumps(row))
        for leak in sorted(found.leaks):
            click.echo(json.dumps(leak_json(leak)))
        if unnamed := _unnamed(found):
            click.echo(json.dumps({"more_leaks": unnamed}))
    else:
        _print(found)
    if not found.is_balanced:
        sys.exit(1)


async def _audit(settings: Settings) -> StoreAudit:
    async def rest() -> None:
        await asyncio.sleep(0)

    async with open_audit(settings) as store:
        return await run_audit(store, system_clock() - settings.queue.retention, rest)


def _rows(found: StoreAudit) -> Iterable[Mapping[str, object]]:
    for (day, identity), counts in sorted(found.rows.items()):
        numbers = {name: counts[name] for name in (ACCEPTED, *STATES)}
        yield {"day": day, "identity": identity, **numbers, "difference": found.difference(counts)}


def _unnamed(found: StoreAudit) -> int:
    """Return the number of leaks that are counted only."""
    return found.leak_count - len(found.leaks)


def leak_json(leak: Leak) -> dict[str, object]:
    """Return a leak as JSON; `number` is null for a fault of the whole message."""
    number = leak.number if leak.number >= 0 else None
    return {
        "leak": leak.fault,
        "queue_id": leak.queue_id,
        "number": number,
        "day": leak.day,
        "identity": leak.identity,
    }


def _print(found: StoreAudit) -> None:
    show(_rows(found), COLUMNS, as_json=False)
    for leak in sorted(found.leaks):
        which = f"{leak.queue_id}/{leak.number}" if leak.number >= 0 else leak.queue_id
        click.echo(f"leak: {leak.day} {printable(which)}: {printable(leak.fault)}")
    if unnamed := _unnamed(found):
        click.echo(f"and {unnamed} more leaks")
    total = found.total()
    states = " + ".join(f"{total[state]} {state}" for state in STATES)
    sign = "=" if not found.difference(total) else "≠"
    click.echo(f"{total[ACCEPTED]} accepted {sign} {states}")
    click.echo("no leaks" if found.is_balanced else f"{found.leak_count} leaks")
