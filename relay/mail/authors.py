"""Authors and senders of a message: its From, Sender and Resent- fields (RFC 5322 sections 3.6.2 and 3.6.6). Pure."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain

from relay.frozen import dataclass
from relay.mail.address_list import MAX_LIST, Unreadable, parse_address_list
from relay.mail.headers import Field, fields, named, unfold

_MAX_CACHED = 320
"""Octets of a field whose addresses are cached, at most: a stranger's long list is not."""

_AGENTS = {b"sender": "Sender", b"resent-from": "Resent-From", b"resent-sender": "Resent-Sender"}


class AuthorError(ValueError):
    """The author of the message is not certain; the text says why."""


@dataclass(frozen=True, slots=True)
class Authors:
    """Addresses in whose name a message is sent."""

    senders: tuple[str, ...]
    """Mailboxes of From; at least one."""
    agents: tuple[str, ...]
    """Mailboxes of Sender, Resent-From and Resent-Sender."""


def parse_authors(content: bytes, found: Mapping[bytes, Sequence[Field]]) -> Authors:
    """Parse the fields, given by name.

    Raises AuthorError unless there is exactly one From with an address and every field is valid.
    """
    from_fields = found.get(b"from", ())
    agent_fields = () if _AGENTS.keys().isdisjoint(found) else _in_order(found, _AGENTS)
    if len(from_fields) != 1:
        raise AuthorError(f"The message has {len(from_fields) or 'no'} From fields; it needs exactly one")
    if sum([one.end - one.value_start for one in (*from_fields, *agent_fields)]) > MAX_LIST:
        raise AuthorError(f"From, Sender and Resent- fields have more than {MAX_LIST} octets")

    senders = _parse(content, from_fields[0], "From")
    if not agent_fields:
        return Authors(senders, ())
    agents = [_parse(content, one, _AGENTS[one.name]) for one in agent_fields]
    return Authors(senders, tuple(chain.from_iterable(agents)))


def _in_order(found: Mapping[bytes, Sequence[Field]], names: Iterable[bytes]) -> tuple[Field, ...]:
    """Return the fields of these names in the order of the header."""
    return tuple(sorted(chain.from_iterable(found.get(name, ()) for name in names), key=lambda one: one.start))


def addresses_in(content: bytes, found: Iterable[Field], name: bytes) -> tuple[str, ...] | Unreadable:
    """Return the addresses of all fields of that lower-case name, in order; or the first fault."""
    given = list(named(found, name))
    if sum(one.end - one.value_start for one in given) > MAX_LIST:
        return Unreadable(f"fields of more than {MAX_LIST} octets", 0)

    addresses: list[str] = []
    for one in given:
        parsed = _mailboxes(content, one)
        if isinstance(parsed, Unreadable):
            return parsed
        addresses += parsed
    return tuple(addresses)


def author_of(content: bytes) -> str:
    """Return the first address of From; "" if there is none or the field is not valid."""
    addresses = addresses_in(content, fields(content), b"from")
    return "" if isinstance(addresses, Unreadable) else next(iter(addresses), "")


def sole_author_of(content: bytes) -> str:
    """Return the address of From if there is one field with one address, else "": for proofs, which must be certain."""
    found = fields(content)
    addresses = addresses_in(content, found, b"from")
    if isinstance(addresses, Unreadable) or len(addresses) != 1 or len(list(named(found, b"from"))) != 1:
        return ""
    return addresses[0]


def _parse(content: bytes, field: Field, name: str) -> tuple[str, ...]:
    parsed = _mailboxes(content, field)
    if isinstance(parsed, Unreadable):
        raise AuthorError(f"{name} cannot be read: {parsed} (RFC 5322 section 3.4)")
    if not parsed:
        raise AuthorError(f"{name} has no address (RFC 5322 section 3.6.2)")
    return parsed


def _mailboxes(content: bytes, field: Field) -> tuple[str, ...] | Unreadable:
    given = content[field.value_start : field.end]
    return _addresses(given) if len(given) <= _MAX_CACHED else _addresses.__wrapped__(given)


@lru_cache(maxsize=1024)
def _addresses(given: bytes) -> tuple[str, ...] | Unreadable:
    """Return the addresses of a field. Cached: many messages have one author."""
    parsed = parse_address_list(unfold(given).decode("utf-8", "surrogateescape"))
    return parsed if isinstance(parsed, Unreadable) else tuple([one.address for one in parsed])
