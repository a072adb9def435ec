"""`relay events tail`: the feed on a terminal, or as JSON lines for other programs."""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import config_option, past_time, printable

POLL = 1.0
"""Seconds between two requests while nothing is new."""

PAGE = "500"
"""Events of one request."""


@click.group()
def events() -> None:
    """Show the events of messages in the order of the feed."""


@events.command("tail")
@click.option("-f", "--follow", is_flag=True, help="Go on with new events until Ctrl-C.")
@click.option("--since", default="", help="Start: 2h (ago), or a time; default: 1h, with -f now.")
@click.option("--after", default="", metavar="POSITION", help="Start after this position.")
@click.option("--kinds", default="", help="Kinds of events, such as delivered,bounced.")
@click.option("--domain", multiple=True, help="Sending domain (repeatable).")
@click.option("--identity", multiple=True, help="Identity (repeatable).")
@click.option("--campaign", multiple=True, help="Campaign (repeatable).")
@click.option("--tag", multiple=True, help="Tag (repeatable).")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Write JSON lines: the bodies of webhooks.")
def tail(path: Path, follow: bool, since: str, after: str, as_json: bool, **filters: Any) -> None:
    """Print events, oldest first; with -f also those that come."""
    query = {key: value for key, value in filters.items() if value} | {"limit": PAGE}
    if after or (follow and not since):
        query["after"] = after or "now"
    else:
        at = datetime.fromtimestamp(past_time(since or "1h"), UTC)
        query["since"] = at.isoformat().replace("+00:00", "Z")
    try:
        for event in _events(AdminClient(path), query, follow=follow):
            click.echo(json.dumps(event, ensure_ascii=False) if as_json else _line(event))
    except KeyboardInterrupt:
        return


def _events(client: AdminClient, query: dict[str, Any], *, follow: bool) -> Iterator[Mapping[str, Any]]:
    """Yield events page by page; with `follow` for ever."""
    while True:
        page = client.get("/events", query)
        yield from page["events"]
        query["after"] = page["next"]
        if not page["more"]:
            if not follow:
                return
            time.sleep(POLL)


def _line(event: Mapping[str, Any]) -> str:
    data = event["data"]
    reply = data.get("reply") or {}
    answer = f"{reply.get('code') or ''} {reply.get('status', '')} {reply.get('text', '')}".strip()
    about = data.get("url") or data.get("reason") or answer or data.get("reply_subject") or ""
    machine = data.get("machine") or {}
    note = f"({machine['verdict']})" if machine else ""
    kind = event["type"].removeprefix("message.")
    columns = (event["timestamp"], f"{kind:<11}", data["queue_id"], data["recipient"], note, about)
    return "  ".join(printable(one) for one in columns if one)
