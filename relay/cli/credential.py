"""`relay credential`: secrets by which applications authenticate."""

import secrets

import click

from relay.config.secrets import hash_secret


@click.group()
def credential() -> None:
    """Make secrets by which applications authenticate."""


@credential.command("new")
@click.argument("name")
def new(name: str) -> None:
    """Make a secret for the credential NAME, show it once, and print what belongs in the configuration."""
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise click.UsageError(f'"{name}" cannot be a name: letters, digits, ".", "-" and "_" can')
    secret = secrets.token_urlsafe(24)
    key = name if "." not in name else f'"{name}"'
    click.echo(f"User name  {name}")
    click.echo(f"Password   {secret}   (shown this once)\n")
    click.echo("Put this in the configuration and reload:")
    click.echo(f"  [credentials.{key}]")
    click.echo(f'  secret_hash = "{hash_secret(secret, secrets.token_bytes(16))}"')
