"""What comes back, taken in: understood, joined to the message it is about, recorded, and acted on."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from relay.clock import Clock
from relay.dsn.classify import classify_recipient
from relay.dsn.parse import parse
from relay.dsn.report import Kind as ReportKind
from relay.dsn.report import Recipient, Report
from relay.events.event import Event, Kind
from relay.events.ports import Publish
from relay.inbound.ports import InboundStore
from relay.inbound.tokens import token_in, token_of_address
from relay.log import Emit
from relay.mail.address import domain_of, normal
from relay.mail.headers import fields, first_value
from relay.queue.judge import Judge, explain, told
from relay.reports.ports import MessageQuery, Story
from relay.rewrite.tokens import Keyring, Token
from relay.rewrite.tokens import Kind as TokenKind
from relay.suppression.suppression import COMPLAINT, Evidence, Suppression

_READ = 2 << 20
"""Octets that are read of a mail: notice and fields come first, what is returned last."""

_LONGEST = 2000
"""Characters kept of a diagnostic."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a mail turned out to be."""

    kind: ReportKind
    """`other` is ordinary mail: no bounce, no complaint, no robot."""
    joined: bool
    """It belongs to a message of ours, by token or by Message-ID and recipient."""
    events: tuple[Event, ...] = ()
    """What was recorded; empty for what was known already, and for mail that concerns nothing of ours."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """The recipient of ours a mail is about."""

    queue_id: str
    number: int
    story: Story | None
    """None when the message is not known any more: the token alone vouches."""

    @property
    def address(self) -> str:
        """Its address, "" when it is not known."""
        entries = self.story.entries if self.story else ()
        return next((one.recipient for one in entries if one.number == self.number), "")


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes mail in, from the inbound listener and from the bounce mailbox alike. Answers nobody: no backscatter."""

    keyring: Callable[[], Keyring]
    judge: Callable[[], Judge]
    store: InboundStore
    clock: Clock
    publish: Publish
    log: Emit

    async def take(self, content: bytes, recipient: str = "") -> Taken:
        """Take a mail in. `recipient` is the address it came to, "" when that is not known (a mailbox).

        The subject is found by the token of the recipient, then by a token the mail mentions, then by the Message-ID
        and recipient it reports. Taking the same mail twice records it once. Raises StoreError when nothing could be
        made durable; the mail must then be offered again.
        """
        report = await asyncio.to_thread(parse, content[:_READ])
        token = token_of_address(self.keyring(), recipient) or token_in(self.keyring(), content)
        pairs = await self._subjects(report, token)
        now = self.clock()
        events: list[Event] = []
        evidence: list[Evidence] = []
        for subject, about in pairs:
            event = self._event(report, content, subject, about, token, now)
            if event is None or _is_known(subject, event):
                continue
            events.append(event)
            evidence += self._evidence(report, subject, about, now)
        recorded = tuple(await self.store.record_evidence(events, evidence)) if events else ()
        self.publish(recorded)
        self.log("inbound.taken", queue_id=pairs[0][0].queue_id if pairs else "", kind=report.kind, to=recipient)
        return Taken(report.kind, bool(pairs), recorded)

    async def _subjects(self, report: Report, token: Token | None) -> Sequence[tuple[_Subject, Recipient | None]]:
        """Return whom the mail is about, with what it says of each."""
        if token is not None:
            stories = await self.store.stories(MessageQuery(queue_id=token.queue_id))
            subject = _Subject(token.queue_id, token.recipient, stories[0] if stories else None)
            return [(subject, _about(report, subject.address))]
        if not report.message_id:
            return []
        stories = await self.store.stories(MessageQuery(message_id=report.message_id))
        return [
            (_Subject(story.message.queue_id, entry.number, story), one)
            for story in stories[:1]
            for entry in story.entries
            for one in report.recipients
            if normal(entry.recipient) in (normal(one.address), normal(one.final_address))
        ]

    def _event(
        self,
        report: Report,
        content: bytes,
        subject: _Subject,
        about: Recipient | None,
        token: Token | None,
        now: float,
    ) -> Event | None:
        kind, data = _told_by(report, about, content)
        if kind is None and token is not None and token.kind is TokenKind.REPLY:
            kind, data = Kind.REPLY, _header_of(content)
        if kind is None:
            return None
        if kind in (Kind.BOUNCED, Kind.DEFERRED) and about is not None:
            meaning = classify_recipient(self.judge().rules, report, about)
            data |= told(meaning) | ({"guidance": explain(meaning.about)} if kind is Kind.BOUNCED else {})
        message = subject.story.message if subject.story else None
        whose: dict[str, object] = {}
        if message is not None:
            whose = {"identity": message.policy.identity, "domain": message.policy.domain}
        return Event(kind, now, subject.queue_id, subject.number, subject.address, whose | data)

    def _evidence(self, report: Report, subject: _Subject, about: Recipient | None, now: float) -> tuple[Evidence, ...]:
        """Return what the mail says against the address, as we wrote it; forwarded mail bounces under another."""
        address = subject.address or (about.address if about else "")
        if not domain_of(address) or about is None:
            return ()
        found = Suppression(normal(address), "", report.kind, "", about.diagnostic[:_LONGEST], subject.queue_id, now)
        if report.kind == "complaint":
            domain = subject.story.message.policy.domain if subject.story else ""
            return (Evidence(replace(found, domain=domain, reason=COMPLAINT), late=True),)
        if report.kind != "bounce" or about.action != "failed":
            return ()
        judge = self.judge()
        meaning = classify_recipient(judge.rules, report, about)
        return judge.evidence(
            meaning,
            replace(found, reason=meaning.category, rule=meaning.rule),
            permanent=about.status.startswith("5"),
            late=True,
        )


