"""`relay report messages|invoices|untied`: a timeline or a row for each message."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, past_time, show
from relay.cli.listings import MAX_ROWS, Listing, all_option
from relay.cli.report_output import csv_option, filter_options, query_of, show_rows, write_csv
from relay.cli.status import show_stories

_RECIPIENTS = (
    ("AT", "created_at"),
    ("QUEUE ID", "queue_id"),
    ("RECIPIENT", "recipient"),
    ("STATUS", "status"),
    ("CATEGORY", "category"),
    ("SUBJECT", "subject"),
    ("REPLY", "reply"),
)

_UNTIED = (
    ("AT", "at"),
    ("FROM", "from"),
    ("IDENTITY", "identity"),
    ("SUBJECT", "subject"),
    ("REASON", "reason"),
    ("QUEUE ID", "queue_id"),
)


@click.command("messages")
@config_option
@filter_options
@click.option("--status", default="", help="Only these recipients, such as bounced,dropped,deferred,unopened.")
@all_option
@json_option
@csv_option
def messages(path: Path, status: str, everything: bool, as_json: bool, as_csv: bool, **filters: Any) -> None:
    """Show the timeline of each message; with --status or --csv a row for each recipient.

    A row has the last reply, its category and guidance. --csv has a column for each metadata key.
    """
    query, most = query_of(filters) | ({"status": status} if status else {}), None if everything else MAX_ROWS
    if status or as_csv:
        rows = Listing("/reports/recipients", "rows").rows(AdminClient(path), query, most)
        shown = map(_with_metadata, rows) if not as_json else rows
        write_csv(_filled(shown)) if as_csv else show(shown, _RECIPIENTS, as_json=as_json)
        return
    stories = Listing("/reports/messages", "stories").rows(AdminClient(path), query, most)
    if not show_stories(stories, as_json=as_json):
        click.echo("relay: no message matches; without --since only the last 30 days are searched", err=True)


@click.command("invoices")
@config_option
@filter_options
@click.option("--by", default="meta:invoice", show_default=True, help="meta:KEY, tag, campaign or identity.")
@json_option
@csv_option
def invoices(path: Path, by: str, as_json: bool, as_csv: bool, **filters: Any) -> None:
    """Count the recipients by value of a label: sent, delivered, opened, bounced, dropped, waiting."""
    rows = AdminClient(path).get("/reports/labels", query_of(filters) | {"by": by})["rows"]
    counts = ("sent", "delivered", "opened", "bounced", "dropped", "waiting")
    columns = ((by.removeprefix("meta:").upper(), by), *((name.upper(), name) for name in counts))
    show_rows(rows, columns, as_json=as_json, as_csv=as_csv)


@click.command("untied")
@config_option
@click.option("--spam", is_flag=True, help="List mail that was classified as spam instead.")
@click.option("--since", default="30d", show_default=True, help="Start of the period: 30d (ago), or a date.")
@click.option("--until", default="", help="End of the period: 1d (ago), or a date.")
@all_option
@json_option
@csv_option
def untied(path: Path, spam: bool, since: str, until: str, everything: bool, as_json: bool, as_csv: bool) -> None:
    """List mail to identities that belongs to no message and was not forwarded, newest first."""
    period = {"system": "yes", "since": str(past_time(since)), "meta": f"not_forwarded={'spam' if spam else 'untied'}"}
    query = period | ({"until": str(past_time(until))} if until else {})
    stories = Listing("/reports/messages", "stories")
    found = stories.rows(AdminClient(path), query, None if everything else MAX_ROWS)
    show_rows(map(_untied_row, found), _UNTIED, as_json=as_json, as_csv=as_csv)


def _with_metadata(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with a column for each metadata key; `meta:KEY` where KEY is a column already."""
    fixed = {key: value for key, value in row.items() if key != "metadata"}
    return fixed | {(f"meta:{key}" if key in fixed else key): value for key, value in row["metadata"].items()}


def _filled(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with the same columns: those that one of them lacks are empty."""
    known = list(rows)
    columns = dict.fromkeys(key for row in known for key in row)
    return [{key: row.get(key, "") for key in columns} for row in known]


def _untied_row(story: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a mail that was not forwarded."""
    (recipient,) = story["recipients"]
    return {
        "at": story["created_at"],
        "from": story["from"],
        "identity": recipient["recipient"],
        "subject": story["subject"],
        "message_id": story["message_id"],
        "why": story["metadata"]["not_forwarded"],
        "reason": recipient["reason"],
        "answers": story["metadata"].get("answers", ""),
        "queue_id": story["queue_id"],
    }
