"""`relay imap`: lists the folders of the bounce mailbox."""

import sys
from pathlib import Path

import click

from relay.cli.common import EX_CONFIG, EX_UNAVAILABLE, config_option, json_option, settings_or_exit, show
from relay.config.errors import closest
from relay.inbound.imap_mailbox import Mailbox, MailboxError

_COLUMNS = (("FOLDER", "folder"), ("MESSAGES", "messages"), ("USE", "use"))


@click.group()
def imap() -> None:
    """Show the bounce mailbox."""


@imap.command("folders")
@config_option
@json_option
def folders_command(path: Path, as_json: bool) -> None:
    """List the folders on the server of [bounces.imap]. The relay need not be running.

    Exits with 78 if no mailbox is configured, with 69 if the server does not answer or refuses the login.
    """
    settings = settings_or_exit(path).bounces.imap
    if settings is None:
        click.echo(f"relay: {path} has no [bounces.imap]: add host, username and password_file", err=True)
        sys.exit(EX_CONFIG)

    mailbox = Mailbox(settings)
    try:
        mailbox.open()
        folders = mailbox.folders()
        mailbox.close()
    except MailboxError as error:
        click.echo(f"relay: {error}", err=True)
        sys.exit(EX_UNAVAILABLE)
    finally:
        mailbox.abandon()

    uses = {settings.folder: "polled"}
    if settings.handled == "move":
        uses[settings.handled_folder] = "handled mail"
    rows = [{"folder": one.name, "messages": one.messages, "use": uses.get(one.name, "")} for one in folders]
    show(rows, _COLUMNS, as_json=as_json)
    names = [one.name for one in folders]
    if settings.folder not in names:
        similar = closest(settings.folder, names)
        hint = f'; did you mean "{similar}"?' if similar else ""
        click.echo(f'relay: there is no folder "{settings.folder}" (bounces.imap.folder){hint}', err=True)
