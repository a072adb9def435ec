"""Builds forwarded mail: the same bytes under relay's own reverse-path, never twice to one recipient. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.config.settings import Settings
from relay.mail.address import is_address
from relay.mail.authors import author_of
from relay.mail.canonical_address import canonical
from relay.mail.headers import Field, fields, first_text, named
from relay.mail.received import has_loop_field, loop_field, received
from relay.mail.reply import Reply
from relay.mail.transaction import Recipient, Transaction
from relay.queue.message import NO_DSN, Message, NewMessage, own_message
from relay.render.message_policy import MessagePolicy

LOOP = Reply(554, "5.4.6", "Mail loop: this relay passed this mail on already (RFC 5321 section 6.3)")


@dataclass(frozen=True, slots=True)
class ForwardTarget:
    """Recipients of forwarded mail, and the domain of its reverse-path. Failures of `copies` are not reported."""

    to: tuple[str, ...]
    domain: str
    copies: tuple[str, ...] = ()


def forward_target(settings: Settings, message: Message, address: str) -> ForwardTarget:
    """Return the forward target of replies that arrived at `address`: `forward_to` and `bcc` of the current identity.

    Without `forward_to`, replies go to the first Reply-To of the application, else to the author. One reply must not
    reach any number of addresses that are not configured. The author is the From address if mail can be sent to it,
    else the reverse-path.
    """
    policy = message.policy
    identity = settings.identities.get(policy.identity)
    author = message.header_from if is_address(message.header_from) else message.reverse_path
    to = (identity.forward_to if identity else ()) or policy.reply_to[:1] or (author,)
    wanted = settings.bcc_for(message.header_from)
    copies = tuple(one for one in wanted if canonical(one) not in map(canonical, to))
    return ForwardTarget(to, settings.srs_domain(message.header_from, address), copies)


def forward(
    settings: Settings,
    transaction: Transaction,
    address: str,
    target: ForwardTarget,
    queue_id: str,
    now: float,
    about: str = "",
    *,
    proven: bool = False,
    sandbox: bool = False,
) -> NewMessage | Reply:
    """Return the mail as a new message for the queue, or the reply that refuses it.

    `address` is relay's address it arrived at, `about` the queue id of the message it answers. The content is
    unchanged, so that its DKIM signatures stay valid; Received and loop fields are added in front. The default provider
    sends it, outside the limits of identities. Rendering rewrites the reverse-path. What answers `sandbox` mail stays
    in the sandbox. Unless the reverse-path is `proven` to be the sender's, no notification is sent.
    """
    content, hostname = transaction.content, settings.server.hostname
    found = fields(content)
    if sum(1 for _ in named(found, b"received")) >= settings.smtp.max_received_hops:
        return LOOP

    to, copies = (
        [one for one in dict.fromkeys(addresses) if not has_loop_field(content, found, hostname, one)]
        for addresses in (target.to, target.copies)
    )
    if not to:
        return LOOP

    trace = received(queue_id, transaction.session, transaction.envelope, hostname, now) + "\r\n"
    unproven = bool(transaction.envelope.reverse_path) and not proven
    policy = _policy(settings, target, to, copies, trace.encode("utf-8", "replace"), unproven_sender=unproven)
    policy = policy.in_sandbox() if sandbox else policy
    message = _message(transaction, found, policy, queue_id, now, about)
    recipients, details = _recipients(transaction, address, to, copies), _details(message, len(content))
    lifetime = settings.queue.lifetime
    return own_message(message, content, recipients, lifetime=lifetime, about={"forward_of": about}, details=details)


def _details(message: Message, size: int) -> dict[str, object]:
    return {
        "reverse_path": message.reverse_path,
        "message_id": message.message_id,
        "size": size,
        "client": message.client,
    }


def _policy(
    settings: Settings,
    target: ForwardTarget,
    to: Sequence[str],
    copies: Sequence[str],
    trace: bytes,
    *,
    unproven_sender: bool,
) -> MessagePolicy:
    loop_fields = b"".join(loop_field(settings.server.hostname, one) for one in (*to, *copies))
    return MessagePolicy(
        provider=settings.defaults.provider,
        fallback_providers=settings.defaults.fallback_providers,
        copies=tuple(range(len(to), len(to) + len(copies))),
        forward_domain=target.domain,
        added_fields=trace + loop_fields,
        unproven_sender=unproven_sender,
    )


def _message(
    transaction: Transaction, found: Sequence[Field], policy: MessagePolicy, queue_id: str, now: float, about: str
) -> Message:
    envelope, content = transaction.envelope, transaction.content
    return Message(
        queue_id=queue_id,
        created_at=now,
        reverse_path=envelope.reverse_path,
        policy=policy,
        smtputf8=envelope.smtputf8,
        ret=envelope.ret,
        envid=envelope.envid,
        message_id=first_text(content, found, b"message-id"),
        header_from=author_of(content),
        subject=first_text(content, found, b"subject")[:200],
        client=transaction.session.client,
        metadata={"forward_of": about} if about else {},
        origin="forward",
    )


def _recipients(transaction: Transaction, address: str, to: Sequence[str], copies: Sequence[str]) -> list[Recipient]:
    """Return the recipients. NOTIFY and ORCPT of the sender hold for them, but not for copies."""
    asked = next(one for one in transaction.envelope.recipients if canonical(one.address) == canonical(address))
    return [
        *(Recipient(one, asked.notify, asked.orcpt) for one in to),
        *(Recipient(one, NO_DSN) for one in copies),
    ]
