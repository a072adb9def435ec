"""Finds the message and recipient that returned mail is about."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relay.dsn.mime_parts import decode_words, read_header
from relay.dsn.report import Recipient, Report
from relay.inbound.inbound_mail import InboundMail
from relay.mail import authors
from relay.mail.address_list import Mailbox, Unreadable, parse_address_list
from relay.mail.canonical_address import canonical, domain_of
from relay.mail.headers import fields, first_text
from relay.mail.received import queue_id_in
from relay.mail.subject import is_forwarded
from relay.queue.entry import Entry
from relay.reports.ports import MessageQuery, Story, StoryStore
from relay.rewrite.tokens import Token

_ID = re.compile(r"<[^<>\s]{1,900}>")

MAX_MESSAGE_IDS = 20
"""Maximum number of Message-IDs to look up."""

_FIELDS = ("in-reply-to", "references")

_RECIPIENT_FIELDS = ("to", "cc", "delivered-to", "x-original-to", "envelope-to")


@dataclass(frozen=True, slots=True)
class OriginalRecipient:
    """The recipient of one of relay's messages that a mail is about."""

    queue_id: str
    number: int
    story: Story
    certain: bool = True
    """False where the message is known but the answering recipient is a guess."""

    @property
    def address(self) -> str:
        """The recipient's address, "" when no recipient answered for certain."""
        return self.entry.recipient if self.entry else ""

    @property
    def entry(self) -> Entry | None:
        """The entry of the recipient, None for a message without recipients."""
        return next((one for one in self.story.entries if one.number == self.number), None)


Match = tuple[OriginalRecipient, Recipient | None]
"""A recipient, and its fields in the report."""


async def find_matches(stories: StoryStore, mail: InboundMail, hostname: str) -> Sequence[Match]:
    """Return the recipients the mail is about, with their fields in the report."""
    identity = mail.identity
    if mail.token is not None:
        return await match_token(stories, mail.token, mail.report, identity)
    if not mail.is_answer:
        return await match_report(stories, mail.report, identity, hostname)
    found = await match_thread(stories, mail.content, mail.report, identity)
    if found or not identity:
        return found
    return await match_author(stories, mail.content, mail.report, identity)


async def match_token(store: StoryStore, token: Token, report: Report, identity: str) -> Sequence[Match]:
    """Return the recipient a token was signed for, none when the message is forgotten. `identity`: `match_report`."""
    stories = await store.stories(MessageQuery(queue_id=token.queue_id))
    subjects = [OriginalRecipient(token.queue_id, token.number, story) for story in stories if _is_of(story, identity)]
    return [(subject, about(report, subject.address)) for subject in subjects if subject.entry is not None]


async def match_report(store: StoryStore, report: Report, identity: str, hostname: str) -> Sequence[Match]:
    """Return the recipients a report names, of the message it returns: none that the message was not sent to.

    The message is found by its Message-ID, else by the Received field that this host added. With an `identity`, only
    its own messages are searched. Anybody may write to its CC tracking address, so mail to that address must not affect
    messages of other identities.
    """
    if not report.recipients:
        return []
    queries = [MessageQuery(message_id=report.message_id, identity=identity)] if report.message_id else []
    queries += (MessageQuery(queue_id=one, identity=identity) for one in _queue_ids(report, hostname))
    for query in queries:
        for story in await store.stories(query):
            if found := _named_recipients(story, report) or _redirected_recipient(story, report):
                return found
    return []


def _queue_ids(report: Report, hostname: str) -> list[str]:
    traces = (queue_id_in(value, hostname) for name, value in report.returned if name == "received")
    return list(dict.fromkeys(filter(None, traces)))[:MAX_MESSAGE_IDS]


def _named_recipients(story: Story, report: Report) -> list[Match]:
    return [
        (OriginalRecipient(story.message.queue_id, entry.number, story), one)
        for entry in story.entries
        for one in report.recipients
        if canonical(entry.recipient) in (canonical(one.address), canonical(one.final_address))
    ]


def _redirected_recipient(story: Story, report: Report) -> list[Match]:
    """Return the only recipient of a message, if the returned header names it and the report only a further address.

    The receiving host forwards mail to that address.
    """
    entries = [one for one in story.entries if one.number not in story.message.policy.copies]
    if len(entries) != 1 or len(report.recipients) != 1:
        return []
    named = {
        canonical(one.address) for name, value in report.returned if name in _RECIPIENT_FIELDS for one in _listed(value)
    }
    subject = OriginalRecipient(story.message.queue_id, entries[0].number, story)
    return [(subject, report.recipients[0])] if canonical(entries[0].recipient) in named else []


