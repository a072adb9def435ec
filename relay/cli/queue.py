"""`relay queue`: shows and changes the queue."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, printable, show
from relay.cli.listings import MAX_ROWS, Listing
from relay.cli.mailq import postqueue_members, shape
from relay.cli.status import show_story

COLUMNS = (
    ("QUEUE ID", "queue_id"),
    ("STATUS", "status"),
    ("RECIPIENT", "recipient"),
    ("FROM", "reverse_path"),
    ("TRIES", "attempts"),
    ("NEXT", "next_attempt_at"),
    ("WHY", "why"),
)

_FILTERS = ("recipient", "lane", "domain", "identity")


@click.group()
def queue() -> None:
    """Show and change the queue."""


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    for name in reversed(_FILTERS):
        command = click.option(f"--{name}", default="", help=f"Only entries with this {name}.")(command)
    return command


def _query(ids: tuple[str, ...], filters: dict[str, str]) -> list[dict[str, str]]:
    """Return one query for each queue id, or a single one without."""
    chosen = {key: value for key, value in filters.items() if value}
    return [{**chosen, "queue_id": one} for one in ids] or [chosen]


@queue.command("list")
@config_option
@_filters
@click.option(
    "--state", default="", help="Only entries in these states (waiting,held,active,delivered,bounced,dropped)."
)
@click.option("--limit", default=MAX_ROWS, show_default=True, type=click.IntRange(1), help="Entries, at most.")
@click.option("--all", "everything", is_flag=True, help="All entries.")
@json_option
def list_command(path: Path, state: str, limit: int, everything: bool, as_json: bool, **filters: str) -> None:
    """List entries that are not final, with the time of their next attempt or release.

    JSON has the members of `postqueue -j` too, with one recipient in each line.
    """
    query = {**_query((), filters)[0], "limit": str(MAX_ROWS if everything else min(limit, MAX_ROWS))} | (
        {"state": state} if state else {}
    )
    entries = Listing("/queue", "entries", "after", "first").rows(
        AdminClient(path), query, None if everything else limit
    )
    more = postqueue_members if as_json else _nothing_more
    show(({**entry, "why": _why(entry), **more(entry)} for entry in entries), COLUMNS, as_json=as_json)


def _nothing_more(_: Mapping[str, Any]) -> dict[str, object]:
    return {}


queue.add_command(shape)


@queue.command("show")
@click.argument("queue_id")
@config_option
@click.option("--sent", is_flag=True, help="The mail as it would have left: of simulated and sandbox mail.")
@json_option
def show_command(queue_id: str, path: Path, sent: bool, as_json: bool) -> None:
    """Show one message: recipients, events, and its header as received from the application.

    --sent shows what a server would have got, once for each content. JSON has it in base64.
    """
    if sent:
        show_sent(list(_sent_copies(AdminClient(path), queue_id)), as_json=as_json)
        return
    message = AdminClient(path).get(f"/queue/{queue_id.upper()}")
    if as_json:
        click.echo(json.dumps(message))
        return
    show_story(message)
    if message["header"] is not None:
        click.echo("\n" + printable(message["header"].replace("\r\n", "\n"), kept="\n\t"))


def _sent_copies(client: AdminClient, queue_id: str) -> Iterator[Mapping[str, Any]]:
    """Yield the copies of a message, page by page."""
    after: str | None = ""
    while after is not None:
        page = client.get(f"/queue/{queue_id.upper()}/sent", {"after": after} if after else {})
        yield from page["copies"]
        after = page.get("next")


def show_sent(copies: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print the copies of a message. The content is for people: control characters are replaced."""
    if not copies and not as_json:
        click.echo("nothing: the message is not simulated, or was not tried yet")
    for one in copies:
        if as_json:
            click.echo(json.dumps(one))
            continue
        whom = "all recipients" if one["number"] is None else f"recipient {one['number']}"
        click.echo(f"For {whom}, at {one['at']}, from <{printable(one['reverse_path'])}>:\n")
        text = b64decode(one["content"]).decode("utf-8", "replace").replace("\r\n", "\n")
        click.echo(printable(text, kept="\n\t"))


def _change_command(name: str, done: str, doc: str) -> click.Command:
    """Return a command that changes entries; `done` is the past participle for its output."""

    @click.argument("queue_ids", nargs=-1)
    @config_option
    @_filters
    @click.option("--all", "everything", is_flag=True, help="All entries; needed if nothing else selects them.")
    @json_option
    def command(queue_ids: tuple[str, ...], path: Path, everything: bool, as_json: bool, **filters: str) -> None:
        if not (queue_ids or everything or any(filters.values())):
            raise click.UsageError("no entries are selected: give queue ids, a filter such as --recipient, or --all")

        client = AdminClient(path)
        changed = [entry for query in _query(queue_ids, filters) for entry in changed_entries(client, name, query)]
        show([{**entry, "why": _why(entry)} for entry in changed], COLUMNS, as_json=as_json)
        if not as_json:
            click.echo(f"{len(changed)} {done}")

    command.__doc__ = doc
    return click.command(name)(command)


def changed_entries(client: AdminClient, name: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Change all matching entries, page by page: each page is one transaction. Yield the changed entries."""
    after: str | None = ""
    while after is not None:
        page = client.post(f"/queue/{name}", {**query, **({"after": after} if after else {})})
        yield from page["entries"]
        after = page["next"]


for _command in (
    _change_command("flush", "tried now", "Try deferred entries now. Limits of identities and providers still apply."),
    _change_command("hold", "held", "Hold entries until they are released."),
    _change_command("release", "released", "Release held entries."),
    _change_command("delete", "dropped", "Delete entries: they become dropped, without a DSN."),
    _change_command("bounce", "bounced", "Bounce entries now: their senders get a DSN."),
):
    queue.add_command(_command)


def _why(entry: dict[str, Any]) -> str:
    """Return the reason for the state of an entry."""
    if entry["reason"]:
        return str(entry["reason"])
    if entry["reply"]:
        return str(entry["reply"])
    return f"limit: released {entry['release_at']}" if entry["release_at"] else ""
