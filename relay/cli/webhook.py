"""`relay webhook`: shows webhooks, tests, pauses and resumes them, posts events again, and makes their keys."""

import json
import secrets
import sys
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, past_time, printable, settings_or_exit, show
from relay.cli.webhook_listen import listen
from relay.webhooks.bodies import MODELS
from relay.webhooks.receiver_keys import receiver_keys
from relay.webhooks.schemas import schema_of
from relay.webhooks.signing import new_secret

LIST = (
    ("WEBHOOK", "name"),
    ("FORMAT", "format"),
    ("HOST", "host"),
    ("STATE", "state"),
    ("BEHIND", "behind"),
    ("WAITING", "waiting"),
    ("LAST ANSWER", "last"),
    ("STOPPED TYPES", "stopped"),
)

POSTS = (
    ("TIME", "at"),
    ("RESULT", "result"),
    ("STATUS", "status"),
    ("MS", "ms"),
    ("TYPE", "type"),
    ("RECIPIENT", "recipient"),
    ("QUEUE ID", "queue_id"),
    ("ANSWER", "answer"),
)

FAILURES = (*(column for column in POSTS if column[1] != "ms"), ("ATTEMPTS", "attempts"), ("NEXT", "next_at"))

ANSWERS = (("TYPE", "type"), ("STATUS", "status"), ("MS", "ms"), ("ANSWER", "answer"))

LONG_TIMEOUT = 300.0
"""Seconds that a test of all samples may take."""


@click.group()
def webhook() -> None:
    """Post events to other programs."""


@webhook.command("new")
@click.argument("name")
@click.option("--url", default="https://example.com/hook", help="URL of the receiver.")
def new_command(name: str, url: str) -> None:
    """Make a secret for the webhook NAME, and print it with the section for the configuration."""
    click.echo(f"Secret     {new_secret(secrets.token_bytes(32))}")
    click.echo(f"\nWrite it to {name}.webhook beside the configuration, and give it to the receiver. Then add:")
    click.echo(f'  [[webhook]]\n  name = "{name}"\n  url = "{url}"\n  secret_file = "{name}.webhook"')


@webhook.command("list")
@config_option
@json_option
def list_command(path: Path, as_json: bool) -> None:
    """List the webhooks: state, events behind, failures that wait, last answer, types that are stopped."""
    rows = AdminClient(path).get("/webhooks")["webhooks"]
    show(rows if as_json else [row | {"stopped": " ".join(row["stopped"])} for row in rows], LIST, as_json=as_json)


@webhook.command("show")
@click.argument("name")
@config_option
@json_option
def show_command(name: str, path: Path, as_json: bool) -> None:
    """Show one webhook: counts, times, and what its receiver refuses."""
    found = AdminClient(path).get(f"/webhooks/{name}")
    if as_json:
        click.echo(json.dumps(found))
        return
    for key, value in found.items():
        if key != "refused" and value not in (None, "", [], False):
            click.echo(f"{key:<14} {printable(value)}")
    for kind, one in found["refused"].items():
        state = f"stopped at {one['stopped_at']}" if one["stopped_at"] else f"refused {one['count']} times"
        click.echo(f"{kind:<14} {state}: {one['status']} {printable(one['answer'])}")


@webhook.command("test")
@click.argument("name")
@click.option("--event", "events", multiple=True, metavar="KIND", help="Kind of event (repeatable); default: each.")
@config_option
@json_option
def test_command(name: str, events: tuple[str, ...], path: Path, as_json: bool) -> None:
    """Post a sample of each kind of event to NAME, marked as a test. Exits with 1 if one is not accepted."""
    body = {"events": list(events)} if events else {}
    client = AdminClient(path)
    answers = client.post(f"/webhooks/{name}/test", body=body, seconds=LONG_TIMEOUT)["answers"]
    show(answers, ANSWERS, as_json=as_json)
    if not all(one["accepted"] for one in answers):
        if client.get(f"/webhooks/{name}")["format"] == "ses":
            click.echo("relay: receivers that verify the signature of SNS accept posts of Amazon only", err=True)
        sys.exit(1)


@webhook.command("pause")
@click.argument("name")
@config_option
def pause_command(name: str, path: Path) -> None:
    """Post nothing to NAME until it is resumed. Its events are kept for queue.retention."""
    paused = AdminClient(path).post(f"/webhooks/{name}/pause")["paused"]
    click.echo(f"{name} is paused" if paused else f"{name} was paused before")


@webhook.command("resume")
@click.argument("name")
@click.option("--from", "begin", type=click.Choice(["kept", "now"]), default="kept", show_default=True)
@config_option
def resume_command(name: str, begin: str, path: Path) -> None:
    """End the pause and the waits of NAME, and post the types that were stopped.

    It goes on with the events that are kept, or with new ones only.
    """
    AdminClient(path).post(f"/webhooks/{name}/resume", body={"from": begin})
    click.echo(f"{name} goes on with {'new events' if begin == 'now' else 'the events that are kept'}")


@webhook.command("replay")
@click.argument("name")
@click.option("--since", default="", help="Start of the period: 2h (ago), or a time.")
@click.option("--until", default="", help="End of the period: 1h (ago), or a time.")
@click.option("--queue-id", default="", help="Events of this message.")
@click.option("--failed", is_flag=True, help="Events whose post failed or was refused.")
@config_option
def replay_command(name: str, since: str, until: str, queue_id: str, failed: bool, path: Path) -> None:
    """Post events again, with the same ids: those of a period, of a message, or those that failed."""
    if sum(map(bool, (since, queue_id, failed))) != 1:
        raise click.UsageError("give one of --since, --queue-id and --failed")
    body: dict[str, Any] = {"failed": True} if failed else {"queue_id": queue_id} if queue_id else {}
    if since:
        body = {"since": past_time(since)} | ({"until": past_time(until)} if until else {})
    events = AdminClient(path).post(f"/webhooks/{name}/replay", body=body)["events"]
    click.echo(f"{events} events are looked at" if since else f"{events} events are posted again")


@webhook.command("log")
@click.argument("name")
@click.option("--failed", is_flag=True, help="Events that are not delivered: they wait, or were given up.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@config_option
@json_option
def log_command(name: str, failed: bool, limit: int, path: Path, as_json: bool) -> None:
    """List the last posts to NAME, newest first: of this process, at most 200. Failures are kept in the store."""
    query = {"limit": str(limit)} | ({"failed": "yes"} if failed else {})
    answer = AdminClient(path).get(f"/webhooks/{name}/log", query)
    show(answer["posts"], FAILURES if failed else POSTS, as_json=as_json)
    if answer["more"]:
        click.echo(f"relay: only the newest {limit} are shown, and there are more; --limit shows more", err=True)


@webhook.command("key")
@click.argument("name")
@config_option
def key_command(name: str, path: Path) -> None:
    """Print what the receiver of NAME needs to verify posts: the secret, or a public key."""
    settings = settings_or_exit(path)
    found = next((one for one in settings.webhooks if one.name == name), None)
    if found is None:
        raise click.UsageError(f'there is no [[webhook]] "{name}"')
    keys = receiver_keys(found, settings.server.hostname)
    for title, text in keys:
        click.echo(f"{title}  {text}")
    if not keys:
        click.echo("it has no secret: its posts are not signed")


@webhook.command("schema")
@click.argument("kind", metavar="TYPE", type=click.Choice(list(MODELS)))
def schema_command(kind: str) -> None:
    """Print the JSON Schema of the body of TYPE."""
    click.echo(json.dumps(schema_of(kind), indent=2))


webhook.add_command(listen)
