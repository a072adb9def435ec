"""`relay provider`: how the providers stand, and lifting a pause."""

import json
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, show

COLUMNS = (
    ("PROVIDER", "name"),
    ("HOST", "host"),
    ("STATE", "state"),
    ("HOUR", "hour"),
    ("DAY", "day"),
    ("WAITING", "waiting"),
    ("NEXT PLACE", "free_at"),
    ("WHY", "why"),
)


@click.group()
def provider() -> None:
    """Look at the providers mail leaves by."""


@provider.command("list")
@config_option
@json_option
def list_command(path: Path, as_json: bool) -> None:
    """List the providers: whether mail goes by them, how much of their limits is used, when there is room next."""
    found = AdminClient(path).get("/providers")["providers"]
    show(found if as_json else [_row(one) for one in found], COLUMNS, as_json=as_json)


@provider.command("resume")
@click.argument("name", metavar="PROVIDER")
@config_option
@json_option
def resume_command(name: str, path: Path, as_json: bool) -> None:
    """Lift the pause of PROVIDER: the next message tries it at once, and what waits for it goes with it.

    If it still fails it is paused again.
    """
    answer = AdminClient(path).post(f"/providers/{name}/resume")
    if as_json:
        click.echo(json.dumps(answer))
    elif answer["resumed"]:
        click.echo(f"{name} is tried again; {answer['entries']} waiting messages go now")
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
