"""What the forms of all services share: the translated message, its faults, and lists of addresses. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from relay.api.outgoing_message import MAX_RECIPIENTS, OutgoingMessage, parse_mailbox
from relay.api.request_bodies import faults
from relay.mail.address_list import Unreadable, parse_address_list
from relay.mail.instructions import InstructionError, Statement

MAX_ADDRESSES = 256 * 1024
"""Characters of one list of addresses: 1,000 of them with names, which header fields of mail do not have."""


class FormError(ValueError):
    """A request that is not valid. `field` is its key, "" for the whole; `code` the number of the fault, 0 for none."""

    def __init__(self, text: str, field: str = "", code: int = 0) -> None:
        super().__init__(text)
        self.field = field
        self.code = code


@dataclass(frozen=True, slots=True)
class Translated:
    """A message in the form of the API, and the settings that only the form of the service has."""

    message: OutgoingMessage
    instructions: tuple[Statement, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    """Texts to replace when the message is accepted."""


def mailboxes(field: str, texts: Iterable[str]) -> list[str]:
    """Return each mailbox of these lists as "Ada <ada@example.com>". Raises FormError.

    Lists after more mailboxes than a message may have are not read.
    """
    found: list[str] = []
    for text in texts:
        parsed = parse_address_list(text, MAX_ADDRESSES)
        if isinstance(parsed, Unreadable):
            raise FormError(f"{field}: {text[:100]!r} is no list of addresses: {parsed}", field)
        found += [f"{one.name} <{one.address}>" if one.name else one.address for one in parsed]
        if len(found) > MAX_RECIPIENTS:
            break
    return found


def addresses(texts: Iterable[str]) -> list[str]:
    """Return the addresses of mailboxes."""
    return [parse_mailbox(one).address for one in texts]


def parse_recipients(field: str, texts: Iterable[str]) -> list[str]:
    """Return the addresses in lists of mailboxes. Raises FormError."""
    return addresses(mailboxes(field, texts))


def message_of(values: Mapping[str, object]) -> OutgoingMessage:
    """Return the message with these keys, those without a value left out. Raises FormError with all faults."""
    try:
        return OutgoingMessage.model_validate({key: value for key, value in values.items() if value not in (None, "")})
    except ValidationError as error:
        found = faults(error, OutgoingMessage)
        raise FormError("; ".join(found), found[0].partition(":")[0]) from None


def renamed(said: Iterable[Statement], names: Mapping[str, str]) -> list[Statement]:
    """Return statements under the names that the form has for their fields. Raises FormError for a refused one."""
    try:
        return [Statement(names.get(one.field, one.field), one.content, one.key) for one in said]
    except InstructionError as error:
        raise FormError(str(error)) from None


def text_of(form: Mapping[str, Sequence[str]], key: str) -> str | None:
    """Return the last value of a key, None if it is absent."""
    values = form.get(key)
    return values[-1] if values else None
