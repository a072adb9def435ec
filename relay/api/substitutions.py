"""Messages of their own for recipients of one request, with their texts replaced. Pure."""

import html
import re
from collections.abc import Callable, Iterator, Mapping

from relay.api.outgoing_message import OutgoingMessage, parse_mailbox
from relay.mail.canonical_address import canonical
from relay.mail.instructions import MAX_VALUE

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def copies(message: OutgoingMessage) -> Iterator[OutgoingMessage]:
    """Yield a message for each address of `to`. Values are escaped in HTML; in fields their line ends become blanks.

    Texts are replaced in one pass: a value is never searched for other texts. A text without a value stays.
    """
    values = {canonical(address): texts for address, texts in message.substitutions.items()}
    seen: set[str] = set()
    for one in message.to:
        address = canonical(parse_mailbox(one).address)
        if address not in seen:
            seen.add(address)
            yield _copy(message, one, values.get(address, {}))


def _copy(message: OutgoingMessage, to: str, texts: Mapping[str, str]) -> OutgoingMessage:
    return with_texts(message.model_copy(update={"to": (to,), "substitutions": {}}), texts)


def with_texts(message: OutgoingMessage, texts: Mapping[str, str]) -> OutgoingMessage:
    """Return the message with these texts replaced in its subject, bodies, header fields and metadata."""
    if not texts:
        return message
    plain = replacer(texts)
    field = replacer({text: _CONTROL.sub(" ", value) for text, value in texts.items()})
    escaped = replacer({text: html.escape(value) for text, value in texts.items()})
    changed = {
        "subject": field(message.subject),
        "text": None if message.text is None else plain(message.text),
        "html": None if message.html is None else escaped(message.html),
        "headers": {name: field(value) for name, value in message.headers.items()},
        "metadata": {name: field(value)[:MAX_VALUE] for name, value in message.metadata.items()},
    }
    return message.model_copy(update=changed)


def replacer(texts: Mapping[str, str]) -> Callable[[str], str]:
    """Return a function that replaces each of these texts by its value; of two at one place the longer."""
    found = re.compile("|".join(re.escape(one) for one in sorted(texts, key=len, reverse=True)))
    return lambda text: found.sub(lambda match: texts[match[0]], text)
