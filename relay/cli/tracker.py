"""`relay tracker`: runs the tracker alone, and blocks links that turned out to be malicious."""

import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, show
from relay.cli.serve import run_tracker

COLUMNS = (("KIND", "kind"), ("BLOCKED", "value"), ("SINCE", "created_at"), ("NOTE", "note"))


@click.group(invoke_without_command=True)
@config_option
@click.pass_context
def tracker(ctx: click.Context, path: Path) -> None:
    """Run only the tracker. It needs the keys (tracker.keys), and writes events to its spool folder.

    The subcommands concern the links of a running relay.
    """
    if ctx.invoked_subcommand is None:
        run_tracker(path)
    if ctx.get_parameter_source("path") is ParameterSource.COMMANDLINE:
        raise click.UsageError(f"give -c after the command: relay tracker {ctx.invoked_subcommand} -c FILE")


@tracker.command("block")
@click.argument("links", metavar="TOKEN|URL|HOST...", nargs=-1, required=True)
@click.option("--note", default="", help="Why; shown by `relay tracker list`.")
@config_option
@json_option
def block_command(links: tuple[str, ...], note: str, path: Path, as_json: bool) -> None:
    """Block links: at once, on all nodes, a click on one answers 410 with a page.

    A HOST blocks all hosts below it, on all ports. A URL blocks that page, by http and https. A TOKEN, or a whole
    tracked link, blocks one link of one recipient. Links that are not tracked lead past the relay.
    """
    show(_post(path, "block", {"links": list(links), "note": note}), COLUMNS, as_json=as_json)


@tracker.command("unblock")
@click.argument("links", metavar="TOKEN|URL|HOST...", nargs=-1, required=True)
@config_option
@json_option
def unblock_command(links: tuple[str, ...], path: Path, as_json: bool) -> None:
    """End blocks. Exits with 1 if there was none."""
    ended = _post(path, "unblock", {"links": list(links)})
    show(ended, COLUMNS, as_json=as_json)
    if not ended:
        sys.exit(1)


@tracker.command("list")
@click.option("--plain", is_flag=True, help="Write one link a line, as the file `blocked-links` has them.")
@config_option
@json_option
def list_command(plain: bool, path: Path, as_json: bool) -> None:
    """List the blocked links, newest first."""
    found = AdminClient(path).get("/links/blocked")["blocks"]
    if plain:
        for one in found:
            click.echo(f"https://{one['value']}" if one["kind"] == "url" else one["value"])
        return
    show(found, COLUMNS, as_json=as_json)


def _post(path: Path, action: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = AdminClient(path).post(f"/links/{action}", body=body)["blocks"]
    return blocks