def _listed(value: str) -> Sequence[Mailbox]:
    found = parse_address_list(value)
    return () if isinstance(found, Unreadable) else found


async def match_thread(store: StoryStore, content: bytes, report: Report, identity: str) -> Sequence[Match]:
    """Return the recipient that answered, by the Message-IDs the mail refers to. `identity` as in `match_report`."""
    author = author_of(content, report, identity)
    for message_id in referenced_message_ids(content, report):
        for story in await store.stories(MessageQuery(message_id=message_id, identity=identity, limit=1)):
            if report.kind != "auto-reply" and _is_own(story, author, content):
                continue
            subject = _answering(story, author)
            return [(subject, about(report, subject.address))]
    return []


async def match_author(store: StoryStore, content: bytes, report: Report, identity: str) -> Sequence[Match]:
    """Return the latest message of the identity to the author of a mail; copies (`bcc`) are ignored.

    None for mail of the identity itself: that is a copy of a message, not an answer to one.
    """
    author = author_of(content, report, identity)
    if canonical(author) == canonical(identity):
        return []
    stories = await store.stories(MessageQuery(recipient=author, identity=identity, limit=1)) if author else ()
    return [
        (OriginalRecipient(story.message.queue_id, entry.number, story), about(report, entry.recipient))
        for story in stories
        for entry in story.entries
        if canonical(entry.recipient) == canonical(author) and entry.number not in story.message.policy.copies
    ][:1]


async def match_own(store: StoryStore, content: bytes, report: Report, identity: str) -> str:
    """Return the queue id of the message of the identity that a mail is a copy of, "" if it is none."""
    message_id = first_text(content, fields(content), b"message-id")
    if not message_id or canonical(author_of(content, report, identity)) != canonical(identity):
        return ""
    stories = await store.stories(MessageQuery(message_id=message_id, identity=identity, limit=1))
    return stories[0].message.queue_id if stories else ""


def author_of(content: bytes, report: Report, identity: str) -> str:
    """Return the author of a mail; of the enclosed mail when the identity's own mailbox forwarded it."""
    author = authors.author_of(content)
    enclosed = parse_address_list(next((value for name, value in report.returned if name == "from"), ""))
    inside = "" if isinstance(enclosed, Unreadable) or not enclosed else enclosed[0].address
    return inside if inside and canonical(author) == canonical(identity) else author


def about(report: Report, address: str) -> Recipient | None:
    """Return the report's fields for a recipient: those of its address, else of the first that failed."""
    named = (one for one in report.recipients if address and canonical(address) == canonical(one.address))
    failed = (one for one in report.recipients if one.action in ("failed", "complained"))
    anything = Recipient("", "complained" if report.kind == "complaint" else "failed", diagnostic=report.text)
    known = next(named, None) or next(failed, None) or next(iter(report.recipients), None)
    return known or (anything if report.kind in ("bounce", "complaint") else None)


def referenced_message_ids(content: bytes, report: Report) -> list[str]:
    """Return the Message-IDs a mail answers, the nearest first, then those of a message enclosed in it.

    References lists the oldest first, so it is read backwards.
    """
    header = read_header(content).pairs
    own = [found for name in _FIELDS for found in _ids(header, name)]
    enclosed = [found for name in ("message-id", *_FIELDS) for found in _ids(report.returned, name)]
    return list(dict.fromkeys([*own, *enclosed]))[:MAX_MESSAGE_IDS]


def _ids(pairs: Iterable[tuple[str, str]], name: str) -> list[str]:
    return [found for key, value in pairs if key == name for found in reversed(_ID.findall(value))]


def _is_of(story: Story, identity: str) -> bool:
    return not identity or story.message.policy.identity == identity


def _is_own(story: Story, author: str, content: bytes) -> bool:
    """Whether the author of the message wrote again: not as its recipient, and not forwarding an answer."""
    if canonical(author) != canonical(story.message.header_from):
        return False
    subject = decode_words(first_text(content, fields(content), b"subject"))
    return not is_forwarded(subject) and all(canonical(one.recipient) != canonical(author) for one in story.entries)


def _answering(story: Story, author: str) -> OriginalRecipient:
    """Return the recipient that answered: the author, else one of the same domain, else the first."""
    entries = [one for one in story.entries if one.number not in story.message.policy.copies]

    def subject(found: Sequence[Entry], *, certain: bool) -> OriginalRecipient:
        return OriginalRecipient(story.message.queue_id, found[0].number if found else 0, story, certain)

    if same := [one for one in entries if canonical(one.recipient) == canonical(author)]:
        return subject(same, certain=True)
    near = [one for one in entries if domain_of(one.recipient) == domain_of(author)]
    return subject(near or entries, certain=len(entries) == 1)
