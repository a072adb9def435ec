"""Parses the fields of a header that decisions depend on. Pure."""

from collections.abc import Callable, Mapping, Sequence

from relay.frozen import dataclass
from relay.mail.address_list import Unreadable
from relay.mail.authors import AuthorError, Authors, addresses_in, parse_authors
from relay.mail.control_headers import is_removed
from relay.mail.dialects.field_values import DialectContext
from relay.mail.dialects.table import ALL_RULES, DialectRules, may_instruct, read_instructions
from relay.mail.header_lines import LINE_LIMIT, line_fault, stray_line
from relay.mail.headers import Field, by_name, fields, named
from relay.mail.instructions import NO_INSTRUCTIONS, Instructions, Statement
from relay.mail.received import relay_hosts

_LIST_FIELDS = (b"list-unsubscribe", b"list-id")
"""Fields of mail to many (RFC 2369, RFC 2919)."""

_BULK_FIELDS = frozenset({*_LIST_FIELDS, b"precedence"})
"""Fields that can mark mail to many."""

_BULK = frozenset({b"bulk", b"list", b"junk"})
"""Values of Precedence (RFC 3834 section 3.1.8) of mail to many."""

_KEEPING = frozenset({b"list-unsubscribe", b"list-unsubscribe-post", b"dkim-signature"})


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """Fields of the header that decisions depend on."""

    senders: tuple[str, ...]
    """Addresses of From, empty with `author_fault`."""
    message_id: str
    subject: str
    has_date: bool
    hops: int
    """Number of Received fields."""
    relays: tuple[str, ...]
    """Hosts of relay that sent the message before, one per Received field."""
    instructions: Instructions
    agents: tuple[str, ...] = ()
    """Addresses of Sender, Resent-From and Resent-Sender."""
    header_fault: str = ""
    """What is wrong with the lines of the header, "" for nothing."""
    author_fault: str = ""
    """Why the author is not certain, "" if it is."""
    reply_to: tuple[str, ...] | Unreadable | None = None
    """Addresses of the Reply-To, None when there is no such field."""
    is_signed: bool = False
    """Whether it has a DKIM-Signature."""
    is_bulk: bool = False
    """Whether the header marks mail to many recipients."""
    keeps_list_fields: bool = False
    """Whether it has List-Unsubscribe fields, or a signature that added ones would not be part of."""


def parse_facts(
    content: bytes,
    rules: DialectRules = ALL_RULES,
    context: Callable[[], DialectContext] = DialectContext,
    given: Sequence[Statement] = (),
) -> MessageFacts:
    """Parse the header fields that decisions depend on. `given` are instructions that came beside the header.

    `context` returns what fields of mail services can refer to. It is called only if there may be such fields.
    Raises InstructionError for an invalid X-Relay-* field, or one of a mail service that must not be ignored.
    """
    found = fields(content)
    long = [one for one in found if one.end - one.start > LINE_LIMIT and not is_removed(one)]
    body_at = stray_line(content, found)
    header_fault = line_fault(content, found, long, body_at)
    if body_at:
        found = [one for one in found if one.start < body_at]

    names = by_name(found)
    asked = given or may_instruct(names, rules)
    authors, author_fault = _authors(content, names)
    received = names.get(b"received", ())
    return MessageFacts(
        senders=authors.senders,
        message_id=_text(content, names.get(b"message-id")),
        subject=_text(content, names.get(b"subject"))[:200],
        has_date=b"date" in names,
        hops=len(received),
        relays=relay_hosts(content, received) if received else (),
        instructions=read_instructions(content, found, rules, context(), given) if asked else NO_INSTRUCTIONS,
        agents=authors.agents,
        header_fault=header_fault,
        author_fault=author_fault,
        reply_to=addresses_in(content, found, b"reply-to") if b"reply-to" in names else None,
        is_signed=b"dkim-signature" in names,
        is_bulk=not _BULK_FIELDS.isdisjoint(names) and is_bulk(content, found),
        keeps_list_fields=not _KEEPING.isdisjoint(names),
    )


def _authors(content: bytes, found: Mapping[bytes, Sequence[Field]]) -> tuple[Authors, str]:
    """Return the authors, and why they are not certain, "" if they are."""
    try:
        return parse_authors(content, found), ""
    except AuthorError as error:
        return Authors((), ()), str(error)


def _text(content: bytes, found: Sequence[Field] | None) -> str:
    """Return the value of the first of these fields, "" without one."""
    return found[0].value(content).decode("utf-8", "replace") if found else ""


def is_bulk(content: bytes, found: Sequence[Field]) -> bool:
    """Whether the header marks mail to many recipients."""
    if any(one.name in _LIST_FIELDS for one in found):
        return True
    return any(one.value(content).strip().lower() in _BULK for one in named(found, b"precedence"))
