"""Submits messages of HTTP requests to the acceptor that SMTP uses: the same policy, limits, lists and durability."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from relay.api.message import OutgoingMessage, parse_mailbox
from relay.api.mime import compose
from relay.api.substitutions import copies
from relay.config.settings import Settings
from relay.events.ports import StoreError
from relay.mail.canonical_address import canonical, domain_of
from relay.mail.dot_stuffing import normalise
from relay.mail.header_lines import without_mbox_lines
from relay.mail.headers import header_fault
from relay.mail.instructions import Metadata, Option, OptionName, Statement, Tag
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.queue.message import NewMessage
from relay.smtp.body import HAS_NUL, too_large
from relay.smtp.data import store_error_reply
from relay.submission.accept import SubmissionHandler

LARGE = 64 * 1024
"""Octets. A larger message is composed in a thread, because that would delay other mail."""

AT_ONCE = 50
"""Messages of one request that are accepted at the same time: the store commits them together."""


@dataclass(frozen=True, slots=True)
class Client:
    """The client of a request: its credential, and its IP address."""

    credential: str
    address: str

    @property
    def session(self) -> Session:
        """The session by which the acceptor decides."""
        return Session("api", "submission", self.address, extended=True, credential=self.credential, protocol="HTTP")


@dataclass(frozen=True, slots=True)
class Submitted:
    """The result for one message: what was stored, or the refusal."""

    recipients: tuple[str, ...]
    result: NewMessage | Reply


@dataclass(frozen=True, slots=True)
class Submitter:
    """The way into the queue for every route that sends."""

    settings: Callable[[], Settings]
    handler: SubmissionHandler
    on_store_error: Callable[[StoreError], None]
    """Called when a message could not be stored."""

    async def submit(self, client: Client, message: OutgoingMessage) -> Sequence[Submitted]:
        """Accept a message: one result, or one for each address of `to` if the message has substitutions."""
        if not message.substitutions:
            return [await self._submit_one(client, message, "")]

        message_id = f"<{self.handler.new_id(self.handler.clock())}@{domain_of(parse_mailbox(message.from_).address)}>"
        turns = asyncio.Semaphore(AT_ONCE)

        async def submit(one: OutgoingMessage) -> Submitted:
            async with turns:
                return await self._submit_one(client, one, message_id)

        return await asyncio.gather(*map(submit, copies(message)))

    async def submit_content(
        self,
        client: Client,
        reverse_path: str,
        recipients: Sequence[str],
        content: bytes,
        instructions: Sequence[Statement] = (),
    ) -> NewMessage | Reply:
        """Accept a composed message for these addresses. What SMTP checks before the final dot is checked here."""
        settings = self.settings()
        content = without_mbox_lines(normalise(content))
        if len(content) > settings.limits.max_message_size:
            return too_large(settings.limits.max_message_size)
        if b"\0" in content:
            return HAS_NUL
        fault = header_fault(content, settings.smtp.max_header_size, settings.smtp.max_header_fields)
        if fault:
            return Reply(554, "5.6.0", fault)

        to = tuple(Recipient(one) for one in {canonical(one): one for one in reversed(recipients)}.values())[::-1]
        if len(to) > settings.limits.max_recipients:
            most = settings.limits.max_recipients
            return Reply(554, "5.5.3", f"The message has {len(to)} recipients; {most} are allowed here: send several")
        smtputf8 = not all(map(str.isascii, (reverse_path, *recipients)))
        envelope = Envelope(reverse_path, to, "8BITMIME", smtputf8=smtputf8)
        return await self._accept(Transaction(client.session, envelope, content, tuple(instructions)))

    async def _submit_one(self, client: Client, message: OutgoingMessage, message_id: str) -> Submitted:
        content = await _composed(message, message_id)
        sender = parse_mailbox(message.envelope_from or message.from_).address
        to = tuple(parse_mailbox(one).address for one in (*message.to, *message.cc, *message.bcc))
        instructions = tuple(instructions_of(message))
        return Submitted(to, await self.submit_content(client, sender, to, content, instructions))

    async def _accept(self, transaction: Transaction) -> NewMessage | Reply:
        refused = self.handler.check_mail(transaction.session, transaction.envelope)
        if refused is not None:
            return refused
        try:
            return await asyncio.shield(self.handler.accept(transaction))
        except StoreError as error:
            self.on_store_error(error)
            return store_error_reply(error)


async def _composed(message: OutgoingMessage, message_id: str) -> bytes:
    texts = (message.text or "", message.html or "", *(one.content for one in message.attachments))
    if sum(map(len, texts)) > LARGE:
        return await asyncio.to_thread(compose, message, message_id)
    return compose(message, message_id)


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
