"""Processes inbound mail: parses, correlates, records events, and forwards."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from relay.clock import Clock
from relay.config.settings import Settings
from relay.domains.mail_exchanger import MailExchanger
from relay.dsn.classify import classify_recipient
from relay.dsn.report import Recipient
from relay.events.event import Kind
from relay.events.ports import Publish
from relay.inbound.addresses import (
    CcAddress,
    MessageAddress,
    RoleAddress,
    SrsAddress,
    UnsubscribeAddress,
    return_paths_in,
)
from relay.inbound.correlate import Match, OriginalRecipient, author_of, find_matches, match_own
from relay.inbound.forward import ForwardTarget, forward
from relay.inbound.forward_policy import (
    UNKNOWN,
    forward_answer,
    receive_untied,
    refuse_mail_to_return_path,
)
from relay.inbound.inbound_mail import READ, InboundMail, may_unsubscribe, parse_mail
from relay.inbound.mail_effects import MailEffects, ProcessResult, quotas_of
from relay.inbound.ports import ReturnedMailStore
from relay.inbound.proof import Proof, prove, vouchers_of
from relay.inbound.quotas import over_quota
from relay.inbound.replies import parse_reply
from relay.inbound.returned_events import event_of, evidence, reply_event, report_event, unsubscribe_event
from relay.inbound.spam import spam_reason
from relay.inbound.unforwarded_record import NOT_FORWARDED, unforwarded
from relay.inbound.unsubscribe_request import Answered
from relay.limits.ports import QuotaStore
from relay.limits.quota import Quota, merge_quotas
from relay.log import Emit
from relay.mail.canonical_address import domain_of
from relay.mail.headers import header_fault
from relay.mail.reply import Reply
from relay.mail.transaction import Transaction
from relay.mailauth.sender_authentication import authenticate, is_author_proven, is_author_signed, is_sender_proven
from relay.queue.bounce_policy import BouncePolicy, event_fields
from relay.queue.message import NewMessage, ReturnedMail
from relay.queue.ports import QueueStore
from relay.reports.ports import StoryStore
from relay.resolver import Lookups
from relay.rewrite.tokens import Keyring, Token
from relay.suppression.ports import UnsubscribeStore
from relay.suppression.unsubscribes import Unsubscribe


@dataclass(frozen=True, slots=True)
class InboundProcessor:
    """Processes mail of the inbound listener and of the bounce mailbox. Sends no replies: no backscatter."""

    settings: Callable[[], Settings]
    keyring: Callable[[], Keyring]
    bounce_policy: Callable[[], BouncePolicy]
    queue: QueueStore
    quotas: QuotaStore
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
        return (await self.process_all(content, [recipient], transaction))[0]

    async def process_all(
        self, content: bytes, recipients: Sequence[str], transaction: Transaction | None
    ) -> Sequence[ProcessResult]:
        """Process a mail to several recipients, for all of them or for none: a refusal is the only result.

        Nothing is written before all recipients are decided about. Else a client that sends the refused mail again
        would repeat the forwards of the other recipients.
        """
        prepared: list[MailEffects] = []
        for recipient in recipients:
            one = await self._prepare(content, recipient, transaction)
            if isinstance(one, ProcessResult):
                return [one]
            prepared.append(one)

        # Each recipient counts: else one mail to a hundred addresses would be one use of what they share.
        quotas = merge_quotas(quota for one in prepared for quota in one.quotas)
        spent = await self.quotas.spend(quotas, self.clock()) if quotas else None
        if spent is not None:
            return [prepared[0].refused(over_quota(prepared[0].mail, spent))]
        return [await self._write(one) for one in prepared]

    async def _prepare(
        self, content: bytes, recipient: str, transaction: Transaction | None
    ) -> MailEffects | ProcessResult:
        """Decide about a mail to one recipient; a result is a refusal, or that there is nothing to do."""
        smtp = self.settings().smtp
        if transaction is None and header_fault(content, smtp.max_header_size, smtp.max_header_fields):
            self.log("inbound.taken", queue_id="", kind="other", to=recipient)
            return ProcessResult("other", joined=False)

        settings, now = self.settings(), self.clock()
        keyring, exchanger_of = self.keyring(), self.exchanger_of
        mail = await parse_mail(settings, keyring, exchanger_of, now, content, recipient, transaction)
        if transaction is not None and isinstance(mail.destination, SrsAddress):
            return self._forward_to_origin(mail, mail.destination, transaction)
        if transaction is not None and isinstance(mail.destination, RoleAddress):
            return await self._forward_to_operator(mail, mail.destination, transaction)

        pairs = await find_matches(self.stories, mail, settings.server.hostname)
        if transaction is not None and isinstance(mail.destination, MessageAddress | UnsubscribeAddress) and not pairs:
            return ProcessResult(mail.report.kind, joined=False, refusal=UNKNOWN)
        if transaction is not None and mail.is_answer and not isinstance(mail.destination, UnsubscribeAddress):
            seen = await authenticate(self.resolver(), transaction)
            mail = replace(mail, author_proven=is_author_proven(seen, transaction))
            mail = replace(mail, sender_proven=is_sender_proven(seen, transaction))
            if reason := spam_reason(mail, seen, settings.identity_for(_identity_of(mail, pairs))):
                about, address = pairs[0][0].queue_id if pairs else "", mail.identity or mail.recipient
                record = unforwarded(transaction, address, "spam", reason, self.new_id(now), now, about)
                return self._prepared(mail, (record,), _identity_of(mail, pairs))
        elif transaction is None and mail.is_answer:
            mail = replace(mail, author_proven=await is_author_signed(self.resolver(), content))
        if transaction is not None and mail.identity and not pairs:
            return await self._receive(mail)

        found = await self._returned(mail, pairs)
        if isinstance(found, Reply):
            return ProcessResult(mail.report.kind, bool(pairs), refusal=found)
        forwards = [forward for one in found for forward in one.forwards]
        quotas = self._quotas(mail, forwards, _identity_of(mail, pairs)) if found else ()
        queue_id = pairs[0][0].queue_id if pairs else ""
        return MailEffects(mail, bool(pairs), queue_id, quotas, found)

    async def _returned(self, mail: InboundMail, pairs: Sequence[Match]) -> tuple[ReturnedMail, ...] | Reply:
        """Return the events of the matched recipients with the forwards of an answer, or the refusal."""
        now = self.clock()
        proofs = await self._proofs(mail, pairs)
        found = [
            await self._returned_mail(mail, subject, about, proof, now)
            for (subject, about), proof in zip(pairs, proofs, strict=True)
        ]
        refusal = next((one for one in found if isinstance(one, Reply)), None)
        return refusal or tuple(one for one in found if isinstance(one, ReturnedMail))

    async def _write(self, one: MailEffects) -> ProcessResult:
        """Make what a mail causes durable: what is recognised when the mail comes again comes first."""
        recorded = tuple(await self.returned.record_returned(one.returned)) if one.returned else ()
        self.publish(recorded)
        if one.unsubscribes:
            await self.unsubscribes.add(one.unsubscribes)
        for message in one.messages:
            await self.queue.enqueue(message)
            self.publish(message.events)
        if one.messages or any(returned.forwards for returned in one.returned):
            self.wake()

        kind, recipient = one.mail.report.kind, one.mail.recipient
        if one.queue_id is not None:
            self.log("inbound.taken", queue_id=one.queue_id, kind=kind, to=recipient)
        for message in one.messages:
            why = message.message.metadata.get(NOT_FORWARDED, "")
            fields = {NOT_FORWARDED: why} if why else {}
            self.log("inbound.taken", queue_id=message.message.queue_id, kind=kind, to=recipient, **fields)
        events = tuple(event for message in one.messages for event in message.events)
        return ProcessResult(kind, one.joined, (*recorded, *events))

    def _prepared(self, mail: InboundMail, messages: Sequence[NewMessage], identity: str) -> MailEffects:
        """Return forwards and records of mail that belongs to no message. `identity` is the one it is for."""
        quotas = self._quotas(mail, messages, identity)
        return MailEffects(mail, joined=False, queue_id=None, quotas=quotas, messages=tuple(messages))

    def _quotas(self, mail: InboundMail, messages: Sequence[NewMessage], identity: str) -> tuple[Quota, ...]:
        return quotas_of(self.settings(), self.keyring().keys[0][1], mail, messages, identity)

    async def _receive(self, mail: InboundMail) -> MailEffects | ProcessResult:
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
            return MailEffects(mail, joined=True, queue_id=own)

        prepared = self._prepared(mail, received, mail.identity)
        author = author_of(mail.content, mail.report, mail.identity)
        if answer is not None and answer.request is not None and author and may_unsubscribe(self.settings(), mail):
            left = Unsubscribe(author, domain_of(mail.identity), source="reply", created_at=now)
            prepared = replace(prepared, unsubscribes=(left,))
        return prepared

    async def _forward_to_operator(
        self, mail: InboundMail, role: RoleAddress, transaction: Transaction
    ) -> MailEffects | ProcessResult:
        """Forward mail to postmaster@ or abuse@, and record a report. Not filtered: such mail may be about spam."""
        settings, now = self.settings(), self.clock()
        target = ForwardTarget(settings.alerts.mail_to, settings.srs_domain(role.domain, mail.recipient))
        proven = is_sender_proven(await authenticate(self.resolver(), transaction), transaction)
        forwarded = forward(settings, transaction, mail.recipient, target, self.new_id(now), now, proven=proven)
        if isinstance(forwarded, Reply):
            return ProcessResult(mail.report.kind, joined=False, refusal=forwarded)
        prepared = self._prepared(mail, (forwarded,), "")
        if mail.is_answer:
            return prepared

        pairs = await find_matches(self.stories, mail, settings.server.hostname)
        found = await self._returned(mail, pairs)
        if isinstance(found, Reply):
            return ProcessResult(mail.report.kind, bool(pairs), refusal=found)
        queue_id = pairs[0][0].queue_id if pairs else ""
        return replace(prepared, joined=bool(found), queue_id=queue_id, returned=found)

    def _forward_to_origin(
        self, mail: InboundMail, origin: SrsAddress, transaction: Transaction
    ) -> MailEffects | ProcessResult:
        """Forward a bounce of forwarded mail to the original sender. Other mail would be anybody's mail to it."""
        if mail.report.kind == "other":
            refusal = Reply(550, "5.7.1", f"<{mail.recipient}> takes bounces only")
            return ProcessResult(mail.report.kind, joined=False, refusal=refusal)
        now = self.clock()
        target = ForwardTarget((origin.reverse_path,), domain_of(mail.recipient))
        forwarded = forward(self.settings(), transaction, mail.recipient, target, self.new_id(now), now)
        if isinstance(forwarded, Reply):
            return ProcessResult(mail.report.kind, joined=False, refusal=forwarded)
        return self._prepared(mail, (forwarded,), "")

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
            data |= event_fields(meaning) | ({"guidance": meaning.guidance} if kind is Kind.BOUNCED else {})
        elif (refusal := refuse_mail_to_return_path(mail, subject)) is not None:
            return refusal
        elif kind is None and (mail.report.kind == "auto-reply" or (mail.report.kind == "other" and mail.may_answer)):
            original = subject.story.message
            answered = Answered(original.subject, bool(original.campaign), subject.address)
            answer = await asyncio.to_thread(parse_reply, mail.content[:READ], mail.report, answered)
            kind, data = reply_event(self.settings(), mail, subject, answer)
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


def _identity_of(mail: InboundMail, pairs: Sequence[Match]) -> str:
    """Return the identity that a mail is for, "" for none."""
    return mail.identity or (pairs[0][0].story.message.policy.identity if pairs else "")
