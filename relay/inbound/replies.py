"""Classifies a reply: human, automatic, or an unsubscribe request."""

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relay.dsn.auto_reply import is_auto_reply, is_marked_automatic
from relay.dsn.mime_parts import Header, decode_words
from relay.dsn.report import Report
from relay.inbound.unsubscribe_request import Answered, UnsubscribeRequest, bare_subject, find_unsubscribe_request
from relay.mail.headers import body_start, fields, first_text, first_value

if TYPE_CHECKING:
    from relay.dsn.returned_mail import Received


_MAX_FIELD = 500
"""Maximum characters stored of a field."""


@dataclass(frozen=True, slots=True)
class ReplyInfo:
    """Classification of a reply."""

    automatic: bool
    marked: bool
    """Header fields prove that it is automatic. Without them its words may be a person's."""
    request: UnsubscribeRequest | None
    """The unsubscribe request in it; always None for an automatic reply."""


def parse_reply(content: bytes, report: Report, answered: Answered) -> ReplyInfo:
    """Classify a reply to a message; linear in the content.

    A person's reply repeats the message's subject. A subject that reads like an automatic one then proves nothing.
    """
    # Imported here: its patterns take a tenth of a second to compile, which would delay the start.
    from relay.dsn.returned_mail import read

    mail, answered = read(content), replace(answered, subject=decode_words(answered.subject))
    marked = is_marked_automatic(mail.header)
    automatic = marked or (report.kind == "auto-reply" and not _only_repeats(mail, answered.subject))
    request = None if automatic else find_unsubscribe_request(mail.subject, mail.text, answered, mail.author)
    return ReplyInfo(automatic, marked, request)


def _only_repeats(mail: "Received", about: str) -> bool:
    """Whether only the subject marks the mail as automatic, and it repeats the message's subject."""
    if not about or bare_subject(mail.subject) != bare_subject(about):
        return False
    rest = Header(tuple(pair for pair in mail.header.pairs if pair[0] != "subject"))
    return not is_auto_reply(rest, mail.text)


def header_of(content: bytes, *, exact: bool) -> dict[str, object]:
    """Return the fields of a mail that are recorded, and those that identify it: its Message-ID.

    Without a Message-ID, or with `exact`, a digest of its date and body is added: servers in between change neither.
    `exact` is for mail that must not be lost where programs reuse a Message-ID.
    """
    found = fields(content)
    named = {"from": b"from", "subject": b"subject", "message_id": b"message-id"}
    recorded: dict[str, object] = {key: first_text(content, found, name)[:_MAX_FIELD] for key, name in named.items()}

    if exact or not recorded["message_id"]:
        digest = hashlib.blake2b(first_value(content, found, b"date") or b"", digest_size=16)
        digest.update(content[body_start(content) :])
        recorded["digest"] = digest.hexdigest()
    return recorded
