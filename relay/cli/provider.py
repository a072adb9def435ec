"""`relay provider`: shows the state of providers, and ends pauses."""

import json
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, show

COLUMNS = (
    ("PROVIDER", "name"),
    ("HOST", "host"),
    ("AUTH", "auth"),
    ("STATE", "state"),
    ("HOUR", "hour"),
    ("DAY", "day"),
    ("WAITING", "waiting"),
    ("NEXT PLACE", "free_at"),
    ("WHY", "why"),
)


@click.group()
def provider() -> None:
    """Show the providers that deliver mail."""


@provider.command("list")
@config_option
@json_option
def list_command(path: Path, as_json: bool) -> None:
    """List the providers: state, use of their limits, and the next time with capacity."""
    found = AdminClient(path).get("/providers")["providers"]
    show(found if as_json else [_row(one) for one in found], COLUMNS, as_json=as_json)


@provider.command("resume")
@click.argument("name", metavar="PROVIDER")
@config_option
@json_option
def resume_command(name: str, path: Path, as_json: bool) -> None:
    """End the pause of PROVIDER. Its deferred mail is tried at once. If that fails, it is paused again."""
    answer = AdminClient(path).post(f"/providers/{name}/resume")
    if as_json:
        click.echo(json.dumps(answer))
    elif answer["resumed"]:
        click.echo(f"{name} is tried again; {answer['entries']} waiting messages are sent now")
    else:
        click.echo(f"{name} is not paused")


def _row(form: dict[str, Any]) -> dict[str, object]:
    until = f"paused until {form['paused_until']}" if form["paused_until"] else form["state"]
    return {
        **form,
        "state": until,
        "hour": _used(form["hourly_used"], form["hourly_limit"]),
        "day": _used(form["daily_used"], form["daily_limit"]),
    }


def _used(used: int | None, limit: int) -> str:
    return f"{used}/{limit}" if limit else "-"
