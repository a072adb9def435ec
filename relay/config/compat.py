"""`[compat]`: the header fields of mail services that applications write, and what their names mean here."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from relay.config.parsers import quoted, setting_error
from relay.config.values import Name, Section, Text

Dialect = Literal[
    "generic", "sendgrid", "mailgun", "postmark", "sparkpost", "mandrill", "ses", "mailjet", "mailtrap", "postal"
]
"""A mail service whose header fields are read, or "generic" for those that libraries write for any service."""

ALL_DIALECTS: tuple[Dialect, ...] = (
    "generic",
    "sendgrid",
    "mailgun",
    "postmark",
    "sparkpost",
    "mandrill",
    "ses",
    "mailjet",
    "mailtrap",
    "postal",
)

_FIELD_NAME = re.compile(r"[Xx]-[!-9;-~]{1,70}")


def _once(value: tuple[Dialect, ...]) -> tuple[Dialect, ...]:
    for name in value:
        if value.count(name) > 1:
            raise setting_error(f"{quoted(name)} stands twice", "each dialect once: the order is the precedence")
    return value


def _field_name(value: str) -> str:
    if not _FIELD_NAME.fullmatch(value) or value.lower().startswith("x-relay-"):
        raise setting_error(f"{quoted(value)} is not a field of applications", 'a name such as "X-Invoice-Number"')
    return value


def _group(value: str) -> str:
    if not value.isascii() or not value.isdigit():
        raise setting_error(f"{quoted(value)} is not the number of an unsubscribe group", "digits, such as 12345")
    return value


Dialects = Annotated[tuple[Dialect, ...], AfterValidator(_once)]


class SendGrid(Section):
    """`[compat.sendgrid]`: campaigns by the number of an unsubscribe group (`asm_group_id`)."""

    groups: dict[Annotated[str, AfterValidator(_group)], Text] = Field(default_factory=dict)


class Postmark(Section):
    """`[compat.postmark]`: campaigns by message stream (`X-PM-Message-Stream`)."""

    streams: dict[Text, Text] = Field(default_factory=dict)


class Compat(Section):
    """`[compat]`: dialects that are read and removed, in the order of precedence; fields that become metadata."""

    headers: Dialects = ALL_DIALECTS
    metadata_headers: tuple[Annotated[str, AfterValidator(_field_name)], ...] = ()
    pools: dict[Text, Name] = Field(default_factory=dict)
    """Provider by the name of a pool of addresses."""
    sendgrid: SendGrid = SendGrid()
    postmark: Postmark = Postmark()

    @cached_property
    def metadata_fields(self) -> Mapping[bytes, str]:
        """The `metadata_headers` by their lower-case names."""
        return {name.lower().encode(): name for name in self.metadata_headers}
