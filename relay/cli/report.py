"""`relay report`: reports on deliveries, bounces and engagement."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import click

from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, past_time, show
from relay.cli.link_text import link_texts
from relay.cli.status import show_story

_COUNTS = (
    ("RECIPIENTS", "recipients"),
    ("DELIVERED", "delivered"),
    ("BOUNCED", "bounced"),
    ("DROPPED", "dropped"),
    ("WAITING", "waiting"),
    ("BOUNCE RATE", "rate"),
)


_MESSAGES = (
    ("AT", "at"),
    ("QUEUE ID", "queue_id"),
    ("RECIPIENT", "recipient"),
    ("CATEGORY", "category"),
    ("IDENTITY", "identity"),
    ("SUBJECT", "subject"),
    ("REPLY", "reply"),
)


_RECIPIENTS = (
    ("AT", "created_at"),
    ("QUEUE ID", "queue_id"),
    ("RECIPIENT", "recipient"),
    ("STATUS", "status"),
    ("CATEGORY", "category"),
    ("SUBJECT", "subject"),
    ("REPLY", "reply"),
)


MOST_ROWS = 1000
"""Rows of a listing without --all."""


_UNTIED = (
    ("AT", "at"),
    ("FROM", "from"),
    ("IDENTITY", "identity"),
    ("SUBJECT", "subject"),
    ("REASON", "reason"),
    ("QUEUE ID", "queue_id"),
)


_REPLIES = (("COUNT", "count"), ("CATEGORY", "category"), ("REPLY", "reply"))


_UNCLASSIFIED = (("COUNT", "count"), ("REPLY", "reply"), ("LAST", "last_at"), ("QUEUE ID", "queue_id"))


_READERS = (
    ("CAMPAIGN", "campaign"),
    ("DELIVERED", "delivered"),
    ("OPENED", "opened"),
    ("CLICKED", "clicked"),
    ("CLICK-TO-OPEN", "click_to_open"),
    ("REPLIED", "replied"),
    ("UNSUBSCRIBED", "unsubscribed"),
    ("COMPLAINED", "complained"),
    ("MACHINES ONLY", "machines"),
)


_LINKS = (("RECIPIENTS", "recipients"), ("CLICKS", "clicks"), ("LINK", "target"))


_NAMED_LINKS = (*_LINKS[:2], ("TEXT", "text"), _LINKS[2])


DEFAULT_SINCE = "30d"


csv_option = click.option("--csv", "as_csv", is_flag=True, help="Write CSV.")


@click.group()
def report() -> None:
    """Report on the messages accepted in a period of time."""


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--system", is_flag=True, help="Also DSNs, alerts, tests, copies and forwards."),
        click.option("--meta", multiple=True, metavar="K=V", help="Only messages with this metadata (repeatable)."),
        click.option("--tag", multiple=True, help="Only messages with this tag (repeatable)."),
        click.option("--identity", default="", help="Only messages of this identity."),
        click.option(
            "--type", "kind", type=click.Choice(["transactional", "campaign"]), help="Only mail of this type."
        ),
        click.option("--domain", default="", help="Only messages of this sending domain."),
        click.option("--campaign", default="", help="Only messages of this campaign."),
        click.option("--month", default="", metavar="YYYY-MM", help="Only this month, in UTC."),
        click.option("--until", default="", help="End of the period: 1d (ago), or a date."),
        click.option(
            "--since", default=DEFAULT_SINCE, show_default=True, help="Start of the period: 30d (ago), or a date."
        ),
    ):
        command = option(command)
    return command


def _query(filters: Mapping[str, Any]) -> dict[str, str | Sequence[str]]:
    since, until = _period(filters)
    given = {
        "since": str(since),
        "until": str(until) if until else "",
        "domain": filters["domain"],
        "identity": filters["identity"],
        "campaign": filters["campaign"],
        "type": filters["kind"],
        "tag": filters["tag"],
        "meta": filters["meta"],
        "system": "yes" if filters["system"] else "",
    }
    return {key: value for key, value in given.items() if value}


def _period(filters: Mapping[str, Any]) -> tuple[float, float]:
    """Return begin and end of the period in Unix seconds; an end of 0 is now."""
    if not filters["month"]:
        return past_time(filters["since"]), past_time(filters["until"]) if filters["until"] else 0.0
    if filters["until"] or filters["since"] != DEFAULT_SINCE:
        raise click.UsageError("--month excludes --since and --until")
    try:
        first = datetime.strptime(filters["month"], "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise click.UsageError(f"{filters['month']!r} is not a month; use 2026-10") from None
    following = (first + timedelta(days=31)).replace(day=1)
    return first.timestamp(), following.timestamp()


@report.command("bounces")
@config_option
@_filters
@click.option("--category", default="", help="Only bounces of this category.")
@click.option("--messages", "listed", is_flag=True, help="List the bounced recipients.")
@json_option
@csv_option
def bounces(path: Path, category: str, listed: bool, as_json: bool, as_csv: bool, **filters: Any) -> None:
    """Show bounces by category, site and destination, with the replies and the action to take.

    --csv has a line for each category, --messages a line for each bounced recipient.
    """
    query = _query(filters) | ({"category": category} if category else {})
    if listed:
        rows = AdminClient(path).lines("/reports/bounces/messages", query)
        _listing(rows, _MESSAGES, as_json=as_json, as_csv=as_csv)
        return
    found: dict[str, Any] = AdminClient(path).get("/reports/bounces", query)
    if as_csv:
        _csv({**one, "guidance": " ".join(one["guidance"])} for one in found["categories"])
    elif as_json:
        click.echo(json.dumps(found))
    else:
        _show_bounces(found)


@report.command("deliveries")
@config_option
@_filters
@json_option
@csv_option
def deliveries(path: Path, as_json: bool, as_csv: bool, **filters: Any) -> None:
    """Show the outcomes of recipients, in all and by destination. --csv has a line for each destination."""
    found: dict[str, Any] = AdminClient(path).get("/reports/deliveries", _query(filters))
    if as_json:
        click.echo(json.dumps(found))
        return
    if not as_csv:
        show([_rated(found)], _COUNTS, as_json=False)
        click.echo()
    columns = (("DESTINATION", "destination"), *_COUNTS)
    _listing([_rated(one) for one in found["destinations"]], columns, as_json=False, as_csv=as_csv)


@report.command("engagement")
@config_option
@_filters
@click.option("--mail", type=click.File("rb"), help="A copy of the mail, to show the texts of its links.")
@json_option
@csv_option
def engagement(path: Path, mail: BinaryIO | None, as_json: bool, as_csv: bool, **filters: Any) -> None:
    """Show opens, clicks, replies and unsubscribes by campaign. Each recipient counts once, machines apart.

    Opened includes people who clicked. --csv has a line for each campaign.
    """
    texts = None if mail is None else link_texts(mail.read())
    found: dict[str, Any] = AdminClient(path).get("/reports/engagement", _query(filters))
    if texts is not None:
        found["links"] = [{**link, "text": texts.get(link["target"], "")} for link in found["links"]]
    if as_json:
        click.echo(json.dumps(found))
    elif as_csv:
        _csv(found["campaigns"])
    else:
        _show_engagement(found)


@report.command("messages")
@config_option
@_filters
@click.option("--status", default="", help="Only these recipients, such as bounced,dropped,deferred,unopened.")
@click.option("--all", "everything", is_flag=True, help="All, not only the newest 1000.")
@json_option
@csv_option
def messages(path: Path, status: str, everything: bool, as_json: bool, as_csv: bool, **filters: Any) -> None:
    """Show the timeline of each message; with --status or --csv a row for each recipient.

    A row has the last reply, its category and guidance. --csv has a column for each metadata key.
    """
    query = _query(filters) | ({"status": status} if status else {})
    if status or as_csv:
        rows = _newest(path, "/reports/recipients", query, "rows", everything=everything)
        shown = map(_with_metadata, rows) if not as_json else rows
        _csv(_filled(shown)) if as_csv else show(shown, _RECIPIENTS, as_json=as_json)
        return
    found = 0
    for story in _newest(path, "/reports/messages", query, "stories", everything=everything):
        found += 1
        if as_json:
            click.echo(json.dumps(story))
        else:
            show_story(story)
            click.echo()
    if not found:
        click.echo("relay: no message matches; without --since only the last 30 days are searched", err=True)


@report.command("invoices")
@config_option
@_filters
@click.option("--by", default="meta:invoice", show_default=True, help="meta:KEY, tag, campaign or identity.")
@json_option
@csv_option
def invoices(path: Path, by: str, as_json: bool, as_csv: bool, **filters: Any) -> None:
    """Count the recipients by value of a label: sent, delivered, opened, bounced, dropped, waiting."""
    rows = AdminClient(path).get("/reports/labels", _query(filters) | {"by": by})["rows"]
    counts = ("sent", "delivered", "opened", "bounced", "dropped", "waiting")
    columns = ((by.removeprefix("meta:").upper(), by), *((name.upper(), name) for name in counts))
    _listing(rows, columns, as_json=as_json, as_csv=as_csv)


def _newest(path: Path, route: str, query: Mapping[str, Any], key: str, *, everything: bool) -> Iterator[Any]:
    """Yield what a paged route returns, newest first; say when the listing is cut at MOST_ROWS."""
    client, place, shown = AdminClient(path), "", 0
    while True:
        page = client.get(route, {**query, "before": place} if place else query)
        for one in page[key]:
            if shown == MOST_ROWS and not everything:
                place = "cut"
                break
            shown += 1
            yield one
        if place == "cut" or (page["next"] and shown == MOST_ROWS and not everything):
            click.echo(f"relay: only the newest {shown} are shown; --all shows the rest too", err=True)
            return
        place = page["next"]
        if not place:
            return


def _with_metadata(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with a column for each metadata key; `meta:KEY` where KEY is a column already."""
    fixed = {key: value for key, value in row.items() if key != "metadata"}
    return fixed | {(f"meta:{key}" if key in fixed else key): value for key, value in row["metadata"].items()}


