"""All dialects, and the statements of a message in them. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

from relay.frozen import dataclass
from relay.mail.control_headers import IDEMPOTENCY_KEYS, read_control_headers
from relay.mail.control_headers import PREFIX as CONTROL_PREFIX
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
from relay.mail.instructions import NO_INSTRUCTIONS, InstructionError, Instructions, Metadata, Statement, combine
from relay.mail.trace_context import TRACEPARENT, valid_traceparent

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

_PREFIXES = {generic.METADATA_PREFIX.encode(): "generic", postmark.METADATA_PREFIX.encode(): "postmark"}
"""Dialects by the beginning of names whose end is a key of metadata.

Unknown fields of a service belong to no dialect and stay: on their way its servers add such fields (`X-SES-Outgoing`).
"""

_METADATA = tuple(_PREFIXES)
"""Beginnings of the names whose end is a key of metadata."""

_TRACE_FIELD = TRACEPARENT.encode()

_PREFIX = b"x-"
"""Beginning of the names of all fields of dialects."""

_OWNER = {name.encode(): dialect for dialect, readers in _READERS.items() for name in readers}

_READ = frozenset({*_OWNER, *IDEMPOTENCY_KEYS, _TRACE_FIELD})
"""Names of fields that are read, beside those with a beginning below and those of the configuration."""

_READ_BEGINNINGS = (CONTROL_PREFIX, *_METADATA)

_USUAL = frozenset(
    b"from to cc sender reply-to subject date message-id in-reply-to references received return-path mime-version "
    b"content-type content-transfer-encoding dkim-signature list-id list-unsubscribe list-unsubscribe-post".split()
)
"""Names of which most headers consist, and that ask for nothing."""


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
    if not name.startswith(_PREFIX):
        return ""
    found = _OWNER.get(name)
    if found is None and name.startswith(_METADATA):
        found = next((_PREFIXES[start] for start in _PREFIXES if _is_key(name, start)), None)
    return found or ""


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
    own = rules.metadata_fields
    read = [one for one in found if one.name in own or _is_read(one.name)]
    if not read and not given:
        return NO_INSTRUCTIONS
    statements = [*given, *read_statements(content, read, rules, context)]
    present = {dialect_of(one.name) for one in read} - {""}
    if not statements and not present:
        return NO_INSTRUCTIONS
    return replace(combine(statements), dialects=tuple(one for one in rules.dialects if one in present))


def may_instruct(names: Iterable[bytes], rules: DialectRules) -> bool:
    """Whether fields of these lower-case names may hold instructions. Those of most messages do not."""
    unusual = [name for name in names if name not in _USUAL]
    return bool(rules.metadata_fields) or any(map(_is_read, unusual))


def _is_read(name: bytes) -> bool:
    """Whether fields of this name are read, whatever the configuration says."""
    return name in _READ or name.startswith(_READ_BEGINNINGS)


def read_statements(
    content: bytes, found: Sequence[Field], rules: DialectRules, context: DialectContext
) -> Iterator[Statement]:
    """Yield the statements of all fields in the order of precedence. Raises InstructionError for a field to refuse."""
    by_dialect: dict[str, list[VendorField]] = {}
    for one in found:
        if one.name.startswith(_PREFIX) and (dialect := dialect_of(one.name)) in rules.dialects:
            by_dialect.setdefault(dialect, []).append(_vendor_field(one, content))

    yield from read_control_headers(content, found)
    for dialect in rules.dialects:
        if dialect in by_dialect:
            yield from dialect_statements(dialect, by_dialect[dialect], context)
    yield from _own_metadata(content, found, rules.metadata_fields)
    yield from _trace(content, found)


def dialect_statements(dialect: str, found: Sequence[VendorField], context: DialectContext) -> Iterator[Statement]:
    """Yield what these fields of one dialect say. Raises InstructionError for a field to refuse."""
    readers = _READERS[dialect]
    for one in found:
        reader = readers.get(one.key)
        if reader is not None:
            yield from reader(one, context)
        elif one.key not in readers:
            yield one.says(Metadata(_key(one.key), one.text))

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


def _trace(content: bytes, found: Sequence[Field]) -> Iterator[Statement]:
    """Yield the trace that a valid traceparent names. One of another form is a field like any other."""
    texts = [one.value(content).decode("ascii", "replace") for one in found if one.name == _TRACE_FIELD]
    if trace := valid_traceparent(*texts):
        yield Statement(TRACEPARENT, Metadata(TRACEPARENT, trace))


def _is_key(name: bytes, prefix: bytes) -> bool:
    return name.startswith(prefix) and len(name) > len(prefix)


def _key(name: str) -> str:
    """Return the key of metadata at the end of a field name."""
    return next(name.removeprefix(start.decode()) for start in _PREFIXES if name.encode().startswith(start))
