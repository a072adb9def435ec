"""`relay preview`: renders a mail as the relay would send it, without sending it."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import click

from relay.cli.common import EX_DATAERR, json_option, settings_or_exit, show
from relay.cli.link_text import link_texts
from relay.config import Settings
from relay.domains.key_files import KEY_OCTETS, TRACKER_KEY_FILE, load_keys
from relay.domains.keys import Keys
from relay.domains.watcher import default_signing_keys
from relay.mail.authors import AuthorError
from relay.mail.canonical_address import domain_of
from relay.mail.control_headers import InstructionError
from relay.mail.dot_stuffing import normalise
from relay.mail.queue_id import queue_id
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.policy.decide import author_of, message_policy
from relay.policy.facts import parse_facts
from relay.policy.reply_handling import reply_handling
from relay.render.render import RenderInput, explain
from relay.rewrite.message import Rewritten
from relay.rewrite.tokens import new_key, parse_keyring
from relay.submission.build import added_fields

COLUMNS = (("PART", "part"), ("TRACKED", "tracked"), ("WHY", "reason"), ("TEXT", "text"), ("TARGET", "target"))


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    envvar="RELAY_CONFIG",
    help="Configuration with domains and keys; default: built-in settings and a temporary key.",
)
@click.option("--recipient", default="", help="Add the header fields of a transmission to this recipient.")
@click.option("--links", is_flag=True, help="List each link with its visible text, the decision and its reason.")
@json_option
def preview(file: BinaryIO, path: Path | None, recipient: str, links: bool, as_json: bool) -> None:
    """Write the mail in FILE ("-" for standard input) as the relay would send it: rewritten and signed.

    The output is identical to the sent mail; --recipient also adds the header fields of a transmission.
    """
    content = _with_line_ends(file.read())
    settings = Settings() if path is None else settings_or_exit(path)
    try:
        message = _render_input(settings, content, recipient)
    except (AuthorError, InstructionError) as error:
        click.echo(f"relay: this mail would be refused: {error}", err=True)
        sys.exit(EX_DATAERR)
    rendering, rewritten = explain(message, 0, _keys(settings, temporary=path is None))
    if not links:
        sys.stdout.buffer.write(rendering.content)
        return
    _show_links(rewritten, link_texts(content), as_json=as_json)


def _with_line_ends(content: bytes) -> bytes:
    """Convert LF to CRLF. A file with both is not changed, and a note is printed."""
    if b"\r" not in content:
        return normalise(content)
    bare = content.count(b"\r") + content.count(b"\n") - 2 * content.count(b"\r\n")
    if bare:
        click.echo(
            f"{bare} line ends are a bare CR or LF; the relay converts them to CRLF when it receives the mail", err=True
        )
    return content


def _render_input(settings: Settings, content: bytes, recipient: str) -> RenderInput:
    facts = parse_facts(content)
    now = time.time()
    message = queue_id(now, 0)
    if facts.author_fault and settings.identities:
        raise AuthorError(facts.author_fault)

    author, hostname = author_of(settings, facts.senders or ("",)), settings.server.hostname
    domain = domain_of(author)
    replies = reply_handling(settings, author, facts.reply_to, signed=facts.is_signed)

    added = b""
    if recipient:
        session = Session("preview", "submission", "127.0.0.1", "localhost", extended=True)
        transaction = Transaction(session, Envelope(author, (Recipient(recipient),)), content)
        message_id = f"<{message}@{domain or hostname}>"
        added = added_fields(message, transaction, facts, message_id, hostname, now, replies.fixed)

    policy = message_policy(settings, author, facts, replies)
    return RenderInput(message, now, author, content, replace(policy, added_fields=added))


def _keys(settings: Settings, *, temporary: bool) -> Keys:
    if temporary or not (settings.tracker.keys or (settings.server.data_dir / TRACKER_KEY_FILE).exists()):
        return Keys(parse_keyring([new_key(os.urandom(KEY_OCTETS))]))
    keys = load_keys(settings, _print_line)
    return replace(keys, dkim={domain: default_signing_keys(signing) for domain, signing in keys.dkim.items()})


def _print_line(line: str, **fields: object) -> None:
    click.echo(f"{line}: {fields}", err=True)


def _show_links(rewritten: Rewritten | None, texts: Mapping[str, str], *, as_json: bool) -> None:
    if rewritten is None:
        click.echo("tracking is off for this mail", err=True)
        return

    rows = [
        {
            "part": link.part,
            "tracked": "yes" if link.tracked else "no",
            "reason": link.reason,
            "text": texts.get(link.target, ""),
            "target": link.target,
        }
        for link in rewritten.links
    ]
    show(rows, COLUMNS, as_json=as_json)
    if not as_json:
        click.echo(f"open pixel: {'yes' if rewritten.pixel else 'no'}")
        for reason in rewritten.skipped:
            click.echo(f"not rewritten: {reason}")
