"""`relay site`: shows receiving sites, and pauses mail of a site, domain, identity, campaign or provider."""

import json
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, parse_period, printable, show

COLUMNS = (
    ("SITE", "site"),
    ("STATE", "state"),
    ("CONNECTIONS", "connections"),
    ("RATE", "rate"),
    ("WAITING", "waiting"),
    ("DOMAINS", "domains"),
    ("WHY", "why"),
)

_PAUSE_COLUMNS = (("PAUSED", "subject"), ("SINCE", "since"), ("UNTIL", "until"), ("WHY", "why"))


def _subject_options(command: Any) -> Any:
    """Add the argument and the options that name what is paused."""
    for kind, text in (
        ("provider", "All mail by this provider."),
        ("campaign", "All mail of this campaign."),
        ("identity", "All mail of this identity."),
        ("sending-domain", "All mail of this sending domain."),
        ("domain", "All mail to this recipient domain."),
    ):
        command = click.option(f"--{kind}", metavar=kind.rpartition("-")[2].upper(), help=text)(command)
    return click.argument("name", metavar="[SITE]", required=False)(command)


@click.group()
def site() -> None:
    """Show the sites that receive mail, and pause mail."""


@site.command("list")
@click.option("--all", "with_profiles", is_flag=True, help="All profiles, also those without mail.")
@config_option
@json_option
def list_command(with_profiles: bool, path: Path, as_json: bool) -> None:
    """List the sites in use: connections, messages a minute, waiting mail; and what is paused."""
    client = AdminClient(path)
    found = client.get("/sites", {"all": "1"} if with_profiles else None)["sites"]
    show(found if as_json else [_row(one) for one in found], COLUMNS, as_json=as_json)
    pauses = [] if as_json else client.get("/pauses")["pauses"]
    if pauses:
        click.echo()
        rows = [
            {**one, "subject": f"{one['kind']} {one['value']}", "until": one["until"] or "resumed"} for one in pauses
        ]
        show(rows, _PAUSE_COLUMNS, as_json=False)


@site.command("show")
@click.argument("name", metavar="SITE|DOMAIN")
@config_option
@json_option
def show_command(name: str, path: Path, as_json: bool) -> None:
    """Show one site, by its name or by a domain that it receives mail for."""
    for found in AdminClient(path).get("/sites", {"name": name})["sites"]:
        if as_json:
            click.echo(json.dumps(found))
            continue
        click.echo(click.style(printable(found["site"]), bold=True))
        for title, value in _facts(found):
            click.echo(f"  {title:<14} {printable(value)}")


@site.command("pause")
@_subject_options
@click.option("--for", "period", default="", metavar="TIME", help="End after 30m, 2h or 3d; else until it is resumed.")
@click.option("--reason", default="", metavar="TEXT", help="Stands in lists and in the log.")
@config_option
def pause_command(period: str, reason: str, path: Path, **subject: str | None) -> None:
    """Pause a site, or all mail of a sender, domain, campaign or provider: it is accepted, and waits."""
    kind, value = _subject(subject)
    seconds = parse_period(period) if period else 0.0
    if seconds is None or (period and not seconds):
        raise click.UsageError(f"{period!r} is not a time; use 30m, 2h or 3d")
    body = {"kind": kind, "value": value, "seconds": seconds, "reason": reason}
    answer = AdminClient(path).post("/pauses", body=body)
    state = "is paused" if answer["paused"] else f"is paused already: {printable(answer['why'])}"
    click.echo(f"{kind} {answer['value']} {state}")


@site.command("resume")
@_subject_options
@config_option
@json_option
def resume_command(path: Path, as_json: bool, **subject: str | None) -> None:
    """End a pause. What it held back is sent now."""
    kind, value = _subject(subject)
    answer = AdminClient(path).post("/pauses/resume", body={"kind": kind, "value": value})
    if as_json:
        click.echo(json.dumps(answer))
    elif answer["resumed"]:
        click.echo(f"{kind} {answer['value']} is resumed; {answer['entries']} waiting recipients are due now")
    else:
        click.echo(f"{kind} {answer['value']} is not paused")


def _subject(given: dict[str, str | None]) -> tuple[str, str]:
    """Return the one kind and value that was given."""
    named = {("site" if kind == "name" else kind.replace("_", "-")): value for kind, value in given.items() if value}
    if len(named) != 1:
        raise click.UsageError("name one of SITE, --domain, --identity, --sending-domain, --campaign and --provider")
    return next(iter(named.items()))


def _row(found: dict[str, Any]) -> dict[str, object]:
    limit, cap = found["connections_found"], found["connections"] or "-"
    return {
        **found,
        "connections": f"{limit} of {cap}" if limit is not None and limit < (found["connections"] or limit) else cap,
        "rate": "-" if found["rate"] is None else f"{found['rate']:g}/min",
        "domains": len(found["lanes"]),
    }


def change_text(change: dict[str, Any]) -> str:
    """Return the text of a change of a rate."""
    rate = f" to {change['rate']:g} messages a minute" if change["rate"] else ""
    return printable(f"{change['at']}  {change['change']}{rate}: {change['why']}")


def _facts(found: dict[str, Any]) -> list[tuple[str, object]]:
    """Return the properties of a site as titles and texts."""
    rate = "no limit" if found["rate"] is None else f"{found['rate']:g} messages a minute"
    learned = (
        [("found", f"{found['rate_found']:g} a minute at {found['cut_at']}, by: {found['why']}")]
        if found["rate_found"] is not None
        else []
    )
    more = [
        ("next message", found["not_before"]) if found["state"] == "probing" else None,
        ("paused", f"until {found['paused_until'] or 'it is resumed'}: {found['why']}")
        if found["state"] == "paused"
        else None,
    ]
    return [
        ("state", found["state"]),
        ("connections", _row(found)["connections"]),
        ("rate", rate),
        *learned,
        *filter(None, more),
        ("profile", "yes" if found["profile"] else "no"),
        ("waiting", f"{found['waiting']}, the oldest since {found['oldest_at']}" if found["oldest_at"] else "0"),
        *(("changed", change_text(one)) for one in reversed(found["changes"])),
        ("domains", ", ".join(lane.removeprefix("mx:") for lane in found["lanes"][:20]) or "-"),
    ]
