"""Authors and senders of a message: its From, Sender and Resent- fields (RFC 5322 sections 3.6.2 and 3.6.6). Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relay.mail.address_list import Unreadable, parse_address_list
from relay.mail.headers import Field, fields, named

_AGENTS = {b"sender": "Sender", b"resent-from": "Resent-From", b"resent-sender": "Resent-Sender"}


class AuthorError(ValueError):
    """The message does not say for certain who sends it; the text says why."""


@dataclass(frozen=True, slots=True)
class Authors:
    """Addresses a message is sent in the name of."""

    senders: tuple[str, ...]
    """Mailboxes of From; at least one."""
    agents: tuple[str, ...]
    """Mailboxes of Sender, Resent-From and Resent-Sender."""


def read_authors(content: bytes, found: Sequence[Field]) -> Authors:
    """Read all of them; raise AuthorError unless there is one From with an address, and every field can be read."""
    given = list(named(found, b"from"))
    if len(given) != 1:
        raise AuthorError(f"The message has {len(given) or 'no'} From fields; it needs exactly one")
    senders = _read(content, given[0], "From")
    agents = [_read(content, one, _AGENTS[one.name]) for one in found if one.name in _AGENTS]
    return Authors(senders, tuple(address for addresses in agents for address in addresses))


def addresses_in(content: bytes, found: Iterable[Field], name: bytes) -> tuple[str, ...] | Unreadable:
    """Return the addresses of all fields of that lower-case name, in order; or the first fault."""
    addresses: list[str] = []
    for one in named(found, name):
        read = _mailboxes(content, one)
        if isinstance(read, Unreadable):
            return read
        addresses += read
    return tuple(addresses)


def author_of(content: bytes) -> str:
    """Return the first address of From; "" when there is none, or none that can be read for certain."""
    addresses = addresses_in(content, fields(content), b"from")
    return "" if isinstance(addresses, Unreadable) else next(iter(addresses), "")


def _read(content: bytes, field: Field, name: str) -> tuple[str, ...]:
    read = _mailboxes(content, field)
    if isinstance(read, Unreadable):
        raise AuthorError(f"{name} cannot be read: {read} (RFC 5322 section 3.4)")
    if not read:
        raise AuthorError(f"{name} has no address (RFC 5322 section 3.6.2)")
    return read


def _mailboxes(content: bytes, field: Field) -> tuple[str, ...] | Unreadable:
    read = parse_address_list(field.value(content).decode("utf-8", "surrogateescape"))
    return read if isinstance(read, Unreadable) else tuple(one.address for one in read)