def _filled(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with the same columns: those that one of them lacks are empty."""
    known = list(rows)
    columns = dict.fromkeys(key for row in known for key in row)
    return [{key: row.get(key, "") for key in columns} for row in known]


@report.command("untied")
@config_option
@click.option("--spam", is_flag=True, help="List mail that was classified as spam instead.")
@click.option("--since", default="30d", show_default=True, help="Start of the period: 30d (ago), or a date.")
@click.option("--until", default="", help="End of the period: 1d (ago), or a date.")
@json_option
@csv_option
def untied(path: Path, spam: bool, since: str, until: str, as_json: bool, as_csv: bool) -> None:
    """List mail to identities that belongs to no message and was not forwarded, newest first."""
    period = {"system": "yes", "since": str(past_time(since)), "meta": f"not_forwarded={'spam' if spam else 'untied'}"}
    query = period | ({"until": str(past_time(until))} if until else {})
    found: dict[str, Any] = AdminClient(path).get("/reports/messages", query)
    _listing(map(_untied_row, found["stories"]), _UNTIED, as_json=as_json, as_csv=as_csv)
    if found["more"]:
        click.echo(f"relay: only the newest {len(found['stories'])} are shown; use --until for older ones", err=True)


@report.command("unclassified")
@config_option
@_filters
@json_option
@csv_option
def unclassified(path: Path, as_json: bool, as_csv: bool, **filters: Any) -> None:
    """Show the replies that no rule matches, masked and grouped, as candidates for rules in bounce_rules.toml."""
    found = AdminClient(path).get("/reports/unclassified", _query(filters))["replies"]
    _listing(found, _UNCLASSIFIED, as_json=as_json, as_csv=as_csv)


def _show_bounces(found: dict[str, Any]) -> None:
    show([_rated(found)], _COUNTS, as_json=False)
    click.echo(
        f"{found['late']} bounced after delivery; {found['complaints']} complaints ({found['complaint_rate']:.2%})"
    )

    for one in found["categories"]:
        click.echo(f"\n{one['bounced']:>6}  {one['share']:>6.1%}  {one['title']} ({one['category']})")
        for line in one["guidance"]:
            click.echo(f"                {line}")

    if found["destinations"]:
        click.echo()
        show(map(_rated, found["sites"]), (("SITE", "site"), *_COUNTS), as_json=False)
        click.echo()
        show(map(_rated, found["destinations"]), (("DESTINATION", "destination"), *_COUNTS), as_json=False)
        click.echo()
        show(found["replies"], _REPLIES, as_json=False)


def _show_engagement(found: dict[str, Any]) -> None:
    rows = [{**_readers(one), "campaign": one["campaign"] or "(transactional)"} for one in found["campaigns"]]
    total = [{**_readers(found), "campaign": "(all)"}] if len(rows) > 1 else []
    show([*rows, *total], _READERS, as_json=False)
    if found["links"]:
        click.echo()
        show(found["links"], _NAMED_LINKS if "text" in found["links"][0] else _LINKS, as_json=False)


def _readers(one: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a campaign: counts and rates."""
    return {
        "delivered": one["delivered"],
        "opened": f"{one['opens']} ({one['open_rate']:.1%})",
        "clicked": f"{one['clicks']} ({one['click_rate']:.1%})",
        "click_to_open": f"{one['click_to_open']:.1%}",
        "replied": one["replies"],
        "unsubscribed": f"{one['unsubscribes']} ({one['unsubscribe_rate']:.2%})",
        "complained": f"{one['complaints']} ({one['complaint_rate']:.2%})",
        "machines": f"{one['machine_opens']} opened, {one['machine_clicks']} clicked",
    }


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


def _rated(counts: dict[str, Any]) -> dict[str, Any]:
    return {**counts, "rate": f"{counts['bounce_rate']:.2%}"}


def _listing(
    rows: Iterable[dict[str, Any]], columns: Sequence[tuple[str, str]], *, as_json: bool, as_csv: bool
) -> None:
    if as_csv:
        _csv(rows)
    else:
        show(rows, columns, as_json=as_json)


def _csv(rows: Iterable[dict[str, Any]]) -> None:
    """Write rows with a header; lists and objects are JSON. A formula of a spreadsheet gets the prefix "'"."""
    writer: Any = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(sys.stdout, row.keys(), lineterminator="\n")
            writer.writeheader()
        writer.writerow({key: _cell(value) for key, value in row.items()})


def _cell(value: object) -> object:
    if isinstance(value, list | dict):
        return json.dumps(value)
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
