"""`relay config`, `relay credential`."""

import json
import secrets
import sys
from pathlib import Path

import click

from relay.cli.client import AdminClient
from relay.cli.common import EX_CONFIG, config_option, settings_or_exit
from relay.cli.reply_delivery import tell_lost_answers
from relay.config.secret_hash import hash_secret
from relay.config.show import plain, toml_of


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command("check")
@config_option
def check_command(path: Path) -> None:
    """Print all errors and warnings of the configuration, or "ok".

    DNS is asked where answers to identities go, if that decides whether they have a reader. Exits with 78 if there are
    errors; a forward_to that gets no answers is one. Warnings do not change the exit code.
    """
    settings = settings_or_exit(path)
    faults = tell_lost_answers(settings, settings.identities)
    if faults:
        sys.exit(EX_CONFIG)
    click.echo(f"{path}: ok")


@config.command("show")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of TOML.")
def show_command(path: Path, as_json: bool) -> None:
    """Show the settings in effect, with defaults and overrides; secrets are masked."""
    settings = settings_or_exit(path).resolved()
    click.echo(json.dumps(plain(settings)) if as_json else toml_of(settings), nl=as_json)


@config.command("reload")
@config_option
def reload_command(path: Path) -> None:
    """Let the running server check its configuration and use it; if it has errors, the old one stays in effect."""
    result = AdminClient(path).post("/reload", allowed=(409,))
    if faults := result.get("faults"):
        for fault in faults:
            click.echo(fault, err=True)
        click.echo("relay: the old settings stay in effect", err=True)
        sys.exit(EX_CONFIG)
    click.echo("reloaded: " + (", ".join(result["changed"]) or "nothing changed"))
    if result["restart_needed"]:
        click.echo("a restart is needed for: " + ", ".join(result["restart_needed"]))


@click.group()
def credential() -> None:
    """Create secrets with which applications authenticate."""


@credential.command("new")
@click.argument("name")
def new(name: str) -> None:
    """Create a secret for the credential NAME, show it once, and print the section for the configuration."""
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise click.UsageError(f'"{name}" is not a name: use letters, digits, ".", "-" and "_"')
    secret = secrets.token_urlsafe(24)
    key = name if "." not in name else f'"{name}"'
    click.echo(f"User name  {name}")
    click.echo(f"Password   {secret}   (shown only once)\n")
    click.echo("Add this to the configuration and reload:")
    click.echo(f"  [credentials.{key}]")
    click.echo(f'  secret_hash = "{hash_secret(secret, secrets.token_bytes(16))}"')
