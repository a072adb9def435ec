"""Submits messages of HTTP requests to the acceptor that SMTP uses: the same policy, limits, lists and durability."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from relay.admin.queue import EVENTS
from relay.api.composer import compose
from relay.api.outgoing_message import OutgoingMessage, parse_mailbox
from relay.api.substitutions import PersonalCopy, TextTooLongError, max_copy_length, personal_copies
from relay.config.settings import Settings
from relay.events.event import Kind
from relay.events.ports import StoreError
from relay.mail.canonical_address import canonical, domain_of
from relay.mail.header_lines import without_mbox_lines
from relay.mail.headers import fields
from relay.mail.instructions import Metadata, Option, OptionName, Statement, Tag
from relay.mail.reply import Reply
from relay.mail.trace_context import TRACEPARENT
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.queue.entry import State
from relay.queue.message import Message, NewMessage
from relay.reports.ports import Story, StoryStore
from relay.submission.accept import SubmissionHandler
from relay.submission.content_replies import HAS_NUL, header_refusal, store_error_reply, too_large
from relay.submission.idempotency import OTHER_MESSAGE, UNDER_WAY, Repeated

LARGE = 64 * 1024
"""Octets. A larger message is composed in a thread, because that would delay other mail."""

AT_ONCE = 50
"""Messages of one request that are accepted at the same time: the store commits them together."""

COPIES_MEMORY = 64 << 20
"""Characters of the copies of one request that are made at the same time."""


@dataclass(frozen=True, slots=True)
class Client:
    """The client of a request: its credential, and its IP address."""

    credential: str
    address: str
    traceparent: str = ""
    """The trace of its request (W3C Trace Context), "" without one."""

    @property
    def session(self) -> Session:
        """The session by which the acceptor decides."""
        return Session("api", "submission", self.address, extended=True, credential=self.credential, protocol="HTTP")


@dataclass(frozen=True, slots=True)
class Mail:
    """A composed message, and what was said beside it."""

    reverse_path: str
    recipients: tuple[str, ...]
    content: bytes
    """With CRLF line ends."""
    instructions: tuple[Statement, ...] = ()
    key: str = ""
    """Idempotency key, "" for none."""
    request: str = ""
    """Digest of the whole request, if the message is a part of it."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The result for one message: what was stored, or the refusal."""

    recipients: tuple[str, ...]
    result: NewMessage | Reply
    repeated: bool = False
    """Whether it was accepted before, by a submission with the same idempotency key."""


