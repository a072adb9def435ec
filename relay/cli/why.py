"""`relay why`: what decides when mail leaves, and what an operator can do."""

import json
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, printable
from relay.cli.site import change_text

_SHOWN = 20
"""Entries shown in detail, at most."""


@click.command("why")
@click.argument("target", metavar="QUEUE-ID|ADDRESS|DOMAIN|SITE|provider:NAME")
@config_option
@json_option
def why(target: str, path: Path, as_json: bool) -> None:
    """Explain why mail waits: a message, one recipient of it (ID/NUMBER), an address, a domain, a site, a provider."""
    found: dict[str, Any] = AdminClient(path).get(f"/why/{target}")
    if as_json:
        click.echo(json.dumps(found))
        return

    for one in found["servers"]:
        servers = ", ".join(map(printable, one["endpoints"])) or f"none: {printable(one['problem'])}"
        click.echo(f"servers of {printable(one['lane'])}  {servers}")
    for site in found["sites"]:
        click.echo(_site_line(site))
        for change in reversed(site["changes"]):
            click.echo(f"  {change_text(change)}")
    if not found["entries"]:
        click.echo(f"nothing waits for {found['kind']} {printable(target)}")
    for entry in found["entries"][:_SHOWN]:
        _show_entry(entry)
    more = len(found["entries"]) - _SHOWN
    if more > 0 or found["more"]:
        counted = ", ".join(f"{count} by {cause}" for cause, count in found["causes"].items())
        end = " and more" if found["more"] else ""
        click.echo(f"… {max(more, 0)} further entries{end}; of all {len(found['entries'])}: {counted}")


def _show_entry(entry: dict[str, Any]) -> None:
    """Print an entry: its state, each reason, and each remedy."""
    leaves = f", leaves at {entry['leaves_at']} at the earliest" if entry["leaves_at"] else ""
    click.echo(f"{entry['queue_id']}/{entry['number']}  <{printable(entry['recipient'])}>  {entry['state']}{leaves}")
    if not entry["reasons"]:
        click.echo("  it is due: the next claim takes it")
    for reason in entry["reasons"]:
        until = f" (until {reason['until']})" if reason["until"] else ""
        click.echo(f"  {reason['cause']}: {printable(reason['text'])}{until}")
        if reason["remedy"]:
            click.echo(f"      → {printable(reason['remedy'])}")


def _site_line(site: dict[str, Any]) -> str:
    rate = "no limit of the rate" if site["rate"] is None else f"{site['rate']:g} messages a minute"
    why = f": {printable(site['why'])}" if site["why"] else ""
    return f"site {printable(site['site'])}  {site['state']}, {site['connections']} connections, {rate}{why}"
