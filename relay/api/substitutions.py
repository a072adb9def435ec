"""Messages of their own for recipients of one request, with their texts replaced. Pure."""

import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from relay.api.outgoing_message import OutgoingMessage, parse_mailbox
from relay.mail.canonical_address import canonical
from relay.mail.instructions import MAX_VALUE

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class TextTooLongError(ValueError):
    """A text would be too long with its replacements."""


@dataclass(frozen=True, slots=True)
class PersonalCopy:
    """A copy for one address of `to`. Its message is built late: a request may have a thousand copies."""

    message: OutgoingMessage
    to: str
    texts: Mapping[str, str]

    def build(self, limit: int) -> OutgoingMessage:
        """Return the message of this recipient. Raises TextTooLongError for a text of more than `limit` characters."""
        one = self.message.model_copy(update={"to": (self.to,), "substitutions": {}})
        return substitute(one, self.texts, limit)


def personal_copies(message: OutgoingMessage) -> Iterator[PersonalCopy]:
    """Yield the copies for the addresses of `to`. Values are escaped in HTML; in fields their line ends become blanks.

    Texts are replaced in one pass: a value is never searched for other texts. A text without a value stays.
    """
    values = {canonical(address): texts for address, texts in message.substitutions.items()}
    seen: set[str] = set()
    for one in message.to:
        address = canonical(parse_mailbox(one).address)
        if address not in seen:
            seen.add(address)
            yield PersonalCopy(message, one, values.get(address, {}))


def max_copy_length(message: OutgoingMessage, texts: Iterable[Mapping[str, str]], limit: int) -> int:
    """Return how many characters a copy with these texts can have: an upper bound, and at most about `limit` more."""
    length = sum(map(len, (message.text or "", message.html or "", *(one.content for one in message.attachments))))
    longest = max((_at_most(length, one) for one in texts if one), default=length)
    return min(longest, length + limit)


def substitute(message: OutgoingMessage, texts: Mapping[str, str], limit: int) -> OutgoingMessage:
    """Return the message with these texts replaced in its subject, bodies, header fields and metadata.

    Raises TextTooLongError for a text of more than `limit` characters.
    """
    if not texts:
        return message
    plain = replacer(texts, limit)
    field = replacer({text: _CONTROL.sub(" ", value) for text, value in texts.items()}, limit)
    escaped = replacer({text: html.escape(value) for text, value in texts.items()}, limit)
    changed = {
        "subject": field(message.subject),
        "text": None if message.text is None else plain(message.text),
        "html": None if message.html is None else escaped(message.html),
        "headers": {name: field(value) for name, value in message.headers.items()},
        "metadata": {name: field(value)[:MAX_VALUE] for name, value in message.metadata.items()},
    }
    return message.model_copy(update=changed)


def replacer(texts: Mapping[str, str], limit: int) -> Callable[[str], str]:
    """Return a function that replaces each of these texts by its value; of two at one place the longer.

    It raises TextTooLongError before it makes a text of more than `limit` characters. A short text may occur
    everywhere, and have a long value.
    """
    found = re.compile("|".join(re.escape(one) for one in sorted(texts, key=len, reverse=True)))

    def replaced(text: str) -> str:
        if _at_most(len(text), texts) > limit:
            grown = sum(len(texts[match[0]]) - len(match[0]) for match in found.finditer(text))
            if len(text) + grown > limit:
                raise TextTooLongError(f"with its replacements it has {len(text) + grown} characters")
        return found.sub(lambda match: texts[match[0]], text)

    return replaced


def _at_most(length: int, texts: Mapping[str, str]) -> int:
    """Return how long a text of this length can be with its replacements."""
    most = max(len(value) for value in texts.values())
    return length + length // min(map(len, texts)) * most
