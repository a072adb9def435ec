"""`relay share`: writes out the files that come with the program."""

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import click

from relay.cli.common import CannotCreateError
from relay.cli.man_pages import man_pages
from relay.config.json_schema import configuration_schema

FILES = ("relay.toml", "relay.service", "relay@.service", "bounce_rules.toml", "alerts.yml", "grafana.json")
"""Files of relay/share."""


@click.command()
@click.argument("folder", metavar="PATH", type=click.Path(path_type=Path, file_okay=False))
@click.option("--force", is_flag=True, help="Replace files that exist.")
def share(folder: Path, force: bool) -> None:
    """Write the files that come with relay to the folder PATH, and print their names.

    They are the reference of the configuration and its JSON Schema, the units for systemd, and the rules of bounces.
    Others are the alerting rules for Prometheus, the dashboard for Grafana, the description of the HTTP API in OpenAPI,
    and the manual pages. Files that exist are kept, and the command ends with 73.
    """
    shipped = dict(shared_files())
    existing = [name for name in shipped if (folder / name).exists()]
    if existing and not force:
        raise CannotCreateError(f"{folder} has {', '.join(existing)} already; use --force to replace them")

    file = folder
    try:
        for name, content in shipped.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")
    except OSError as error:
        raise CannotCreateError(f"{error.filename or file}: {error.strerror}") from None
    for name in shipped:
        click.echo(folder / name)


def shared_files() -> Iterator[tuple[str, str]]:
    """Yield name and content of each file."""
    from relay.api.all_operations import description  # Its import takes long, and no other command needs it.

    folder = resources.files("relay").joinpath("share")
    for name in FILES:
        yield name, folder.joinpath(name).read_text(encoding="utf-8")
    yield "relay.schema.json", json.dumps(configuration_schema(), indent=1) + "\n"
    yield "openapi.json", json.dumps(description(), indent=1) + "\n"
    for name, page in man_pages():
        yield f"man/{name}", page