@dataclass(frozen=True, slots=True)
class Submitter:
    """The way into the queue for every route that sends."""

    settings: Callable[[], Settings]
    handler: SubmissionHandler
    stories: StoryStore
    on_store_error: Callable[[StoreError], None]
    """Called when a message could not be stored."""

    async def submit(
        self, client: Client, message: OutgoingMessage, key: str = "", further: Sequence[Statement] = ()
    ) -> Sequence[Submitted]:
        """Accept a message: one result, or one for each address of `to` if the message has substitutions.

        `key` is an idempotency key, "" for none. `further` are instructions that the keys of a message do not have.
        """
        if not message.substitutions:
            mail = await _composed(message, key)
            return [await self.submit_mail(client, replace(mail, instructions=(*mail.instructions, *further)))]
        return await self._submit_copies(client, message, key, further)

    async def _submit_copies(
        self, client: Client, message: OutgoingMessage, key: str, further: Sequence[Statement]
    ) -> Sequence[Submitted]:
        """Accept the copies of a message, all with one Message-ID. The first one has the key of the request itself."""
        request = blake2b(message.model_dump_json().encode(), digest_size=16).hexdigest() if key else ""
        has_id = any(name.lower() == "message-id" for name in message.headers)
        domain = domain_of(parse_mailbox(message.from_).address)
        message_id = "" if has_id else f"<{self.handler.new_id(self.handler.clock())}@{domain}>"
        limit = self.settings().limits.max_message_size
        first, *others = personal_copies(message)
        size = max_copy_length(message, (first.texts, *(one.texts for one in others)), limit)
        turns = asyncio.Semaphore(max(1, min(AT_ONCE, COPIES_MEMORY // max(size, 1))))

        async def submit(copy: PersonalCopy, own_key: str) -> Submitted:
            async with turns:
                try:
                    one = await asyncio.to_thread(copy.build, limit) if size > LARGE else copy.build(limit)
                except TextTooLongError:
                    return Submitted((parse_mailbox(copy.to).address,), too_large(limit))
                mail = await _composed(one, own_key, message_id, request)
                return await self.submit_mail(client, replace(mail, instructions=(*mail.instructions, *further)))

        submitted = await submit(first, key)
        if submitted.result in (OTHER_MESSAGE, UNDER_WAY):
            return [submitted]
        return [submitted, *await asyncio.gather(*(submit(one, derived(key, one.to)) for one in others))]

    async def submit_mail(self, client: Client, mail: Mail) -> Submitted:
        """Accept a composed message. What SMTP checks before the final dot is checked here."""
        content = without_mbox_lines(mail.content)
        settings = self.settings()
        fault = _fault(settings, mail, content) or self.handler.check_mail(client.session, Envelope(mail.reverse_path))
        if fault is not None:
            return Submitted(mail.recipients, fault)

        smtputf8 = not all(map(str.isascii, (mail.reverse_path, *mail.recipients)))
        to = tuple(map(Recipient, mail.recipients))
        envelope = Envelope(mail.reverse_path, to, "8BITMIME", smtputf8=smtputf8)
        key = (Statement("Idempotency-Key", Option("idempotency_key", mail.key)),) if mail.key else ()
        instructions = (*key, *mail.instructions, *_trace(client, mail))
        transaction = Transaction(client.session, envelope, content, instructions, mail.request)
        try:
            result = await asyncio.shield(self.handler.accept(transaction))
            if isinstance(result, Repeated):
                return Submitted(mail.recipients, await self._first_result(result.queue_id), repeated=True)
        except StoreError as error:
            self.on_store_error(error)
            result = store_error_reply(error)
        return Submitted(mail.recipients, result)

    async def _first_result(self, queue_id: str) -> NewMessage:
        """Return a message as its acceptance answered it; without recipients if it is purged."""
        found = await self.stories.story_page(queue_id, None, EVENTS)
        return NewMessage(Message(queue_id, 0.0, ""), b"", ()) if found is None else as_accepted(found[0])


def as_accepted(story: Story) -> NewMessage:
    """Return a message with its entries as they were at its acceptance."""
    message = story.message
    excluded = {
        event.number: str(event.data.get("reason", ""))
        for event in story.events
        if event.kind is Kind.DROPPED and event.at == message.created_at
    }
    entries = tuple(
        replace(
            entry,
            state=State.DROPPED if entry.number in excluded else State.WAITING,
            reason=excluded.get(entry.number, ""),
            attempts=0,
        )
        for entry in story.entries
    )
    return NewMessage(message, b"", entries)


def _trace(client: Client, mail: Mail) -> Iterator[Statement]:
    """Yield the trace of the request as metadata of its message, unless the message names one."""
    named = any(isinstance(one.content, Metadata) and one.content.name == TRACEPARENT for one in mail.instructions)
    if client.traceparent and not named and not any(one.name == TRACEPARENT.encode() for one in fields(mail.content)):
        yield Statement(TRACEPARENT, Metadata(TRACEPARENT, client.traceparent))


def _fault(settings: Settings, mail: Mail, content: bytes) -> Reply | None:
    """Return the refusal of a message that SMTP would not hand over, None for others."""
    if len(content) > settings.limits.max_message_size:
        return too_large(settings.limits.max_message_size)
    if b"\0" in content:
        return HAS_NUL
    refusal = header_refusal(content, settings.smtp.max_header_size, settings.smtp.max_header_fields)
    if refusal is not None:
        return refusal
    most = settings.limits.max_recipients
    if len(mail.recipients) > most:
        return Reply(554, "5.5.3", f"{len(mail.recipients)} recipients; {most} are allowed here: send several messages")
    return None


def derived(key: str, *parts: str) -> str:
    """Return the idempotency key of a part of a request, "" without one."""
    if not key:
        return ""
    return blake2b("\0".join((key, *parts)).encode(), digest_size=32, person=b"relay.part").hexdigest()


async def _composed(message: OutgoingMessage, key: str, message_id: str = "", request: str = "") -> Mail:
    """Return the message as mail; in a thread if it is large."""
    texts = (message.text or "", message.html or "", *(one.content for one in message.attachments))
    if sum(map(len, texts)) > LARGE:
        content = await asyncio.to_thread(compose, message, message_id)
    else:
        content = compose(message, message_id)
    sender = parse_mailbox(message.envelope_from or message.from_).address
    to = [parse_mailbox(one).address for one in (*message.to, *message.cc, *message.bcc)]
    instructions = tuple(instructions_of(message))
    return Mail(sender, distinct(to), content, instructions, key, request)


def distinct(addresses: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses without those that come again, in another spelling too."""
    found: dict[str, str] = {}
    for one in addresses:
        found.setdefault(canonical(one), one)
    return tuple(found.values())


def instructions_of(message: OutgoingMessage) -> Iterator[Statement]:
    """Yield what the keys of a message ask of the relay."""
    clicks = {None: None, True: "all", False: "off", "html": "html"}[message.track.clicks]
    options: tuple[tuple[OptionName, str, bool | str | float | None], ...] = (
        ("campaign", "campaign", message.campaign or None),
        ("opens", "track.opens", message.track.opens),
        ("clicks", "track.clicks", clicks),
        ("provider", "provider", message.provider or None),
        ("priority", "priority", message.priority),
        ("send_at", "send_at", message.send_at.timestamp() if message.send_at else None),
        ("sandbox", "sandbox", message.sandbox or None),
    )
    for name, place, value in options:
        if value is not None:
            yield Statement(place, Option(name, value))
    for tag in message.tags:
        yield Statement("tags", Tag(tag))
    for key, value in message.metadata.items():
        yield Statement("metadata", Metadata(key, value), key)
