"""An answer to a message of ours, read: from a person or a robot, and whether it asks for no more mail. Pure."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay.dsn.auto_reply import is_auto_reply, is_marked_automatic
from relay.dsn.parts import Header
from relay.dsn.report import Report
from relay.dsn.words import decode_words
from relay.inbound.unsubscribe_request import Request, bare_subject, request_in
from relay.mail.headers import body_start, fields, first_value

if TYPE_CHECKING:
    from relay.dsn.received import Received

_LONGEST = 500
"""Characters kept of a field."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer is."""

    automatic: bool
    marked: bool
    """Fields prove that it is automatic: nobody misses it. Words alone may be a person's."""
    request: Request | None
    """That it asks to be unsubscribed; a robot never does."""


def read_answer(content: bytes, report: Report, about: str) -> Answer:
    """Read an answer to a message with the subject `about`; linear in the content.

    A person who answers a message whose own subject reads like a robot's repeats that subject: then it proves nothing.
    """
    # Patterns that take a tenth of a second to compile, in the thread this runs in: no start waits for them.
    from relay.dsn.received import read

    mail, about = read(content), decode_words(about)
    marked = is_marked_automatic(mail.header)
    automatic = marked or (report.kind == "auto-reply" and not _only_repeats(mail, about))
    return Answer(automatic, marked, None if automatic else request_in(mail.subject, mail.text, about))


def header_of(content: bytes, *, exact: bool) -> dict[str, object]:
    """Return what the story tells of a mail, and what tells one mail from another: its Message-ID.

    Where that is missing, or must not be relied on (`exact`: programs that use one again must not lose mail), a digest
    of its date and body is there too. Neither changes on the way between servers.
    """
    found = fields(content)
    named = {"from": b"from", "subject": b"subject", "message_id": b"message-id"}
    values = {key: first_value(content, found, name) or b"" for key, name in named.items()}
    told: dict[str, object] = {key: value.decode("utf-8", "replace")[:_LONGEST] for key, value in values.items()}
    if exact or not told["message_id"]:
        digest = hashlib.blake2b(first_value(content, found, b"date") or b"", digest_size=16)
        digest.update(content[body_start(content) :])
        told["digest"] = digest.hexdigest()
    return told


def _only_repeats(mail: "Received", about: str) -> bool:
    """Tell whether nothing but the subject speaks for a robot, and the subject is ours."""
    if not about or bare_subject(mail.subject) != bare_subject(about):
        return False
    rest = Header(tuple(pair for pair in mail.header.pairs if pair[0] != "subject"))
    return not is_auto_reply(rest, mail.text)
