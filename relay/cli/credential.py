"""`relay credential`: logins of applications: new keys, their last use, revocation."""

import secrets
from pathlib import Path

import click

from relay.cli.client import AdminClient
from relay.cli.common import config_option, json_option, show
from relay.config.credentials import RANDOM_OCTETS, new_key
from relay.config.secret_hash import hash_secret

COLUMNS = (("NAME", "credential"), ("KEY", "key"), ("LAST USED", "used_at"), ("REVOKED", "revoked_at"))


@click.group()
def credential() -> None:
    """Create keys with which applications authenticate, list them with their last use, and revoke them."""


@credential.command("new")
@click.argument("name")
def new(name: str) -> None:
    """Create a key for the credential NAME, show it once, and print the section for the configuration.

    The key names its credential, so it works as the password with any user name.
    """
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or not name.isascii():
        raise click.UsageError(f'"{name}" is not a name: use letters, digits, ".", "-" and "_"')
    key = new_key(name, secrets.token_bytes(RANDOM_OCTETS))
    table = name if "." not in name else f'"{name}"'
    click.echo(f"User name  {name}   (or any other)")
    click.echo(f"Password   {key}   (shown only once)\n")
    click.echo("Add this to the configuration and reload. For a rotation, list the old hash and this one.")
    click.echo(f"  [credentials.{table}]")
    click.echo(f'  secret_hash = "{hash_secret(key, secrets.token_bytes(16))}"')


@credential.command("list")
@config_option
@json_option
def list_command(path: Path, as_json: bool) -> None:
    """List the keys of all credentials, and when each was last used: to a minute, on any node.

    A key is named by a fingerprint of its hash. The older of two that is used no more can be removed.
    """
    show(AdminClient(path).get("/credentials")["keys"], COLUMNS, as_json=as_json)


@credential.command("revoke")
@click.argument("name")
@click.option("--key", default="", help="The key, as `relay credential list` names it. Default: all of the credential.")
@config_option
@json_option
def revoke_command(name: str, key: str, path: Path, as_json: bool) -> None:
    """Revoke the keys of the credential NAME: at once, on all nodes, also for sessions that are open.

    Messages that were accepted are still sent. A revoked key stays revoked: put another one into the configuration.
    """
    revoked = AdminClient(path).post("/credentials/revoke", body={"credential": name, "key": key})["keys"]
    show(revoked, COLUMNS, as_json=as_json)
    if not as_json:
        click.echo(f"Next: relay credential new {name}, and its hash in the place of this one.")
