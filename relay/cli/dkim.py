"""`relay dkim`: creates, lists and rotates the DKIM keys of sending domains."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import click

from relay.cli.client import AdminClient
from relay.cli.common import CannotCreateError, config_option, json_option, settings_or_exit, show
from relay.cli.service_user import set_owner
from relay.config import Settings
from relay.domains.key_files import write_key
from relay.domains.records import DkimKey, records, sending_domain
from relay.mailauth.dkim_keys import ALGORITHMS, KeyFaultError, SigningKey, dns_record, generate_key, load_key


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
    # No warnings: the missing key is one of them.
    settings = Settings() if data_dir else settings_or_exit(path, warn=False)
    folder = data_dir or settings.server.data_dir
    try:
        pem = generate_key(ALGORITHMS[algorithm], bits)
        file = write_key(folder, domain, selector, pem)
        set_owner(folder, file, file.parent, file.parent.parent)
    except KeyFaultError as fault:
        raise click.UsageError(str(fault)) from None
    except OSError as fault:
        raise CannotCreateError(f"no key was created: {fault}") from None
    _show(load_key(pem, domain, selector), file, settings)


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


def _show(key: SigningKey, file: Path, settings: Settings) -> None:
    """Print the records of the key as `relay domain records` asks for them."""
    about = sending_domain(settings, key.domain, [DkimKey(key.selector, dns_record(key))])
    wanted = [one for one in records(replace(about, selectors=(key.selector,))) if one.role == "dkim"]

    click.echo(f"The key is in {file}\n")
    for one in sorted(wanted, key=lambda record: record.kind != "TXT"):
        zone = about.name if one.publisher == "domain" else about.cname_target
        click.echo(f"Publish this {one.kind} record" + (f" in the zone of {zone}:" if len(wanted) > 1 else ":"))
        click.echo(f"  name   {one.name}")
        click.echo(f"  value  {one.value}\n")
    click.echo("The same as a line of a zone file:" if len(wanted) == 1 else "The same as lines of zone files:")
    click.echo("".join(f"  {one.zone_line}\n" for one in wanted))
    click.echo("When it is in DNS, configure the domain to sign with it:")
    click.echo(f'  [domains."{key.domain}"]\n  dkim = {{ selectors = ["{key.selector}"] }}')
