"""The golden mails of the vendors' dialects: what is understood, ignored, refused and removed in each."""

import json
from dataclasses import fields as dataclass_fields
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from relay.mail.dialects.field_values import DialectContext
from relay.mail.dialects.table import ALL_RULES, dialect_of, read_instructions
from relay.mail.headers import fields
from relay.mail.instructions import Ignored, InstructionError, Instructions
from tests.shared import shared

_NAMES = {"pixel_replaces": "pixel_text", "unsubscribe_replaces": "unsubscribe_text"}


def _context(given: dict[str, Any], content: bytes) -> DialectContext:
    config = given["config"]
    return DialectContext(
        addresses=tuple(given["rcpt_to"]),
        content=content,
        now=datetime.fromisoformat(given["now"]).timestamp(),
        groups=config["compat.sendgrid.groups"],
        streams=config["compat.postmark.streams"],
        pools=config["pools"],
        may_bypass_lists=given["login"]["may_bypass_lists"],
    )


def _understood(found: Instructions) -> dict[str, Any]:
    plain = Instructions()
    values = {one.name: getattr(found, one.name) for one in dataclass_fields(found)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if name not in ("ignored", "dialects", "send_at_place") and value != getattr(plain, name)
    }


def _check(file: Path) -> None:
    expected = json.loads(file.read_text())
    content = file.with_name(expected["mail"]).read_bytes()
    found = fields(content)
    names = {content[one.start : one.start + len(one.name)].decode() for one in found if dialect_of(one.name)}
    assert names == set(expected["fields_of_dialects"])

    context = _context(expected["given"], content)
    refused = expected["refused"]
    if refused:
        with pytest.raises(InstructionError) as caught:
            read_instructions(content, found, ALL_RULES, context)
        assert refused["field"] in str(caught.value)
        assert refused["text_contains"] in str(caught.value)
        return

    read = read_instructions(content, found, ALL_RULES, context)
    wanted = {
        _NAMES.get(name, name): value
        for name, value in expected["understood"].items()
        if value is not False or name != "tags_were_a_list"
    }
    assert _understood(read) == wanted
    told = {(one.field, one.key, one.content.why) for one in read.ignored if isinstance(one.content, Ignored)}
    assert told == {(one["field"], one["key"], one["why"]) for one in expected["told"]}


def test_each_golden_mail_is_read_as_expected() -> None:
    files = sorted(shared("data/vendors/dialects").glob("*.expected.json"))
    assert len(files) >= 30
    for file in files:
        try:
            _check(file)
        except BaseException as error:
            error.add_note(file.name)
            raise
