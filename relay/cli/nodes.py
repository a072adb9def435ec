"""`relay nodes`: the relays that share one queue."""

from pathlib import Path

import click

from relay.cli.client import AdminClient
from relay.cli.options import config_option
from relay.cli.table import json_option, show

COLUMNS = (
    ("HOST", "hostname"),
    ("VERSION", "version"),
    ("STATE", "state"),
    ("STARTED", "started_at"),
    ("LAST HEARD OF", "heartbeat_at"),
    ("UNDER WAY", "entries"),
    ("NODE", "id"),
)


@click.command()
@config_option
@json_option
def nodes(path: Path, as_json: bool) -> None:
    """List the relays that share this one's PostgreSQL database: version, whether they live, what they have in hand.

    What one that is gone had in hand is taken over when its lease ends, 15 seconds after it was last heard of at most.
    """
    found = AdminClient(path).get("/nodes")["nodes"]
    if not found and not as_json:
        click.echo("this relay shares its queue with nobody: the store is SQLite")
        return
    show(found, COLUMNS, as_json=as_json)
