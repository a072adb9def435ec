"""What inbound mail causes, prepared before any of it is written, and its result. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.config.settings import Settings
from relay.dsn.report import Kind as ReportKind
from relay.events.event import Event
from relay.inbound.forward_policy import chosen_by_application
from relay.inbound.inbound_mail import InboundMail
from relay.inbound.quotas import forward_quotas, record_quotas
from relay.inbound.unforwarded_record import NOT_FORWARDED
from relay.limits.quota import Quota
from relay.mail.reply import Reply
from relay.queue.message import NewMessage, ReturnedMail
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
class MailEffects:
    """What a mail to one recipient causes, and the quotas that it uses."""

    mail: InboundMail
    joined: bool
    queue_id: str | None = ""
    """The message that it is about, "" for none; None if only `messages` are logged."""
    quotas: tuple[Quota, ...] = ()
    returned: tuple[ReturnedMail, ...] = ()
    """Events with evidence and forwards. What was recorded before is recognised."""
    messages: tuple[NewMessage, ...] = ()
    """Forwards and records of mail that belongs to no message."""
    unsubscribes: tuple[Unsubscribe, ...] = ()

    def refused(self, reply: Reply) -> ProcessResult:
        """Return the result if it is refused."""
        return ProcessResult(self.mail.report.kind, self.joined, refusal=reply)


def quotas_of(
    settings: Settings, key: bytes, mail: InboundMail, messages: Sequence[NewMessage], identity: str
) -> tuple[Quota, ...]:
    """Return the quotas of the addresses and the sender of a mail that causes these messages for an identity.

    Mail of the bounce mailbox has none: only its owner reads it.
    """
    if mail.transaction is None:
        return ()
    forwards = [one for one in messages if NOT_FORWARDED not in one.message.metadata]
    if not forwards:
        return record_quotas(key, mail, identity)
    strangers = chosen_by_application(settings, mail, forwards, identity)
    return forward_quotas(settings, key, mail, identity, strangers)
