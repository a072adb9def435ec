"""`relay report`: reports on deliveries, bounces and engagement."""

import json
from pathlib import Path
from typing import Any, BinaryIO

import click

from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, show
from relay.cli.link_text import link_texts
from relay.cli.listings import warn_if_cut
from relay.cli.report_messages import invoices, messages, untied
from relay.cli.report_output import csv_option, filter_options, query_of, show_rows, write_csv
from relay.reports.ports import MAX_CLICKS

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
    ("BY PROXY", "proxied"),
    ("MACHINES ONLY", "machines"),
)

_LINKS = (("RECIPIENTS", "recipients"), ("CLICKS", "clicks"), ("LINK", "target"))

_NAMED_LINKS = (*_LINKS[:2], ("TEXT", "text"), _LINKS[2])


@click.group()
def report() -> None:
    """Report on the messages accepted in a period of time."""


@report.command("bounces")
@config_option
@filter_options
@click.option("--category", default="", help="Only bounces of this category.")
@click.option("--messages", "listed", is_flag=True, help="List the bounced recipients.")
@click.option("--all", "everything", is_flag=True, help="All replies, not only the most frequent ones.")
@json_option
@csv_option
def bounces(
    path: Path, category: str, listed: bool, everything: bool, as_json: bool, as_csv: bool, **filters: Any
) -> None:
    """Show bounces by category, site and destination, with the replies and the action to take.

    --csv has a line for each category, --messages a line for each bounced recipient.
    """
    query = query_of(filters) | ({"category": category} if category else {})
    if listed:
        rows = AdminClient(path).lines("/reports/bounces/messages", query)
        show_rows(rows, _MESSAGES, as_json=as_json, as_csv=as_csv)
        return
    found: dict[str, Any] = AdminClient(path).get("/reports/bounces", query | _all(everything))
    if as_csv:
        write_csv({**one, "guidance": " ".join(one["guidance"])} for one in found["categories"])
    elif as_json:
        click.echo(json.dumps(found))
        warn_if_cut(len(found["replies"]), found["replies_total"], "replies")
    else:
        _show_bounces(found)


@report.command("deliveries")
@config_option
@filter_options
@json_option
@csv_option
def deliveries(path: Path, as_json: bool, as_csv: bool, **filters: Any) -> None:
    """Show the outcomes of recipients, in all and by destination. --csv has a line for each destination."""
    found: dict[str, Any] = AdminClient(path).get("/reports/deliveries", query_of(filters))
    if as_json:
        click.echo(json.dumps(found))
        return
    if not as_csv:
        show([_rated(found)], _COUNTS, as_json=False)
        click.echo()
    columns = (("DESTINATION", "destination"), *_COUNTS)
    show_rows([_rated(one) for one in found["destinations"]], columns, as_json=False, as_csv=as_csv)


@report.command("engagement")
@config_option
@filter_options
@click.option("--mail", type=click.File("rb"), help="A copy of the mail, to show the texts of its links.")
@click.option("--all", "everything", is_flag=True, help="All links, not only those with the most readers.")
@json_option
@csv_option
def engagement(
    path: Path, mail: BinaryIO | None, everything: bool, as_json: bool, as_csv: bool, **filters: Any
) -> None:
    """Show opens, clicks, replies and unsubscribes by campaign. Each recipient counts once, machines apart.

    Opened includes people who clicked, and opens by the proxy of a mailbox provider unless engagement.proxies says
    otherwise; BY PROXY is the number of those. --csv has a line for each campaign.
    """
    texts = None if mail is None else link_texts(mail.read())
    found: dict[str, Any] = AdminClient(path).get("/reports/engagement", query_of(filters) | _all(everything))
    if texts is not None:
        found["links"] = [{**link, "text": texts.get(link["target"], "")} for link in found["links"]]
    if found["clicks_cut"]:
        click.echo(f"relay: the links are those of the newest {MAX_CLICKS} clicks; use a shorter period", err=True)
    if as_json:
        click.echo(json.dumps(found))
        warn_if_cut(len(found["links"]), found["links_total"], "links")
    elif as_csv:
        write_csv(found["campaigns"])
    else:
        _show_engagement(found)


@report.command("unclassified")
@config_option
@filter_options
@json_option
@csv_option
def unclassified(path: Path, as_json: bool, as_csv: bool, **filters: Any) -> None:
    """Show the replies that no rule matches, masked and grouped, as candidates for rules in bounce_rules.toml."""
    found = AdminClient(path).get("/reports/unclassified", query_of(filters))["replies"]
    show_rows(found, _UNCLASSIFIED, as_json=as_json, as_csv=as_csv)


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
        warn_if_cut(len(found["replies"]), found["replies_total"], "replies")


def _show_engagement(found: dict[str, Any]) -> None:
    rows = [{**_readers(one), "campaign": one["campaign"] or "(transactional)"} for one in found["campaigns"]]
    total = [{**_readers(found), "campaign": "(all)"}] if len(rows) > 1 else []
    show([*rows, *total], _READERS, as_json=False)
    if found["links"]:
        click.echo()
        show(found["links"], _NAMED_LINKS if "text" in found["links"][0] else _LINKS, as_json=False)
        warn_if_cut(len(found["links"]), found["links_total"], "links")


def _all(everything: bool) -> dict[str, str]:
    """Return the parameter that turns a list of the most frequent into one of all."""
    return {"all": "yes"} if everything else {}


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
        "proxied": one["proxied_opens"],
        "machines": f"{one['machine_opens']} opened, {one['machine_clicks']} clicked",
    }


def _rated(counts: dict[str, Any]) -> dict[str, Any]:
    return {**counts, "rate": f"{counts['bounce_rate']:.2%}"}


for command in (messages, invoices, untied):
    report.add_command(command)
