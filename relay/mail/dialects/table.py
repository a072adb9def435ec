"""All dialects, and the statements of a message in them. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from relay.mail.control_headers import UNKNOWN, read_control_headers
from relay.mail.dialects import (
    generic,
    mailgun,
    mailjet,
    mailtrap,
    mandrill,
    postal,
    postmark,
    sendgrid,
    ses,
    sparkpost,
)
from relay.mail.dialects.field_values import DialectContext, Reader, VendorField, decoded
from relay.mail.headers import Field
from relay.mail.instructions import Ignored, InstructionError, Instructions, Metadata, Statement, combine

MAX_FIELD = 64 * 1024
"""Octets of one field."""

_READERS: Mapping[str, Mapping[str, Reader | None]] = {
    "generic": generic.FIELDS,
    "sendgrid": {sendgrid.NAME: None},
    "mailgun": mailgun.FIELDS,
    "postmark": postmark.FIELDS,
    "sparkpost": {sparkpost.NAME: None},
    "mandrill": mandrill.FIELDS,
    "ses": ses.FIELDS,
    "mailjet": mailjet.FIELDS,
    "mailtrap": mailtrap.FIELDS,
    "postal": postal.FIELDS,
}
"""Fields by dialect, in lower case. None: read together with others of the dialect."""

DIALECTS = tuple(_READERS)
"""The names of all dialects, in the order of precedence."""

_TOGETHER = {
    "sendgrid": (sendgrid.read,),
    "sparkpost": (sparkpost.read,),
    "mailgun": (mailgun.read_tracking, mailgun.read_times),
}
"""Functions that read several fields of a dialect."""

_METADATA_PREFIXES = (generic.METADATA_PREFIX, postmark.METADATA_PREFIX)

_FAMILIES = {
    generic.METADATA_PREFIX: "generic",
    "x-smtpapi": "sendgrid",
    "x-mailgun-": "mailgun",
    "x-pm-": "postmark",
    "x-msys-": "sparkpost",
    "x-mc-": "mandrill",
    "x-ses-": "ses",
    "x-mj-": "mailjet",
    "x-mailjet-": "mailjet",
    "x-mt-": "mailtrap",
    "x-postal-": "postal",
}
"""Dialects by the begin of names that only their fields have. Unknown fields are removed too: they may have secrets."""

_PREFIXES = {prefix.encode(): dialect for prefix, dialect in _FAMILIES.items()}

_ANY_PREFIX = tuple(_PREFIXES)

_UNKNOWN_FIELD = Ignored(UNKNOWN)

_OWNER = {name.encode(): dialect for dialect, readers in _READERS.items() for name in readers}


@dataclass(frozen=True, slots=True)
class DialectRules:
    """What is read from a message."""

    dialects: tuple[str, ...] = DIALECTS
    """Names of the dialects, in the order of precedence."""
    metadata_fields: Mapping[bytes, str] = field(default_factory=dict)
    """Fields of the application that are kept, and whose values become metadata: lower-case name → key."""


ALL_RULES = DialectRules()
"""All dialects are read, and no field of the application is metadata."""


def dialect_of(name: bytes) -> str:
    """Return the dialect of a field by its lower-case name, "" for none."""
    owner = _OWNER.get(name)
    if owner is not None or not name.startswith(_ANY_PREFIX):
        return owner or ""
    return next(_PREFIXES[start] for start in _PREFIXES if name.startswith(start))


def read_instructions(
    content: bytes,
    found: Sequence[Field],
    rules: DialectRules,
    context: DialectContext,
    given: Sequence[Statement] = (),
) -> Instructions:
    """Read the X-Relay-* fields and those of the dialects, after the statements that were given beside the header.

    Raises InstructionError for a field to refuse.
    """
    statements = [*given, *read_statements(content, found, rules, context)]
    present = {dialect_of(one.name) for one in found}
    return replace(combine(statements), dialects=tuple(one for one in rules.dialects if one in present))


def read_statements(
    content: bytes, found: Sequence[Field], rules: DialectRules, context: DialectContext
) -> Iterator[Statement]:
    """Yield the statements of all fields in the order of precedence. Raises InstructionError for a field to refuse."""
    by_dialect: dict[str, list[VendorField]] = {}
    for one in found:
        dialect = dialect_of(one.name)
        if dialect in rules.dialects:
            by_dialect.setdefault(dialect, []).append(_vendor_field(one, content))

    yield from read_control_headers(content, found)
    for dialect in rules.dialects:
        if dialect in by_dialect:
            yield from dialect_statements(dialect, by_dialect[dialect], context)
    yield from _own_metadata(content, found, rules.metadata_fields)


def dialect_statements(dialect: str, found: Sequence[VendorField], context: DialectContext) -> Iterator[Statement]:
    """Yield what these fields of one dialect say. Raises InstructionError for a field to refuse."""
    readers = _READERS[dialect]
    for one in found:
        reader = readers.get(one.key)
        if reader is not None:
            yield from reader(one, context)
        elif one.key not in readers:
            key = _metadata_key(one.key)
            yield one.says(Metadata(key, one.text) if key else _UNKNOWN_FIELD)

    known = [one for one in found if one.key in readers]
    for read in _TOGETHER.get(dialect, ()):
        yield from read(known, context)


def _vendor_field(one: Field, content: bytes) -> VendorField:
    name = content[one.start : one.start + len(one.name)].decode("ascii")
    if one.end - one.start > MAX_FIELD:
        raise InstructionError(f"{name}: the field is larger than 64 KiB")
    return decoded(name, one.value(content))


def _own_metadata(content: bytes, found: Sequence[Field], names: Mapping[bytes, str]) -> Iterator[Statement]:
    for one in found if names else ():
        if one.name in names:
            field = _vendor_field(one, content)
            yield field.says(Metadata(names[one.name], field.text))


def _metadata_key(name: str) -> str:
    """Return the key of metadata at the end of a field name, "" if it has none."""
    return next((name.removeprefix(start) for start in _METADATA_PREFIXES if name.startswith(start)), "")
