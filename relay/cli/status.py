"""`relay trace`, `relay status` and `relay nodes`: the state of messages, server and nodes."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, printable, show
from relay.cli.listings import Listing
from relay.config.certificates import WARNING_DAYS

MAX_TIMELINES = 100
"""Timelines that `relay trace` shows without --all."""

_COMMON = {"at", "event", "queue_id", "recipient"}

_FAILED = {"bounced", "deferred", "dropped", "held"}

_SHOWN_ABOVE = {"reverse_path", "message_id", "identity", "domain", "size", "client", "lane"}


@click.command()
@click.argument("key")
@click.option("--after", default="", help="Begin after this event: the place that the page before names.")
@config_option
@click.option("--all", "everything", is_flag=True, help=f"All, not only the newest {MAX_TIMELINES}.")
@json_option
def trace(key: str, after: str, path: Path, everything: bool, as_json: bool) -> None:
    """Show the timelines of messages, by queue id, Message-ID or recipient. Exits with 1 if there are none.

    A timeline of more than 1000 events comes in pages.
    """
    query = {"after": after} if after else {}
    most = None if everything else MAX_TIMELINES
    stories = Listing(f"/trace/{key}", "stories").rows(AdminClient(path), query, most)
    if not show_stories(stories, as_json=as_json):
        click.echo(f"relay: no message found for {key}", err=True)
        sys.exit(1)


@click.command()
@config_option
@json_option
def status(path: Path, as_json: bool) -> None:
    """Show version, health and queue depth of the running server. Exits with 1 if it is not healthy."""
    state: dict[str, Any] = AdminClient(path).get("/status")
    if as_json:
        click.echo(json.dumps(state))
    else:
        for key, value in state.items():
            if text := _STATUS_TEXTS.get(key, _joined)(value):
                click.echo(f"{key.replace('_', ' '):<14} {text}")
    if not state.get("healthy"):
        sys.exit(1)


def _depth_text(depth: Mapping[str, int] | None) -> str:
    return "not known" if depth is None else _joined(depth)


def _joined(value: Any) -> str:
    return ", ".join(f"{key} {one}" for key, one in value.items()) or "empty" if isinstance(value, dict) else str(value)


def _configuration_text(file: Mapping[str, Any]) -> str:
    match file["state"]:
        case "changed":
            changed = ", ".join(file["changed"])
            return f"configuration changed since it was read: reload ({changed})"
        case "faulty":
            return "configuration changed since it was read, and has faults: see `relay config check`"
    return "as in the file"


def _certificates_text(certificates: Sequence[Mapping[str, Any]]) -> str:
    """Return the certificates that expire soon."""
    return ", ".join(
        f"{one['listener']} " + (f"expires in {one['days_left']} days" if one["days_left"] >= 0 else "has expired")
        for one in certificates
        if one["days_left"] < WARNING_DAYS
    )


def _spool_text(spool: Mapping[str, Any]) -> str:
    """Return what waits in the spool; an age of minutes means that the store does not take it."""
    return f"{spool['files']} files of events wait, the oldest for {spool['age']:.0f} seconds" if spool["files"] else ""


_STATUS_TEXTS: Mapping[str, Callable[[Any], str]] = {
    "queue": _depth_text,
    "configuration": _configuration_text,
    "restart_needed": ", ".join,
    "certificates": _certificates_text,
    "spool": _spool_text,
    "damaged": lambda count: f"{count} entries are held: see `relay queue list --state held`" if count else "",
    "paused": lambda subjects: ", ".join(map(printable, subjects)),
}
"""Texts of the values of the status that are not plain; an empty one is not shown."""


def show_stories(stories: Iterable[dict[str, Any]], *, as_json: bool) -> bool:
    """Print timelines, as JSON lines or as text; return whether there were any."""
    any_shown = False
    for story in stories:
        any_shown = True
        if as_json:
            click.echo(json.dumps(story))
        else:
            show_story(story)
            click.echo()
    return any_shown


def show_story(story: dict[str, Any]) -> None:
    """Print a message, its recipients and its timeline."""
    click.echo(f"{story['queue_id']}  {printable(story['subject']) or '(no subject)'}")
    click.echo(f"  from <{printable(story['reverse_path'])}>  message-id {printable(story['message_id'])}")

    extra = [f"{key} {printable(story[key])}" for key in ("identity", "domain", "provider", "campaign") if story[key]]
    extra += [f"tag {printable(tag)}" for tag in story["tags"]]
    extra += [f"{printable(key)}={printable(value)}" for key, value in story["metadata"].items()]
    click.echo("  " + "  ".join(extra))

    for entry in story["recipients"]:
        due = f", next attempt {entry['next_attempt_at']}" if entry["next_attempt_at"] else ""
        preposition = "copy to" if entry.get("copy") else "to"
        why = printable(entry["reason"] or entry["reply"]) if entry["status"] in _FAILED else ""
        click.echo(f"  {preposition} <{printable(entry['recipient'])}>: {entry['status']}{due}{why and f': {why}'}")

    for event in story["events"]:
        known = _COMMON | _SHOWN_ABOVE if event["event"] == "created" else _COMMON
        details = "  ".join(
            f"{key}={printable(value)}" for key, value in event.items() if key not in known and value != ""
        )
        click.echo(f"    {event['at']}  {event['event']:<11} {printable(event['recipient'])}  {details}".rstrip())

    if story.get("next_events"):
        click.echo(f"    more events: relay trace {story['queue_id']} --after {story['next_events']}")


COLUMNS = (
    ("HOST", "hostname"),
    ("VERSION", "version"),
    ("STATE", "state"),
    ("STARTED", "started_at"),
    ("LAST HEARD OF", "heartbeat_at"),
    ("UNDER WAY", "entries"),
    ("CLOCK AHEAD", "clock_ahead"),
    ("NODE", "id"),
)


@click.command()
@config_option
@json_option
def nodes(path: Path, as_json: bool) -> None:
    """List the nodes that share the PostgreSQL database: version, state, and entries in flight.

    The entries of a node without heartbeats return to the queue after at most 15 seconds. A node whose clock is more
    than 30 seconds ahead of the database (or behind: negative) takes no part in deliveries while another is right.
    """
    found = AdminClient(path).get("/nodes")["nodes"]
    if not found and not as_json:
        click.echo("this relay is the only node: the store is SQLite")
        return
    show(found, COLUMNS, as_json=as_json)
