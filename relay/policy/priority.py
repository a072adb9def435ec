"""The priority of a message: asked for by the application, else by what the message is. Pure."""

from collections.abc import Sequence

from relay.limits.priority import Priority
from relay.mail.headers import Field, named
from relay.mail.instructions import Instructions

_LIST_FIELDS = (b"list-unsubscribe", b"list-id")
"""Fields of mail to many (RFC 2369, RFC 2919)."""

_BULK = frozenset({b"bulk", b"list", b"junk"})
"""Values of Precedence (RFC 3834 section 3.1.8) of mail to many."""


def is_bulk(content: bytes, found: Sequence[Field]) -> bool:
    """Whether the header marks mail to many recipients."""
    if any(one.name in _LIST_FIELDS for one in found):
        return True
    return any(one.value(content).strip().lower() in _BULK for one in named(found, b"precedence"))


def priority_of(instructions: Instructions, *, bulk: bool) -> Priority:
    """Return the priority that the application asked for; else CAMPAIGN for campaigns and mail to many, else NORMAL."""
    if instructions.priority:
        return Priority[instructions.priority.upper()]
    return Priority.CAMPAIGN if instructions.campaign or bulk else Priority.NORMAL
