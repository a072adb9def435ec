"""What comes back, taken in: understood, joined to the message it is about, recorded, acted on, and passed on."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from relay.clock import Clock
from relay.config.settings import Settings
from relay.dsn.classify import classify_recipient
from relay.dsn.report import Kind as ReportKind
from relay.dsn.report import Recipient, Report
from relay.events.event import Event, Kind
from relay.events.ports import Publish
from relay.inbound.addresses import (
    Destination,
    IdentityAddress,
    MessageAddress,
    SrsAddress,
    addressees,
    parse_own_address,
    token_in,
)
from relay.inbound.correlate import Match, OriginalRecipient, match_report, match_thread, match_token
from relay.inbound.forward import ForwardTarget, forward, forward_target
from relay.inbound.ports import ReturnedMailStore
from relay.inbound.replies import ReplyInfo, header_of, parse_reply
from relay.log import Emit
from relay.mail.canonical import canonical, domain_of
from relay.mail.reply import Reply
from relay.mail.transaction import Transaction
from relay.queue.bounce_policy import BouncePolicy, event_fields, guidance_text
from relay.queue.message import NewMessage, ReturnedMail
from relay.queue.ports import QueueStore
from relay.reports.ports import StoryStore
from relay.rewrite.tokens import Keyring, Token
from relay.rewrite.tokens import Kind as TokenKind
from relay.suppression.model import COMPLAINT, Evidence, Suppression

_READ = 2 << 20
"""Octets that are read of a mail: notice and fields come first, what is returned last."""


_LONGEST = 2000
"""Characters kept of a diagnostic."""


UNKNOWN = Reply(550, "5.1.1", "The message this answers is not known any more: please write to its author's address")


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """What a mail turned out to be."""

    kind: ReportKind
    """`other` is ordinary mail: no bounce, no complaint, no robot."""
    joined: bool
    """It belongs to a message of ours, by token or by Message-ID and recipient."""
    events: tuple[Event, ...] = ()
    """What was recorded; empty for what was known already, and for mail that concerns nothing of ours."""
    refusal: Reply | None = None
    """Why it was not taken at all; nothing was recorded then."""


@dataclass(frozen=True, slots=True)
class _Mail:
    """A mail that came back, understood, and how it came."""

    content: bytes
    report: Report
    recipient: str
    destination: Destination | None
    token: Token | None
    transaction: Transaction | None

    @property
    def may_answer(self) -> bool:
        """Whether it may be an answer: not what comes to a signed return-path with the null reverse-path.

        Some mail programs answer the return-path; only mail from the null reverse-path cannot be a person's.
        """
        has_author = self.transaction is not None and self.transaction.envelope.reverse_path != ""
        return self.token is None or self.token.kind is TokenKind.REPLY or has_author


@dataclass(frozen=True, slots=True)
class InboundProcessor:
    """Takes mail in, from the inbound listener and from the bounce mailbox alike. Answers nobody: no backscatter."""

    settings: Callable[[], Settings]
    keyring: Callable[[], Keyring]
    bounce_policy: Callable[[], BouncePolicy]
    queue: QueueStore
    stories: StoryStore
    returned: ReturnedMailStore
    clock: Clock
    new_id: Callable[[float], str]
    publish: Publish
    wake: Callable[[], None]
    """Tells the runner that something may be due."""
    log: Emit

    async def process(
        self, content: bytes, recipient: str = "", transaction: Transaction | None = None
    ) -> ProcessResult:
        """Take a mail in. `recipient` is the address it came to, "" when that is not known (a mailbox).

        The subject is found by the token of the recipient, then by a token the mail mentions, by the Message-ID and
        recipient it reports, by the Message-IDs it answers. Answers are passed on only where there is a `transaction`.
        Taking the same mail twice records it, and passes it on, once. Raises StoreError when not all of that could be
        made durable; the mail must then be offered again.
        """
        mail = await self._understood(content, recipient, transaction)
        if isinstance(mail.destination, SrsAddress) and transaction is not None:
            return await self._pass_back(mail, mail.destination, transaction)
        pairs = await self._subjects(mail)
        now = self.clock()
        found = [await self._returned(mail, subject, about, now) for subject, about in pairs]
        refusal = next((one for one in found if isinstance(one, Reply)), None)
        if refusal is not None:
            return ProcessResult(mail.report.kind, bool(pairs), refusal=refusal)
        returned = [one for one in found if isinstance(one, ReturnedMail)]
        recorded = tuple(await self.returned.record_returned(returned)) if returned else ()
        self.publish(recorded)
        if any(one.forwards for one in returned):
            self.wake()
        queue_id = pairs[0][0].queue_id if pairs else ""
        self.log("inbound.taken", queue_id=queue_id, kind=mail.report.kind, to=recipient)
        return ProcessResult(mail.report.kind, bool(pairs), recorded)

    async def _understood(self, content: bytes, recipient: str, transaction: Transaction | None) -> _Mail:
        report = await asyncio.to_thread(_report, content[:_READ])
        destination = parse_own_address(self.settings(), self.keyring(), recipient, self.clock())
        if isinstance(destination, MessageAddress):
            token: Token | None = destination.token
        else:
            # Ordinary mail may quote a token, or be our own with the Reply-To we gave it: only whom it is for counts.
            token = token_in(self.keyring(), addressees(content) if report.kind == "other" else content)
        return _Mail(content, report, recipient, destination, token, transaction)

    async def _subjects(self, mail: _Mail) -> Sequence[Match]:
        """Return whom the mail is about, with what it says of each."""
        identity = mail.destination.identity if isinstance(mail.destination, IdentityAddress) else ""
        if mail.token is not None:
            return await match_token(self.stories, mail.token, mail.report, identity)
        if mail.report.kind in ("other", "auto-reply"):
            return await match_thread(self.stories, mail.content, mail.report, identity)
        return await match_report(self.stories, mail.report, identity)

    async def _pass_back(self, mail: _Mail, origin: SrsAddress, transaction: Transaction) -> ProcessResult:
        """Pass a bounce of mail we passed on to whom that mail came from."""
        now = self.clock()
        home = ForwardTarget((origin.reverse_path,), domain_of(mail.recipient))
        passed = forward(self.settings(), transaction, mail.recipient, home, self.new_id(now), now)
        if isinstance(passed, Reply):
            return ProcessResult(mail.report.kind, joined=False, refusal=passed)
        await self.queue.enqueue(passed)
        self.publish(passed.events)
        self.wake()
        self.log("inbound.taken", queue_id=passed.message.queue_id, kind=mail.report.kind, to=mail.recipient)
        return ProcessResult(mail.report.kind, joined=False, events=passed.events)

    async def _returned(
        self, mail: _Mail, subject: OriginalRecipient, about: Recipient | None, now: float
    ) -> ReturnedMail | Reply | None:
        """Return what the mail means for one recipient, why it is not taken, or None when it means nothing."""
        kind, data = _told_by(mail.report, about)
        forwards: tuple[NewMessage, ...] = ()
        if kind in (Kind.BOUNCED, Kind.DEFERRED) and about is not None:
            meaning = classify_recipient(self.bounce_policy().rules, mail.report, about)
            data |= event_fields(meaning) | ({"guidance": guidance_text(meaning.about)} if kind is Kind.BOUNCED else {})
        elif kind is None and (mail.report.kind == "auto-reply" or (mail.report.kind == "other" and mail.may_answer)):
            subject_line = subject.story.message.subject if subject.story else ""
            answer = await asyncio.to_thread(parse_reply, mail.content[:_READ], mail.report, subject_line)
            kind, data = _answered(mail, subject, answer)
            passed = self._passed_on(mail, subject, answer, now)
            if isinstance(passed, Reply):
                return passed
            forwards = passed
        if kind is None:
            return None
        message = subject.story.message if subject.story else None
        whose: dict[str, object] = {}
        if message is not None:
            whose = {"identity": message.policy.identity, "domain": message.policy.domain}
        event = Event(kind, now, subject.queue_id, subject.number, subject.address, whose | data)
        return ReturnedMail(event, self._evidence(mail.report, subject, about, now), forwards)

    def _passed_on(
        self, mail: _Mail, subject: OriginalRecipient, answer: ReplyInfo, now: float
    ) -> tuple[NewMessage, ...] | Reply:
        """Return the answer on its way home, nothing when nobody needs to read it, or why it is refused.

        Only what came to an address of the message is passed on: a mailbox has it already, and so has whoever forwards
        to a CC tracking address. Nothing that may be a person's is kept back.
        """
        to_message = isinstance(mail.destination, MessageAddress) and mail.may_answer
        if mail.transaction is None or not to_message:
            return ()
        if subject.story is None:  # Whose it was is not known, so nobody could be unsubscribed either.
            return () if answer.marked else UNKNOWN
        if answer.request is not None and answer.request.bare:
            return ()
        settings, message = self.settings(), subject.story.message
        identity = settings.identities.get(message.policy.identity)
        if answer.marked and not (identity and identity.forward_auto_replies):
            return ()
        home = forward_target(settings, message, mail.recipient)
        passed = forward(settings, mail.transaction, mail.recipient, home, self.new_id(now), now, message.queue_id)
        return passed if isinstance(passed, Reply) else (passed,)

    def _evidence(
        self, report: Report, subject: OriginalRecipient, about: Recipient | None, now: float
    ) -> tuple[Evidence, ...]:
        """Return what the mail says against the address, as we wrote it; forwarded mail bounces under another."""
        address = subject.address or (about.address if about else "")
        if not domain_of(address) or about is None:
            return ()
        found = Suppression(canonical(address), "", report.kind, "", about.diagnostic[:_LONGEST], subject.queue_id, now)
        if report.kind == "complaint":
            if not _is_complaint(report):
                return ()
            domain = subject.story.message.policy.domain if subject.story else ""
            return (Evidence(replace(found, domain=domain, reason=COMPLAINT), late=True),)
        if report.kind != "bounce" or about.action != "failed":
            return ()
        policy = self.bounce_policy()
        meaning = classify_recipient(policy.rules, report, about)
        return policy.evidence(
            meaning,
            replace(found, reason=meaning.category, rule=meaning.rule),
            permanent=about.status.startswith("5"),
            late=True,
        )


def _told_by(report: Report, about: Recipient | None) -> tuple[Kind | None, dict[str, object]]:
    """Return the kind of event a report makes by itself, and what it says."""
    if report.kind == "complaint":
        told = {"feedback_type": report.feedback.feedback_type if report.feedback else "abuse"}
        return (Kind.COMPLAINT if _is_complaint(report) else Kind.FEEDBACK), dict(told)
    if about is None or about.action not in ("failed", "delayed") or report.kind not in ("bounce", "delay"):
        return None, {}
    data: dict[str, object] = {
        "late": True,
        "reply": about.diagnostic[:_LONGEST],
        "status": about.status,
        "remote": about.remote_mta or report.reporting_mta,
    } | ({"phase": about.phase} if about.phase else {})
    return (Kind.BOUNCED if about.action == "failed" else Kind.DEFERRED), data


def _is_complaint(report: Report) -> bool:
    return report.feedback is None or report.feedback.is_complaint


def _answered(mail: _Mail, subject: OriginalRecipient, answer: ReplyInfo) -> tuple[Kind, dict[str, object]]:
    """Return the kind of event an answer makes. Who asks to be unsubscribed must be known for certain."""
    header = header_of(
        mail.content, exact=mail.transaction is not None and isinstance(mail.destination, MessageAddress)
    )
    if answer.automatic:
        return Kind.REPLY, {"automatic": True, **header}
    if answer.request is not None and subject.certain:
        return Kind.UNSUBSCRIBE, {"by": "reply", **header}
    return Kind.REPLY, header


def _report(content: bytes) -> Report:
    """Parse what came back. The parser's patterns take a tenth of a second to compile: no start waits for that."""
    from relay.dsn.parse import parse

    return parse(content)
