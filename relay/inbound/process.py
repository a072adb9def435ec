"""Processes inbound mail: parses, correlates, records events, and forwards."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from relay.clock import Clock
from relay.config.settings import Settings
from relay.domains.mail_exchanger import MailExchanger
from relay.dsn.classify import classify_recipient
from relay.dsn.report import Kind as ReportKind
from relay.dsn.report import Recipient, Report
from relay.events.event import Event, Kind
from relay.events.ports import Publish
from relay.inbound.addresses import (
    CcAddress,
    MessageAddress,
    RoleAddress,
    SrsAddress,
    UnsubscribeAddress,
    addressees,
    parse_own_address,
    return_paths_in,
    token_in,
)
from relay.inbound.correlate import (
    Match,
    OriginalRecipient,
    author_of,
    match_author,
    match_own,
    match_report,
    match_thread,
    match_token,
)
from relay.inbound.forward import ForwardTarget, forward
from relay.inbound.forward_policy import UNKNOWN, forward_answer, receive_untied, refuse_mail_to_return_path
from relay.inbound.inbound_mail import READ, InboundMail
from relay.inbound.ports import ReturnedMailStore
from relay.inbound.proof import Proof, prove, vouchers_of
from relay.inbound.replies import parse_reply
from relay.inbound.returned_events import event_of, evidence, reply_event, report_event, unsubscribe_event
from relay.inbound.spam import forged_author, spam_mark
from relay.inbound.unforwarded_record import NOT_FORWARDED, unforwarded
from relay.inbound.unsubscribe_request import Answered
from relay.log import Emit
from relay.mail.canonical_address import domain_of
from relay.mail.headers import header_fault
from relay.mail.reply import Reply
from relay.mail.transaction import Transaction
from relay.queue.bounce_policy import BouncePolicy, event_fields, guidance_text
from relay.queue.message import NewMessage, ReturnedMail
from relay.queue.ports import QueueStore
from relay.reports.ports import StoryStore
from relay.resolver import Lookups
from relay.rewrite.tokens import Keyring, Token
from relay.rewrite.tokens import Kind as TokenKind
from relay.suppression.ports import UnsubscribeStore
from relay.suppression.unsubscribes import Unsubscribe


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """Result of processing one mail."""

    kind: ReportKind
    """`other` is ordinary mail: no bounce, complaint or automatic reply."""
    joined: bool
    """Whether it belongs to a message of this relay."""
    events: tuple[Event, ...] = ()
    """New events; empty for mail already recorded or unrelated."""
    refusal: Reply | None = None
    """The refusal; then nothing was recorded."""


@dataclass(frozen=True, slots=True)
class InboundProcessor:
    """Processes mail of the inbound listener and of the bounce mailbox. Sends no replies: no backscatter."""

    settings: Callable[[], Settings]
    keyring: Callable[[], Keyring]
    bounce_policy: Callable[[], BouncePolicy]
    queue: QueueStore
    stories: StoryStore
    returned: ReturnedMailStore
    unsubscribes: UnsubscribeStore
    exchanger_of: Callable[[str], MailExchanger]
    """Returns the mail exchanger of a domain."""
    resolver: Callable[[], Lookups]
    clock: Clock
    new_id: Callable[[float], str]
    publish: Publish
    wake: Callable[[], None]
    """Wakes the queue runner."""
    log: Emit

    async def process(
        self, content: bytes, recipient: str = "", transaction: Transaction | None = None
    ) -> ProcessResult:
        """Process a mail. `recipient` is the address it was sent to, "" if unknown (bounce mailbox).

        The message is found by the token of the recipient, else by a token in the mail. Else the Message-ID and
        recipient of the report identify it, the Message-IDs it refers to, or its author.

        Answers are forwarded only with a `transaction`. The same mail is recorded and forwarded only once. Raises
        StoreError if not everything was made durable; the mail must then be processed again.
        """
        smtp = self.settings().smtp
        if transaction is None and header_fault(content, smtp.max_header_size, smtp.max_header_fields):
            self.log("inbound.taken", queue_id="", kind="other", to=recipient)
            return ProcessResult("other", joined=False)

        mail = await self._parse(content, recipient, transaction)
        if transaction is not None and isinstance(mail.destination, SrsAddress):
            return await self._forward_to_origin(mail, mail.destination, transaction)
        if transaction is not None and isinstance(mail.destination, RoleAddress):
            return await self._forward_to_operator(mail, mail.destination, transaction)

        pairs = await self._matches(mail)
        if transaction is not None and isinstance(mail.destination, MessageAddress | UnsubscribeAddress) and not pairs:
            return ProcessResult(mail.report.kind, joined=False, refusal=UNKNOWN)
        if transaction is not None and (reason := await self._spam_reason(mail, transaction, pairs)):
            now, about = self.clock(), pairs[0][0].queue_id if pairs else ""
            address = mail.identity or mail.recipient
            return await self._add(
                mail, (unforwarded(transaction, address, "spam", reason, self.new_id(now), now, about),)
            )
        if transaction is not None and mail.identity and not pairs:
            return await self._receive(mail)

        return await self._record(mail, pairs)

    async def _record(self, mail: InboundMail, pairs: Sequence[Match]) -> ProcessResult:
        """Record the mail for each matched recipient, and store the forwards of an answer."""
        now = self.clock()
        proofs = await self._proofs(mail, pairs)
        found = [
            await self._returned_mail(mail, subject, about, proof, now)
            for (subject, about), proof in zip(pairs, proofs, strict=True)
        ]
        refusal = next((one for one in found if isinstance(one, Reply)), None)
        if refusal is not None:
            return ProcessResult(mail.report.kind, bool(pairs), refusal=refusal)

        returned = [one for one in found if isinstance(one, ReturnedMail)]
        recorded = tuple(await self.returned.record_returned(returned)) if returned else ()
        self.publish(recorded)
        if any(one.forwards for one in returned):
            self.wake()

        queue_id = pairs[0][0].queue_id if pairs else ""
        self.log("inbound.taken", queue_id=queue_id, kind=mail.report.kind, to=mail.recipient)
        return ProcessResult(mail.report.kind, bool(pairs), recorded)

    async def _parse(self, content: bytes, recipient: str, transaction: Transaction | None) -> InboundMail:
        report = await asyncio.to_thread(_report, content[:READ])
        destination = parse_own_address(self.settings(), self.keyring(), recipient, self.exchanger_of, self.clock())
        if not recipient and (leaving := token_in(self.keyring(), addressees(content), (TokenKind.LIST_UNSUBSCRIBE,))):
            destination = UnsubscribeAddress(leaving)
        if isinstance(destination, MessageAddress | UnsubscribeAddress):
            token: Token | None = destination.token
        else:
            # Ordinary mail may quote a token, or be relay's own with a signed Reply-To: only its addressees count.
            searched = addressees(content) if report.kind == "other" else content
            token = await asyncio.to_thread(token_in, self.keyring(), searched)
        return InboundMail(content, report, recipient, destination, token, transaction)

    async def _matches(self, mail: InboundMail) -> Sequence[Match]:
        """Return the recipients the mail is about, with their fields in the report."""
        identity = mail.identity
        if mail.token is not None:
            return await match_token(self.stories, mail.token, mail.report, identity)
        if not mail.is_answer:
            return await match_report(self.stories, mail.report, identity, self.settings().server.hostname)
        found = await match_thread(self.stories, mail.content, mail.report, identity)
        if found or not identity:
            return found
        return await match_author(self.stories, mail.content, mail.report, identity)

    async def _spam_reason(self, mail: InboundMail, transaction: Transaction, pairs: Sequence[Match]) -> str:
        """Return why an answer is spam, "" if it is not or if its identity accepts spam.

        A mailbox that forwards to a CC tracking address breaks SPF, so only the marks of its filter count there.
        """
        if not mail.is_answer or isinstance(mail.destination, UnsubscribeAddress):
            return ""
        story = pairs[0][0].story if pairs else None
        identity = self.settings().identity_for(mail.identity or (story.message.policy.identity if story else ""))
        if identity is not None and identity.forward_spam:
            return ""
        mark = spam_mark(mail.content)
        return mark or (await forged_author(self.resolver(), transaction) if mail.is_exact else "")

    async def _receive(self, mail: InboundMail) -> ProcessResult:
        """Forward or record mail to an identity that belongs to no message; fulfil a request to unsubscribe."""
        answer = (
            await asyncio.to_thread(parse_reply, mail.content[:READ], mail.report, Answered())
            if mail.is_answer
            else None
        )
        now = self.clock()
        received = receive_untied(self.settings(), mail, answer, self.new_id, now)
        if isinstance(received, Reply):
            return ProcessResult(mail.report.kind, joined=False, refusal=received)
        is_kept = any(NOT_FORWARDED in one.message.metadata for one in received)
        if is_kept and (own := await match_own(self.stories, mail.content, mail.report, mail.identity)):
            self.log("inbound.taken", queue_id=own, kind=mail.report.kind, to=mail.recipient)
            return ProcessResult(mail.report.kind, joined=True)
        author = author_of(mail.content, mail.report, mail.identity)
        if answer is not None and answer.request is not None and author:
            left = Unsubscribe(author, domain_of(mail.identity), source="reply", created_at=now)
            await self.unsubscribes.add([left])
        return await self._add(mail, received)

    async def _forward_to_operator(
        self, mail: InboundMail, role: RoleAddress, transaction: Transaction
    ) -> ProcessResult:
        """Forward mail to postmaster@ or abuse@, and record a report. Not filtered: such mail may be about spam."""
        settings, now = self.settings(), self.clock()
        target = ForwardTarget(settings.alerts.mail_to, settings.srs_domain(role.domain, mail.recipient))
        forwarded = forward(settings, transaction, mail.recipient, target, self.new_id(now), now)
        if isinstance(forwarded, Reply):
            return ProcessResult(mail.report.kind, joined=False, refusal=forwarded)
        recorded = () if mail.is_answer else (await self._record(mail, await self._matches(mail))).events
        added = await self._add(mail, (forwarded,))
        return replace(added, joined=bool(recorded), events=(*recorded, *added.events))

    async def _add(self, mail: InboundMail, messages: Sequence[NewMessage]) -> ProcessResult:
        """Store forwards and records of mail that belongs to no message."""
        for one in messages:
            await self.queue.enqueue(one)
            self.publish(one.events)
            why = one.message.metadata.get(NOT_FORWARDED, "")
            fields = {NOT_FORWARDED: why} if why else {}
            self.log("inbound.taken", queue_id=one.message.queue_id, kind=mail.report.kind, to=mail.recipient, **fields)
        self.wake()
        events = tuple(event for one in messages for event in one.events)
        return ProcessResult(mail.report.kind, joined=False, events=events)

    async def _forward_to_origin(
        self, mail: InboundMail, origin: SrsAddress, transaction: Transaction
    ) -> ProcessResult:
        """Forward a bounce of forwarded mail to the original sender."""
        now = self.clock()
        target = ForwardTarget((origin.reverse_path,), domain_of(mail.recipient))
        forwarded = forward(self.settings(), transaction, mail.recipient, target, self.new_id(now), now)
        if isinstance(forwarded, Reply):
            return ProcessResult(mail.report.kind, joined=False, refusal=forwarded)
        return await self._add(mail, (forwarded,))

    async def _returned_mail(
        self, mail: InboundMail, subject: OriginalRecipient, about: Recipient | None, proof: Proof | None, now: float
    ) -> ReturnedMail | Reply | None:
        """Return the event for one recipient with evidence and forwards; a refusal; or None if there is no event."""
        if isinstance(mail.destination, UnsubscribeAddress):
            return ReturnedMail(event_of(subject, *unsubscribe_event(mail), now))

        kind, data = report_event(mail.report, about)
        forwards: tuple[NewMessage, ...] = ()
        if kind in (Kind.BOUNCED, Kind.DEFERRED) and about is not None:
            meaning = classify_recipient(self.bounce_policy().rules, mail.report, about)
            data |= event_fields(meaning) | ({"guidance": guidance_text(meaning.about)} if kind is Kind.BOUNCED else {})
        elif (refusal := refuse_mail_to_return_path(mail, subject)) is not None:
            return refusal
        elif kind is None and (mail.report.kind == "auto-reply" or (mail.report.kind == "other" and mail.may_answer)):
            original = subject.story.message
            answered = Answered(original.subject, bool(original.campaign))
            answer = await asyncio.to_thread(parse_reply, mail.content[:READ], mail.report, answered)
            kind, data = reply_event(mail, subject, answer)
            forwarded = forward_answer(self.settings(), mail, subject, answer, self.new_id, now)
            if isinstance(forwarded, Reply):
                return forwarded
            forwards = forwarded
        if kind is None:
            return None

        event = event_of(subject, kind, data, now, proof)
        return ReturnedMail(event, evidence(self.bounce_policy(), mail.report, subject, about, proof, now), forwards)

    async def _proofs(self, mail: InboundMail, pairs: Sequence[Match]) -> Sequence[Proof | None]:
        """Return what a bounce or complaint proves about each recipient, None for other mail."""
        if mail.report.kind not in ("bounce", "complaint") or not pairs:
            return [None] * len(pairs)
        if isinstance(mail.destination, MessageAddress):
            tokens: Collection[Token] = (mail.destination.token,)
        else:
            tokens = await asyncio.to_thread(return_paths_in, self.keyring(), mail.content)
        vouchers = () if isinstance(mail.destination, CcAddress) else await vouchers_of(self.resolver(), mail)
        return [prove(self.settings(), mail, subject, vouchers, tokens) for subject, _ in pairs]


def _report(content: bytes) -> Report:
    """Parse a report. Imported here: the patterns take a tenth of a second to compile, which would delay the start."""
    from relay.dsn.parse import parse

    return parse(content)
