"""`relay preview`: renders a mail as the relay would send it, without sending it."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import click

from relay.cli.common import EX_CONFIG, EX_DATAERR, json_option, show
from relay.cli.link_text import link_texts
from relay.cli.mail_file import (
    header_recipients,
    mail_argument,
    optional_config_option,
    settings_or_built_in,
    with_line_ends,
)
from relay.config import Settings
from relay.domains.key_files import KEY_OCTETS, TRACKER_KEY_FILE, load_signing_keys, read_keyring
from relay.domains.relay_keys import Keys
from relay.domains.watcher import default_signing_keys
from relay.mail.canonical_address import domain_of
from relay.mail.header_lines import without_mbox_lines
from relay.mail.instructions import InstructionError
from relay.mail.queue_id import queue_id
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.policy.decide import author_of, message_policy, reply_handling
from relay.policy.dialect_rules import dialect_context, dialect_rules
from relay.policy.message_facts import MessageFacts, parse_facts
from relay.render.message import RenderInput
from relay.render.render import explain
from relay.rewrite.message import Rewritten
from relay.rewrite.tokens import Keyring, new_key, parse_keyring
from relay.submission.build import added_fields

COLUMNS = (("PART", "part"), ("TRACKED", "tracked"), ("WHY", "reason"), ("TEXT", "text"), ("TARGET", "target"))


class RefusedError(ValueError):
    """The relay would refuse this mail; the text says why."""


@click.command()
@mail_argument
@optional_config_option("Configuration with domains and keys; default: built-in settings and a temporary key.")
@click.option("--recipient", default="", help="Add the header fields of a transmission to this recipient.")
@click.option("--links", is_flag=True, help="List each link with its visible text, the decision and its reason.")
@json_option
def preview(file: BinaryIO, path: Path | None, recipient: str, links: bool, as_json: bool) -> None:
    """Write the mail in FILE ("-" for standard input) as the relay would send it: rewritten and signed.

    The output is identical to the sent mail; --recipient also adds the header fields of a transmission.
    """
    content = without_mbox_lines(with_line_ends(file.read()))
    settings = settings_or_built_in(path)
    try:
        message = _render_input(settings, content, recipient)
    except RefusedError as error:
        click.echo(f"relay: this mail would be refused: {error}", err=True)
        sys.exit(EX_DATAERR)
    rendering, rewritten = explain(message, 0, _keys(settings, temporary=path is None))
    if not links:
        sys.stdout.buffer.write(rendering.content)
        return
    _show_links(rewritten, link_texts(content), as_json=as_json)


def _render_input(settings: Settings, content: bytes, recipient: str) -> RenderInput:
    """Return the mail as it would be stored. Raises RefusedError for one that would be refused whoever sends it."""
    now = time.time()
    facts = _facts(settings, content, recipient, now)
    message = queue_id(now, 0)

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


def _facts(settings: Settings, content: bytes, recipient: str, now: float) -> MessageFacts:
    session = Session("preview", "submission", "127.0.0.1", "localhost")
    addresses = (recipient,) if recipient else header_recipients(content)
    envelope = Envelope("", tuple(map(Recipient, addresses)))
    context = partial(dialect_context, settings, session, envelope, content, now)
    try:
        facts = parse_facts(content, dialect_rules(settings, ""), context)
    except InstructionError as error:
        raise RefusedError(str(error)) from None
    fault = facts.header_fault or (facts.author_fault if settings.identities else "")
    if fault:
        raise RefusedError(fault)
    return facts


def _keys(settings: Settings, *, temporary: bool) -> Keys:
    """Return the DKIM keys of the configuration, and its tracker keys, or a temporary one if there are none yet."""
    if temporary:
        return Keys(_temporary_keyring())
    try:
        signing = load_signing_keys(settings, _print_line)
        exists = settings.tracker.keys or (settings.server.data_dir / TRACKER_KEY_FILE).exists()
        tokens = read_keyring(settings, _print_line) if exists else _temporary_keyring()
    except (ValueError, OSError) as error:
        click.echo(f"relay: a key cannot be read: {error}", err=True)
        sys.exit(EX_CONFIG)
    return Keys(tokens, {domain: default_signing_keys(keys) for domain, keys in signing.items()})


def _temporary_keyring() -> Keyring:
    return parse_keyring([new_key(os.urandom(KEY_OCTETS))])


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
        if rewritten.size:
            click.echo(rewritten.size)
        for reason in rewritten.skipped:
            click.echo(f"not rewritten: {reason}")
