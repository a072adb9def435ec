"""Decides whether inbound mail is forwarded, recorded, or refused. Pure."""

from collections.abc import Callable, Sequence
from typing import assert_never

from relay.config.settings import Identity, Settings
from relay.inbound.addresses import (
    CcAddress,
    ExpiredAddress,
    IdentityAddress,
    MessageAddress,
    RoleAddress,
    SrsAddress,
    TestCopyAddress,
    UncertainAddress,
    UnsubscribeAddress,
)
from relay.inbound.correlate import OriginalRecipient
from relay.inbound.forward import LOOP, ForwardTarget, forward, forward_target
from relay.inbound.inbound_mail import InboundMail, may_unsubscribe
from relay.inbound.replies import ReplyInfo
from relay.inbound.unforwarded_record import unforwarded
from relay.mail.canonical_address import canonical, domain_of
from relay.mail.reply import Reply
from relay.queue.message import NewMessage

UNKNOWN = Reply(550, "5.1.1", "The message this answers is not known any more: please write to its author's address")

NewId = Callable[[float], str]


def refuse_mail_to_return_path(mail: InboundMail, subject: OriginalRecipient) -> Reply | None:
    """Refuse ordinary mail from the null reverse-path to a signed return-path; return None for other mail.

    It may be a person's and cannot be answered, so the reply names the author's address.
    """
    if mail.transaction is None or mail.report.kind != "other":
        return None
    if subject.story.message.origin == "forward":
        return Reply(550, "5.7.1", f"<{mail.recipient}> takes bounces only")
    if mail.may_answer:
        return None
    author = subject.story.message.header_from or subject.story.message.reverse_path
    return Reply(550, "5.7.1", f"<{mail.recipient}> takes bounces only: please write to <{author}>")


def forward_answer(
    settings: Settings, mail: InboundMail, subject: OriginalRecipient, answer: ReplyInfo, new_id: NewId, now: float
) -> tuple[NewMessage, ...] | Reply:
    """Return the forwarded answer, () if it is not forwarded, or the reply that refuses it.

    Mail that may be a person's is always forwarded, except from a CC tracking address: the mailbox already has it.
    Nothing is forwarded to the author of mail that this relay forwarded itself: that author is not proven.
    """
    message = subject.story.message
    if mail.transaction is None or message.origin == "forward":
        return ()
    identity = settings.identities.get(message.policy.identity)
    if not _is_forwarded(mail, identity, answer, unsubscribes=subject.certain and may_unsubscribe(settings, mail)):
        return ()
    target = forward_target(settings, message, mail.recipient)
    sandbox = message.policy.keeps_answers or settings.sandbox_for(message.header_from) is not False
    return _forwarded(settings, mail, target, new_id, now, message.queue_id, sandbox=sandbox)


def receive_untied(
    settings: Settings, mail: InboundMail, answer: ReplyInfo | None, new_id: NewId, now: float
) -> tuple[NewMessage, ...] | Reply:
    """Return the forwards, or the record, of mail to an identity that belongs to no message; or its refusal.

    A proven request to unsubscribe applies to all campaign mail of the domain, or of this relay. `answer` is None for
    reports.
    """
    identity = settings.identities.get(mail.identity)
    assert mail.transaction is not None
    is_proven = may_unsubscribe(settings, mail)
    if answer is not None and identity is not None and _is_forwarded(mail, identity, answer, unsubscribes=is_proven):
        target = ForwardTarget(identity.forward_to, settings.srs_domain(mail.identity, mail.recipient))
        sandbox = settings.sandbox_for(mail.identity) is not False
        forwards = _forwarded(settings, mail, target, new_id, now, sandbox=sandbox)
        if forwards:
            return forwards

    reason = "belongs to no message of this relay"
    if answer is not None and answer.request is not None and is_proven:
        domain = domain_of(mail.identity)
        everywhere = settings.exclusions.of(domain) == "global"
        reason = f"unsubscribed from all campaign mail of {'this relay' if everywhere else domain}"
    elif mail.report.kind != "other":
        reason = f"{mail.report.kind} {reason}"
    return (unforwarded(mail.transaction, mail.identity, "untied", reason, new_id(now), now),)


def _is_forwarded(mail: InboundMail, identity: Identity | None, answer: ReplyInfo, *, unsubscribes: bool) -> bool:
    """Whether an answer is forwarded. A bare request that is fulfilled (`unsubscribes`) is not."""
    has_reader = bool(identity and identity.forward_to)

    match mail.destination:
        case MessageAddress():
            is_forwarded = mail.may_answer
        case IdentityAddress():
            is_forwarded = has_reader
        case CcAddress():
            is_forwarded = has_reader and identity is not None and identity.cc_forward
        case (
            UnsubscribeAddress()
            | RoleAddress()
            | SrsAddress()
            | TestCopyAddress()
            | ExpiredAddress()
            | UncertainAddress()
            | None
        ):
            is_forwarded = False
        case _:
            assert_never(mail.destination)
    if not is_forwarded:
        return False
    if answer.request is not None and answer.request.bare and unsubscribes:
        return False
    return not _is_automatic_answer(mail, answer) or bool(identity and identity.forward_auto_replies)


def chosen_by_application(
    settings: Settings, mail: InboundMail, forwards: Sequence[NewMessage], identity: str
) -> tuple[str, ...]:
    """Return the recipients of forwards that an application chose: not configured, and of no domain of this relay."""
    if not isinstance(mail.destination, MessageAddress):
        return ()
    known = settings.identity_for(identity)
    configured = {canonical(one) for one in (*(known.forward_to if known else ()), *settings.bcc_for(identity))}
    recipients = [entry.recipient for one in forwards for entry in one.entries]
    return tuple(
        one for one in recipients if canonical(one) not in configured and domain_of(one) not in settings.mailbox_domains
    )


def _is_automatic_answer(mail: InboundMail, answer: ReplyInfo) -> bool:
    """Whether fields mark the mail as automatic and it is an answer: generated mail may be new mail, such as a code.

    Mail to a signed address always is an answer.
    """
    is_answer = mail.report.kind == "auto-reply" or isinstance(mail.destination, MessageAddress)
    return answer.marked and is_answer


def _forwarded(
    settings: Settings,
    mail: InboundMail,
    target: ForwardTarget,
    new_id: NewId,
    now: float,
    about: str = "",
    *,
    sandbox: bool = False,
) -> tuple[NewMessage, ...] | Reply:
    """Return the forwards. A loop is no error at a CC tracking address: its mailbox forwards to relay."""
    assert mail.transaction is not None
    transaction, proven = mail.transaction, mail.sender_proven
    forwarded = forward(
        settings, transaction, mail.recipient, target, new_id(now), now, about, proven=proven, sandbox=sandbox
    )
    if isinstance(forwarded, Reply):
        return () if forwarded == LOOP and isinstance(mail.destination, CcAddress) else forwarded
    return (forwarded,)