def _about(report: Report, address: str) -> Recipient | None:
    """Return what the report says of our recipient: under its address, else of the first that failed."""
    named = (one for one in report.recipients if address and normal(address) == normal(one.address))
    failed = (one for one in report.recipients if one.action in ("failed", "complained"))
    anything = Recipient("", "complained" if report.kind == "complaint" else "failed", diagnostic=report.text)
    known = next(named, None) or next(failed, None) or next(iter(report.recipients), None)
    return known or (anything if report.kind in ("bounce", "complaint") else None)


def _told_by(report: Report, about: Recipient | None, content: bytes) -> tuple[Kind | None, dict[str, object]]:
    """Return the kind of event a mail makes by itself, and what it says."""
    if report.kind == "auto-reply":
        return Kind.REPLY, {"automatic": True, **_header_of(content)}
    if report.kind == "complaint":
        return Kind.COMPLAINT, {"feedback_type": report.feedback.feedback_type if report.feedback else "abuse"}
    if about is None or about.action not in ("failed", "delayed") or report.kind not in ("bounce", "delay"):
        return None, {}
    data: dict[str, object] = {
        "late": True,
        "reply": about.diagnostic[:_LONGEST],
        "status": about.status,
        "remote": about.remote_mta or report.reporting_mta,
    }
    return (Kind.BOUNCED if about.action == "failed" else Kind.DEFERRED), data


def _header_of(content: bytes) -> dict[str, object]:
    found = fields(content)
    named = {"from": b"from", "subject": b"subject", "message_id": b"message-id"}
    values = {key: first_value(content, found, name) or b"" for key, name in named.items()}
    return {key: value.decode("utf-8", "replace")[:500] for key, value in values.items()}


def _is_known(subject: _Subject, event: Event) -> bool:
    """Tell whether the story has the same event already."""
    events = subject.story.events if subject.story else ()
    return any(
        (one.kind, one.recipient, dict(one.data)) == (event.kind, event.recipient, dict(event.data)) for one in events
    )
