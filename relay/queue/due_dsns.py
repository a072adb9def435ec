"""Notifications (DSNs) that an attempt makes due: to which senders, of which kind, and as new messages. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from relay.config.settings import Settings
from relay.content_file import head_of
from relay.dsn.compose import Action, OriginalMessage, RecipientStatus, compose
from relay.mail.address import is_ascii
from relay.mail.lane import DIRECT
from relay.mail.reply import Reply
from relay.mail.transaction import Recipient
from relay.queue.bounce_policy import Classified
from relay.queue.entry import Entry, State
from relay.queue.message import NO_DSN, ClaimedBatch, Message, NewMessage, own_message
from relay.queue.outcome import Delivered
from relay.queue.retry import RetrySchedule
from relay.render.message_policy import MessagePolicy

_FORGED = frozenset({"spam_content", "virus", "auth_failed"})
"""Categories of refused mail. Its reverse-path is often forged."""

MAX_RETURNED = 1 << 20
"""Octets of the largest message that RET=FULL returns whole. Of a larger one, the header is returned."""


@dataclass(frozen=True, slots=True)
class DsnSender:
    """The sender of notifications, and the provider that carries them."""

    hostname: str
    provider: str = DIRECT
    domain: str = ""
    """Sending domain whose keys sign notifications, "" for none."""
    fallback_providers: tuple[str, ...] = ()


def dsn_sender(settings: Settings, message: Message) -> DsnSender:
    """Return the sender and the provider of notifications about a message."""
    hostname = settings.server.hostname
    domain = settings.domain_for(message.reverse_path)
    keys = hostname if hostname in settings.domains else ""
    return DsnSender(hostname, domain.provider, keys, domain.fallback_providers)


NumberedStatus = tuple[int, RecipientStatus]
"""The number of an entry, and its status in a notification."""


@dataclass(frozen=True, slots=True)
class PendingDsn:
    """Implements `DueDsn`: a notification about one attempt, under a queue id that is fixed."""

    claimed: ClaimedBatch
    action: Action
    statuses: tuple[NumberedStatus, ...]
    sender: DsnSender
    report_id: str
    now: float
    lifetime: float
    """Seconds that the notification is tried."""

    def build(self, numbers: Collection[int]) -> NewMessage | None:
        """Return the notification about those of its recipients that have these numbers, None if it has none."""
        found = [status for number, status in self.statuses if number in numbers]
        if not found:
            return None
        return build_dsn(self.claimed, self.action, found, self.sender, self.report_id, self.now, self.lifetime)


def due_dsns(
    message: Message,
    settled: Sequence[Entry],
    classified: Sequence[Classified],
    now: float,
    schedule: RetrySchedule,
) -> tuple[list[Entry], list[tuple[Action, list[NumberedStatus]]]]:
    """Return the entries, marked where a delay is reported, and the recipients of notifications by kind.

    A sender that nothing proves gets none: its address may be anybody's.
    """
    if message.policy.unproven_sender:
        return list(settled), []
    statuses: dict[Action, list[NumberedStatus]] = {Action.FAILED: [], Action.DELAYED: [], Action.RELAYED: []}
    entries: list[Entry] = []

    for entry, one in zip(settled, classified, strict=True):
        marked = entry
        requests_dsn = entry.envelope_recipient.requests_dsn
        if entry.state is State.BOUNCED and requests_dsn("FAILURE") and not _would_be_backscatter(message, one):
            statuses[Action.FAILED].append((entry.number, _recipient_status(entry, one, now)))
        elif isinstance(one.outcome, Delivered) and not one.outcome.dsn_passed_on and requests_dsn("SUCCESS"):
            statuses[Action.RELAYED].append((entry.number, _recipient_status(entry, one, now)))
        elif _delay_is_due(message, entry, now, schedule):
            marked = replace(entry, delay_notified=True)
            delayed = replace(_recipient_status(entry, one, now), retry_until=entry.expires_at)
            statuses[Action.DELAYED].append((entry.number, delayed))
        entries.append(marked)
    return entries, [(action, found) for action, found in statuses.items() if found]


def build_dsn(
    claimed: ClaimedBatch,
    action: Action,
    statuses: Sequence[RecipientStatus],
    sender: DsnSender,
    report_id: str,
    now: float,
    lifetime: float,
) -> NewMessage:
    """Return the notification as a new message with a null reverse-path and one recipient.

    Its lifetime is that of the settings: the entry's own has grown with the wait for its release and with clock steps.
    """
    about = claimed.message
    original = _original(claimed, action)
    report = compose(action, original, statuses, hostname=sender.hostname, report_id=report_id, now=now)
    return own_message(
        _dsn_message(about, action, sender, report_id, now),
        report,
        [Recipient(about.reverse_path, NO_DSN)],
        lifetime=lifetime,
        about={"dsn_for": about.queue_id},
        details={"action": str(action)},
    )


def _original(claimed: ClaimedBatch, action: Action) -> OriginalMessage:
    """Return the part to return: the whole message if it was asked for and is small, else its header."""
    about, content = claimed.message, head_of(claimed.content)
    is_whole = len(content) == len(claimed.content) <= MAX_RETURNED
    full = about.ret == "FULL" and action is Action.FAILED and is_whole
    return OriginalMessage(about.queue_id, about.reverse_path, about.created_at, content, about.envid, full)


def _dsn_message(about: Message, action: Action, sender: DsnSender, report_id: str, now: float) -> Message:
    policy = MessagePolicy(domain=sender.domain, provider=sender.provider, fallback_providers=sender.fallback_providers)
    policy = policy.in_sandbox() if about.policy.keeps_answers else policy
    return Message(
        queue_id=report_id,
        created_at=now,
        reverse_path="",
        policy=policy,
        smtputf8=not is_ascii(about.reverse_path),
        message_id=f"<{report_id}@{sender.hostname}>",
        header_from=f"MAILER-DAEMON@{sender.hostname}",
        subject=f"DSN {action} {about.queue_id}",
        metadata={"dsn_for": about.queue_id},
        origin="dsn",
    )


def _delay_is_due(message: Message, entry: Entry, now: float, schedule: RetrySchedule) -> bool:
    """Whether a delay is to be reported: once, after `delay_notice`.

    Without NOTIFY the sender of campaign mail gets none, which could be one for each of many recipients. The sender of
    forwarded mail gets none either, because it may be forged.
    """
    waited_long = schedule.delay_notice > 0 and now - max(entry.created_at, entry.release_at) >= schedule.delay_notice
    if entry.state is not State.WAITING or entry.delay_notified or not waited_long:
        return False
    if entry.notify:
        return "DELAY" in entry.notify
    return not (message.campaign or message.policy.forward_domain)


def _would_be_backscatter(message: Message, classified: Classified) -> bool:
    """Whether a notification may go to an address that did not send the mail: spam often has a forged reverse-path."""
    meaning = classified.meaning
    return bool(message.policy.forward_domain) and meaning is not None and meaning.category in _FORGED


def operator_status(entry: Entry, now: float) -> RecipientStatus:
    """Return the status of a recipient that an operator or an application bounced, as its reason says."""
    last = f"; the last reply was: {entry.last_reply}" if entry.last_reply else ""
    who = "The application" if "by the application" in entry.reason else "The operator of this server"
    reply = Reply(550, "5.0.0", f"{who} returned the message{last}")
    return RecipientStatus(entry.recipient, reply, entry.orcpt, "", now)


def _recipient_status(entry: Entry, classified: Classified, now: float) -> RecipientStatus:
    reply = entry.last_reply or Reply(451, "4.4.7", "no attempt was answered")
    if entry.state is State.BOUNCED and entry.reason:
        reply = Reply(reply.code, "4.4.7", f"{entry.reason}; the last reply was: {reply}")
    explanation = classified.meaning.guidance if classified.meaning else ""
    return RecipientStatus(entry.recipient, reply, entry.orcpt, entry.last_remote, now, explanation=explanation)
