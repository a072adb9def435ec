"""Options that the reports share, and their output as table, JSON lines or CSV."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from relay.cli.common import past_time, show
from relay.cli.output import use_utf_8

DEFAULT_SINCE = "30d"

csv_option = click.option("--csv", "as_csv", is_flag=True, help="Write CSV.")


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that select messages; `query_of` turns their values into a query."""
    for option in (
        click.option("--system", is_flag=True, help="Also DSNs, alerts, tests, copies and forwards."),
        click.option("--simulated", is_flag=True, help="Also sandbox mail, and recipients of the simulator."),
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


def query_of(filters: Mapping[str, Any]) -> dict[str, str | Sequence[str]]:
    """Return the query parameters of the admin API for the values of `filter_options`."""
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
        "simulated": "yes" if filters["simulated"] else "",
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


def show_rows(
    rows: Iterable[dict[str, Any]], columns: Sequence[tuple[str, str]], *, as_json: bool, as_csv: bool
) -> None:
    """Print the rows: all their keys as CSV, else these columns as a table or JSON lines."""
    if as_csv:
        write_csv(rows)
    else:
        show(rows, columns, as_json=as_json)


def write_csv(rows: Iterable[dict[str, Any]]) -> None:
    """Write rows with a header; lists and objects are JSON. A formula of a spreadsheet gets the prefix "'"."""
    use_utf_8()
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
