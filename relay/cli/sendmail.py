"""`relay sendmail`: takes mail on standard input, as sendmail(8) does, and gives it to the submission listener."""

import smtplib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import (
    EX_CONFIG,
    EX_DATAERR,
    EX_NOPERM,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    config_option,
    settings_or_exit,
)
from relay.cli.local_message import LocalMessage, local_message
from relay.cli.mailq import mailq_lines, open_entries
from relay.cli.queue import changed_entries
from relay.cli.smtp_pipe import copy_session
from relay.config.parsers import HostPort, parse_host_port

EX_NOUSER = 67
"""Exit code (sysexits.h): a recipient was refused."""

TIMEOUT = 330.0
"""Seconds to wait for a reply."""


def _without_effect(command: Callable[..., None]) -> Callable[..., None]:
    """Accept the options of sendmail(8) that have no effect here."""
    values = click.option(
        "-B", "-C", "-L", "-O", "-X", "-h", "-p", multiple=True, expose_value=False, help="No effect."
    )
    flags = click.option("-n", "-U", "-v", "-G", "-m", is_flag=True, expose_value=False, help="No effect.")
    return values(flags(command))


def _dsn_options(command: Callable[..., None]) -> Callable[..., None]:
    for option, name, metavar in (("-V", "ENVID", "ID"), ("-R", "RET", "hdrs|full"), ("-N", "NOTIFY", "WHEN")):
        text = f"{name} of RFC 3461."
        command = click.option(option, name.lower(), default="", metavar=metavar, help=text)(command)
    return command


@click.command(context_settings={"help_option_names": ["--help"]})
@click.argument("recipients", nargs=-1)
@click.option("-t", "from_header", is_flag=True, help="The recipients of To, Cc and Bcc too. Bcc is removed.")
@click.option("-i", "whole", is_flag=True, help="A line with nothing but a dot does not end the message.")
@click.option("-f", "-r", "sender", default=None, metavar="ADDRESS", help='Reverse-path; "<>" for none.')
@click.option("-F", "full_name", default="", metavar="NAME", help="Name in From, if the message has no From.")
@click.option("-b", "mode", default="m", type=click.Choice(["m", "s", "p", "i"]), help="-bs: SMTP. -bp: as mailq.")
@click.option("-q", "run_queue", is_flag=False, flag_value="all", default="", help="Try deferred mail now.")
@click.option("-o", "options", multiple=True, help="-oi is -i; others have no effect.")
@_dsn_options
@_without_effect
@click.option(
    "--server",
    default="",
    metavar="HOST:PORT",
    envvar="RELAY_SENDMAIL_SERVER",
    show_envvar=True,
    help="The submission listener. Default: the first one of the configuration.",
)
@config_option
def sendmail(
    recipients: tuple[str, ...], mode: str, run_queue: str, server: str, path: Path, sender: str | None, **about: Any
) -> None:
    """Submit the mail on standard input.

    The options are those of sendmail(8). All recipients get the mail, or none: if one is refused, nothing is sent.
    Exits with 0 if the mail is in the queue, 64 for wrong options, 65 for refused content, 67 for a refused recipient.
    Other refusals end with 69 or 77; 75 means that it can be tried again.
    """
    if run_queue:
        list(changed_entries(AdminClient(path), "flush", {}))
    elif mode == "p":
        click.echo("\n".join(mailq_lines(open_entries(path))))
    elif mode == "s":
        sys.exit(copy_session(_address(server, path), sys.stdin.buffer, sys.stdout.buffer, TIMEOUT))
    elif mode == "m":
        sys.exit(_submit(_address(server, path), recipients, sender, **about))


def _submit(
    address: HostPort,
    recipients: tuple[str, ...],
    sender: str | None,
    *,
    from_header: bool,
    whole: bool,
    full_name: str,
    options: tuple[str, ...],
    **dsn: str,
) -> int:
    """Send the message on standard input; return the exit code."""
    try:
        with smtplib.SMTP(address.host, address.port, timeout=TIMEOUT) as client:
            client.ehlo_or_helo_if_needed()
            greeted = (client.ehlo_resp or b"localhost").decode("ascii", "replace").split()[0]
            message = local_message(
                sys.stdin.buffer,
                recipients,
                from_header=from_header,
                whole=whole or "i" in options,
                full_name=full_name,
                domain=greeted,
            )
            if not message.recipients:
                raise click.UsageError("there is no recipient: name one, or use -t")
            return _transaction(client, message, message.author if sender is None else sender, dsn)
    except (OSError, smtplib.SMTPException) as error:
        click.echo(
            f"sendmail: {address.host}:{address.port}: {error.strerror or error}; the mail was not sent, try again",
            err=True,
        )
        return EX_TEMPFAIL


def _transaction(client: smtplib.SMTP, message: LocalMessage, sender: str, dsn: dict[str, str]) -> int:
    """Send the message; return the exit code."""
    parameters = [f"{key}={dsn[key.lower()]}" for key in ("RET", "ENVID") if dsn[key.lower()]]
    parameters += ["BODY=8BITMIME"] if not message.content.isascii() else []
    parameters += ["SMTPUTF8"] if not "".join((sender, *message.recipients)).isascii() else []
    code, text = client.mail(sender.strip("<>"), parameters)
    if code != 250:
        return _refused(code, text, "the sender", EX_NOPERM if code in (530, 535) else EX_UNAVAILABLE)

    notify = [f"NOTIFY={dsn['notify'].upper()}"] if dsn["notify"] else []
    for recipient in message.recipients:
        code, text = client.rcpt(recipient, notify)
        if code not in (250, 251):
            return _refused(code, text, f"<{recipient}>", EX_NOUSER)
    code, text = client.data(message.content)
    return 0 if code == 250 else _refused(code, text, "the message", EX_DATAERR)


def _refused(code: int, text: bytes, what: str, status: int) -> int:
    """Report a refusal; return the exit code, EX_TEMPFAIL for a temporary one."""
    click.echo(f"sendmail: {what} was refused: {code} {text.decode('utf-8', 'replace')}; nothing was sent", err=True)
    return EX_TEMPFAIL if 400 <= code < 500 else status


def _address(server: str, path: Path) -> HostPort:
    """Return the address of the submission listener. Exits with 78 if there is none."""
    if server:
        return parse_host_port(server)
    for listener in settings_or_exit(path, warn=False).listeners:
        if listener.kind == "submission" and listener.tls != "implicit":
            wildcard = listener.host in ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound
            return HostPort("127.0.0.1" if wildcard else listener.host, listener.port)
    click.echo(f"sendmail: {path} has no submission listener without implicit TLS; use --server HOST:PORT", err=True)
    sys.exit(EX_CONFIG)
