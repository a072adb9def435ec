"""Reads vendor header fields for tests, of a message with one recipient."""

import json
from collections.abc import Mapping

from relay.mail.dialects.field_values import DialectContext
from relay.mail.dialects.table import ALL_RULES, DialectRules, read_instructions
from relay.mail.headers import fields
from relay.mail.instructions import Instructions

CONTEXT = DialectContext(
    addresses=("ada@reader.test",),
    now=1_800_000_000.0,
    groups={"1": "newsletter"},
    streams={"broadcast": "newsletter"},
    pools=("marketing",),
    may_bypass_lists=True,
)


def read(*lines: str, rules: DialectRules = ALL_RULES, body: str = "hello") -> Instructions:
    content = "".join(f"{line}\r\n" for line in ("Subject: x", *lines, "", body)).encode()
    context = DialectContext(**{name: getattr(CONTEXT, name) for name in CONTEXT.__slots__} | {"content": content})
    return read_instructions(content, fields(content), rules, context)


def smtpapi(value: Mapping[str, object]) -> Instructions:
    return read(f"X-SMTPAPI: {json.dumps(value)}")


def ignored(found: Instructions) -> list[str]:
    return list(map(str, found.ignored))
