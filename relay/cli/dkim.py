"""`relay dkim`: creates, lists and rotates the DKIM keys of sending domains."""

import os
import sys
from pathlib import Path
from typing import Any, Literal

import click

from relay.cli.client import AdminClient
from relay.cli.common import EX_CONFIG, config_option, json_option, show
from relay.config import ConfigError, load
from relay.domains.key_files import write_key
from relay.mailauth.dkim_keys import (
    KeyFaultError,
    SigningKey,
    dns_record,
    generate_key,
    load_key,
    record_name,
    zone_line,
)


class CannotCreateError(click.ClickException):
    """The key file cannot be created (EX_CANTCREAT of sysexits.h)."""

    exit_code = 73


@click.group()
def dkim() -> None:
    """Create, list and rotate the DKIM keys of sending domains (RFC 6376)."""


@dkim.command()
@click.argument("domain")
@click.option("--selector", default="s1", show_default=True, help="Name of the key below _domainkey.DOMAIN.")
@click.option("--algorithm", type=click.Choice(["rsa", "ed25519"]), default="rsa", show_default=True)
@click.option(
    "--bits",
    type=click.IntRange(1024, 4096),
    default=2048,
    show_default=True,
    help="Length of an RSA key. Above 2048, signing takes several times as long, and some DNS hosts refuse the record.",
)
@config_option
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="The data directory of the server, without a configuration file.",
)
def new(
    domain: str,
    selector: str,
    algorithm: Literal["rsa", "ed25519"],
    bits: int,
    path: Path,
    data_dir: Path | None,
) -> None:
    """Create a signing key for DOMAIN and show the DNS record to publish.

    An existing key is never replaced: choose another selector.
    """
    folder = data_dir or _configured_data_dir(path)
    try:
        pem = generate_key("rsa-sha256" if algorithm == "rsa" else "ed25519-sha256", bits)
        file = write_key(folder, domain, selector, pem)
        _set_owner(file, folder)
    except KeyFaultError as fault:
        raise click.UsageError(str(fault)) from None
    except OSError as fault:
        raise CannotCreateError(f"no key was created: {fault}") from None
    _show(load_key(pem, domain, selector), file)


@dkim.command()
@click.argument("domain")
@click.option("--algorithm", type=click.Choice(["rsa", "ed25519"]), default="rsa", show_default=True)
@click.option("--bits", type=click.IntRange(1024, 4096), default=2048, show_default=True, help="Length of an RSA key.")
@config_option
@json_option
def rotate(domain: str, algorithm: str, bits: int, path: Path, as_json: bool) -> None:
    """Let the running server create the next key of DOMAIN, and show the record to publish.

    The key gets a selector without a key, or one whose key is no longer needed. The server signs with the old key until
    DNS has shown the new one for some minutes. Then it changes to the new key.
    """
    body = {"algorithm": algorithm, "bits": bits}
    made = AdminClient(path).post(f"/dkim/{domain}/rotate", body=body)
    if as_json:
        show([made], (), as_json=True)
        return

    click.echo(
        f"A new key was created for the selector {made['selector']}. Publish this TXT record instead of any other:"
    )
    click.echo(f"  name   {made['name']}")
    click.echo(f"  value  {made['record']}\n")
    click.echo("The same as a line of a zone file:")
    click.echo(f"  {made['zone_line']}\n")
    click.echo("Keep the record of the old key published: `relay dkim list` shows until when.")
    click.echo(f"The server checks DNS for the new one regularly; `relay domain look {domain}` starts a check now.")


@dkim.command("list")
@click.argument("domain")
@config_option
@json_option
def list_command(domain: str, path: Path, as_json: bool) -> None:
    """Show the keys of DOMAIN: which key signs, which are in DNS, and until when each record is needed."""
    keys = AdminClient(path).get(f"/dkim/{domain}")["keys"]
    show([key if as_json else _row(key) for key in keys], _COLUMNS, as_json=as_json)


_COLUMNS = (
    ("SELECTOR", "selector"),
    ("ALGORITHM", "algorithm"),
    ("CREATED", "created_at"),
    ("STATE", "state"),
    ("PUBLISHED", "published"),
    ("KEEP PUBLISHED", "keep"),
)


def _row(key: dict[str, Any]) -> dict[str, object]:
    """Return the row of a key."""
    keep = "while it signs" if key["state"] == "signing" else "until " + (key["keep_published_until"] or "")
    needed = key["state"] in ("signing", "resting")
    return {**key, "published": "yes" if key["published"] else "no", "keep": keep if needed else ""}


def _show(key: SigningKey, file: Path) -> None:
    name, value = record_name(key.selector, key.domain), dns_record(key)
    click.echo(f"The key is in {file}\n")
    click.echo("Publish this TXT record:")
    click.echo(f"  name   {name}")
    click.echo(f"  value  {value}\n")
    click.echo("The same as a line of a zone file:")
    click.echo(f"  {zone_line(name, value)}\n")
    click.echo("When it is in DNS, configure the domain to sign with it:")
    click.echo(f'  [domains."{key.domain}"]\n  dkim = {{ selectors = ["{key.selector}"] }}')


def _set_owner(file: Path, folder: Path) -> None:
    """Give a key created by root to the owner of the data directory, because the server runs as that user."""
    if os.geteuid() == 0:
        owner = folder.stat()
        for path in (file, file.parent, file.parent.parent):
            os.chown(path, owner.st_uid, owner.st_gid)


def _configured_data_dir(path: Path) -> Path:
    """Return the data directory. Warnings are not shown, because the missing key is one of them."""
    try:
        return load(path, os.environ).server.data_dir
    except ConfigError as fault:
        click.echo(str(fault), err=True)
        sys.exit(EX_CONFIG)
