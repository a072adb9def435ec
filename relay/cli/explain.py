"""`relay explain`: shows what the header fields of a mail ask for, and what relay makes of it."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, assert_never

import click

from relay.cli.common import EX_DATAERR, json_option, printable, show
from relay.cli.mail_file import (
    header_recipients,
    mail_argument,
    optional_config_option,
    settings_or_built_in,
    with_line_ends,
)
from relay.clock import system_clock
from relay.mail.dialects.table import dialect_of, read_statements
from relay.mail.headers import fields
from relay.mail.instructions import (
    Copy,
    Ignored,
    InstructionError,
    Instructions,
    Metadata,
    Option,
    Statement,
    Tag,
    combine,
)
from relay.mail.transaction import Envelope, Recipient, Session
from relay.policy.dialect_rules import dialect_context, dialect_rules

COLUMNS = (("DIALECT", "dialect"), ("FIELD", "field"), ("KEY", "key"), ("MEANS", "means"))

_TIMES = ("send_at", "expires_at")

_NOT_SHOWN = ("ignored", "dialects", "send_at_place", "tags_were_a_list")
"""Instructions that have lines of their own, or only say how others were written."""


@click.command()
@mail_argument
@optional_config_option("Configuration with [compat] and the credentials; default: built-in settings.")
@click.option("--credential", default="", help="Name of the credential that sends it.")
@click.option("--recipient", "recipients", multiple=True, help="Address of RCPT TO; default: those of To, Cc and Bcc.")
@json_option
def explain(file: BinaryIO, path: Path | None, credential: str, recipients: tuple[str, ...], as_json: bool) -> None:
    """Show what the header fields of the mail in FILE ("-" for standard input) ask for, field by field.

    Then what relay follows, what it ignores and why, and the fields it removes. Exit code 65: it would be refused.
    """
    content = with_line_ends(file.read())
    settings = settings_or_built_in(path)
    if credential and credential not in settings.credentials:
        raise click.UsageError(f"there is no credential {credential!r} in the configuration")

    found = fields(content)
    addresses = recipients or header_recipients(content)
    rules = dialect_rules(settings, credential)
    session = Session("explain", "submission", "127.0.0.1", "localhost", extended=True, credential=credential)
    envelope = Envelope("", tuple(map(Recipient, addresses)))
    context = dialect_context(settings, session, envelope, content, system_clock())
    try:
        statements = list(read_statements(content, found, rules, context))
        understood = combine(statements)
    except InstructionError as error:
        click.echo(f"relay: this mail would be refused: {error}", err=True)
        sys.exit(EX_DATAERR)

    removed = [one for one in found if dialect_of(one.name) in rules.dialects]
    names = list(dict.fromkeys(content[one.start : one.start + len(one.name)].decode() for one in removed))
    if as_json:
        click.echo(json.dumps(_as_json(statements, understood, names)))
        return
    show(map(_row, statements), COLUMNS, as_json=False)
    _print_summary(understood, names)


def _row(said: Statement) -> dict[str, object]:
    dialect = dialect_of(said.field.lower().encode())
    return {"dialect": dialect or "relay", "field": said.field, "key": said.key, "means": _meaning(said)}


def _meaning(said: Statement) -> str:
    match said.content:
        case Option(name, value):
            return f"{name} = {_shown(name, value)}"
        case Tag(text=text):
            return f"tag {text}"
        case Metadata(name, value):
            return f"metadata {name} = {value}"
        case Copy(address):
            return f"copy to {address}"
        case Ignored(why):
            return f"ignored: {why}"
        case _:
            assert_never(said.content)


def _shown(name: str, value: object) -> str:
    if name in _TIMES and isinstance(value, float | int):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _given(understood: Instructions) -> Iterator[tuple[str, object]]:
    """Yield the instructions that differ from those of a mail without any."""
    plain = Instructions()
    for one in dataclass_fields(Instructions):
        value = getattr(understood, one.name)
        if one.name not in _NOT_SHOWN and value != getattr(plain, one.name):
            yield one.name, value


def _as_json(statements: Sequence[Statement], understood: Instructions, removed: Sequence[str]) -> dict[str, object]:
    return {
        "statements": [_row(one) for one in statements],
        "understood": dict(_given(understood)),
        "ignored": list(map(str, understood.ignored)),
        "removed": list(removed),
    }


def _print_summary(understood: Instructions, removed: Sequence[str]) -> None:
    for name, value in _given(understood):
        shown = ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value
        text = ", ".join(shown) if isinstance(shown, tuple) else _shown(name, shown)
        click.echo(f"understood: {name}: {printable(text)}")
    for one in understood.ignored:
        click.echo(f"ignored: {printable(one)}")
    for field in removed:
        click.echo(f"removed: {field}")
