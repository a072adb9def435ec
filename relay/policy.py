"""Decides about a submitted message: refusals, policy, limits, and the handling of its replies. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from relay.config.settings import Settings
from relay.config.settings import Tracking as TrackingSettings
from relay.limits.principal import limits_for, principal_of
from relay.limits.window import Ledgers
from relay.mail.address import is_address
from relay.mail.address_list import Unreadable
from relay.mail.authors import AuthorError, Authors, addresses_in, parse_authors
from relay.mail.canonical_address import canonical, domain_of
from relay.mail.control_headers import Instructions, parse_instructions
from relay.mail.headers import Field, fields, first_value, named
from relay.mail.lane import DIRECT
from relay.mail.received import relay_hosts
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Session
from relay.render.message_policy import MessagePolicy
from relay.rewrite.header_fields import author_name
from relay.rewrite.options import ListUnsubscribe, Tracking
from relay.suppression.exclusion import ExclusionScope

MAX_REPLY_TO = 10
"""Maximum addresses of a Reply-To to which answers are forwarded; one answer must not reach an unlimited number."""


MAX_TURNS = 3
"""Times a message may pass this host, through forwarders or lists, before it is a loop."""


_KEEPING = frozenset({b"list-unsubscribe", b"list-unsubscribe-post", b"dkim-signature"})


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """Fields of the header that decisions depend on."""

    senders: tuple[str, ...]
    """Addresses of From, empty with `author_fault`."""
    message_id: str
    subject: str
    has_date: bool
    hops: int
    """Number of Received fields."""
    relays: tuple[str, ...]
    """Hosts of relay that sent the message before, one per Received field."""
    instructions: Instructions
    agents: tuple[str, ...] = ()
    """Addresses of Sender, Resent-From and Resent-Sender."""
    author_fault: str = ""
    """Why the author is not certain, "" if it is."""
    reply_to: tuple[str, ...] | Unreadable | None = None
    """Addresses of the Reply-To, None when there is no such field."""
    is_signed: bool = False
    """Whether it has a DKIM-Signature."""
    keeps_list_fields: bool = False
    """Whether it has List-Unsubscribe fields, or a signature that added ones would not be part of."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """The transaction is refused."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The decisions about an accepted message: those frozen in its row, and those needed only until it is queued."""

    author: str
    """The address of From that decides; the reverse-path if From has none."""
    policy: MessagePolicy
    """Frozen in the row, except `copies` and `added_fields`, which follow from the queue id and the recipients."""
    limits: Mapping[str, Ledgers]
    """Rate limits of each recipient, by ledger key, for each provider in order of preference."""
    not_before: float
    """Unix seconds of X-Relay-Send-At, 0 when absent or past."""
    bcc: tuple[str, ...] = ()
    """Addresses that receive a copy."""
    fixed_reply_to: str = ""
    """Reply-To to add, "" for none."""


@dataclass(frozen=True, slots=True)
class ReplyHandling:
    """Handling of a message's answers; empty if they go where its header says."""

    domain: str = ""
    """Domain of the signed Reply-To addresses, "" without reply tracking."""
    reply_to: tuple[str, ...] = ()
    """The application's Reply-To addresses, when answers are tracked."""
    fixed: str = ""
    """The Reply-To to add, "" for none."""


def parse_facts(content: bytes) -> MessageFacts:
    """Parse the header fields that decisions depend on.

    Raises InstructionError for an invalid X-Relay-* field.
    """
    found = fields(content)
    authors, author_fault = Authors((), ()), ""
    try:
        authors = parse_authors(content, found)
    except AuthorError as error:
        author_fault = str(error)

    return MessageFacts(
        senders=authors.senders,
        message_id=_text(content, found, b"message-id"),
        subject=_text(content, found, b"subject")[:200],
        has_date=any(named(found, b"date")),
        hops=sum(1 for _ in named(found, b"received")),
        relays=relay_hosts(content, found),
        instructions=parse_instructions(content, found),
        agents=authors.agents,
        author_fault=author_fault,
        reply_to=_reply_to(content, found),
        is_signed=any(named(found, b"dkim-signature")),
        keeps_list_fields=any(one.name in _KEEPING for one in found),
    )


def refuse_relaying(settings: Settings, session: Session) -> Reply | None:
    """Refuse a client that may not send through a submission listener; None if it may."""
    listener = next((one for one in settings.listeners if one.name == session.listener), None)
    if session.credential or listener is None:
        return None if session.credential else Reply(451, "4.3.5", "This listener changed: the relay must be restarted")
    if listener.auth == "required":
        return Reply(530, "5.7.0", "Authentication required")

    client = ip_address(session.client)
    if any(client in network for network in listener.allow_networks if network.version == client.version):
        return None
    if settings.credentials:
        return Reply(530, "5.7.0", "Authentication required: this address may not relay without it")
    return Reply(550, "5.7.1", f"Relaying denied: {session.client} is not in allow_networks of this listener")


def refuse_sender(settings: Settings, session: Session, address: str) -> Reply | None:
    """Refuse an address this client may not use as From, Sender or reverse-path; None if it may.

    An identity that lists credentials belongs to them. A listed credential may use no other address. The null
    reverse-path is not checked; From decides.
    """
    if not address:
        return None
    identity = settings.identity_for(address)
    if identity is not None and identity.credentials and session.credential not in identity.credentials:
        return Reply(550, "5.7.1", f"<{address}> belongs to other credentials than yours")

    if settings.is_restricted(session.credential) and (
        identity is None or session.credential not in identity.credentials
    ):
        return Reply(550, "5.7.1", f'Credential "{session.credential}" may not send as <{address}>')
    if identity is None and settings.limits.require_identity:
        return Reply(550, "5.7.1", f'<{address}> is not a listed identity; add [identities."{canonical(address)}"]')
    return None


def refuse_unknown_author(settings: Settings, session: Session, facts: MessageFacts) -> Reply | None:
    """Refuse a message whose author is not certain, if anything depends on the author; else None.

    Nothing does for a client without credential while no identity is listed, required or verified. Its network is
    accountable, and it may write any readable From.
    """
    verification = settings.verification
    proven = verification.campaign if facts.instructions.campaign else verification.transactional
    if facts.author_fault and (session.credential or settings.identities or settings.limits.require_identity or proven):
        return Reply(554, "5.6.0", facts.author_fault)
    return None


def refuse_unverified(settings: Settings, facts: MessageFacts, is_proven: Callable[[str], bool]) -> Reply | None:
    """Refuse an author that must be verified first; None if all may send."""
    campaign = facts.instructions.campaign
    if not (settings.verification.campaign if campaign else settings.verification.transactional):
        return None

    for address in facts.senders:
        if not is_proven(address):
            kind = "campaign" if campaign else "transactional"
            return Reply(550, "5.7.1", f"<{address}> is not verified for {kind} mail: relay identity verify {address}")
    return None


def decide(
    settings: Settings, session: Session, envelope: Envelope, facts: MessageFacts, now: float
) -> Acceptance | Rejection:
    """Decide about a whole message: reject it, or accept it with its policy and its limits."""
    refusal = _refuse_facts(settings, session, facts, now)
    if refusal is not None:
        return Rejection(refusal)

    author = author_of(settings, facts.senders or (envelope.reverse_path,))
    wanted = facts.instructions.provider
    allowed = settings.providers_allowed(session.credential, author)
    if wanted and wanted not in allowed:
        return Rejection(_not_allowed(wanted, allowed))

    providers = (wanted,) if wanted else settings.providers_for(author)
    principal = principal_of(settings, author, session.credential, session.client)
    replies = reply_handling(settings, author, facts.reply_to, signed=facts.is_signed)
    policy = message_policy(settings, author, facts, replies, providers)
    send_at = facts.instructions.send_at or 0.0
    accepted = Acceptance(
        author=author,
        policy=policy,
        limits={provider: limits_for(settings, principal, provider) for provider in providers},
        not_before=send_at if send_at > now else 0.0,
        bcc=settings.bcc_for(author),
        fixed_reply_to=replies.fixed,
    )

    return accepted if envelope.reverse_path else _as_notification(accepted)


def _refuse_facts(settings: Settings, session: Session, facts: MessageFacts, now: float) -> Reply | None:
    """Return the refusal of a loop, of a sender, or of a release time; None to go on."""
    if facts.hops >= settings.smtp.max_received_hops:
        return Reply(554, "5.4.6", f"Mail loop: {facts.hops} Received fields (RFC 5321 section 6.3)")

    turns = facts.relays.count(settings.server.hostname.lower())
    if turns > MAX_TURNS:
        return Reply(554, "5.4.6", f"Mail loop: this host has passed the message on {turns} times already")

    unknown = refuse_unknown_author(settings, session, facts)
    if unknown is not None:
        return unknown
    for address in (*facts.senders, *facts.agents):
        refusal = refuse_sender(settings, session, address)
        if refusal is not None:
            return refusal

    if (facts.instructions.send_at or 0.0) > now + settings.queue.max_send_at:
        return _too_late(settings.queue.max_send_at)
    return None


def message_policy(
    settings: Settings, author: str, facts: MessageFacts, replies: ReplyHandling, providers: Sequence[str] = (DIRECT,)
) -> MessagePolicy:
    """Return the policy of a message of this author for these providers."""
    domain = settings.domain_for(author)
    identity = settings.identity_for(author)
    return MessagePolicy(
        domain=domain_of(author),
        identity=canonical(author) if identity else "",
        tracking=tracking_of(domain.tracking, facts.instructions.track),
        return_path=domain.return_path,
        provider=providers[0],
        fallback_providers=tuple(providers[1:]),
        author_name=author_name(identity.display_name, identity.company) if identity else "",
        reply_domain=replies.domain,
        reply_to=replies.reply_to,
        list_unsubscribe=list_unsubscribe_of(settings, author, facts),
    )


def reply_handling(
    settings: Settings, author: str, reply_to: tuple[str, ...] | Unreadable | None, *, signed: bool
) -> ReplyHandling:
    """Return the handling of answers to a message of this author.

    `reply_to` are the addresses of the application's Reply-To, None when it has none. A configured `reply_to` excludes
    tracking. It does not replace the application's Reply-To and does not break a signature. Nor does `forward_to`; only
    `reply_tracking` replaces it. A Reply-To with more than MAX_REPLY_TO addresses, or an unreadable one, is unchanged.
    """
    identity = settings.identity_for(author)
    if identity is None or isinstance(reply_to, Unreadable):
        return ReplyHandling()
    if identity.reply_to:
        return ReplyHandling(fixed=identity.reply_to if reply_to is None and not signed else "")
    if identity.reply_tracking or (identity.tracks_replies and reply_to is None and settings.takes_inbound):
        addresses = tuple(one for one in reply_to or () if is_address(one))
        too_many = len(addresses) > MAX_REPLY_TO
        return (
            ReplyHandling()
            if too_many
            else ReplyHandling(domain=settings.domain_for(author).reply_domain, reply_to=addresses)
        )
    return ReplyHandling()


def _as_notification(accepted: Acceptance) -> Acceptance:
    """Return the decisions for a null reverse-path: no tracking, no reply handling, no copies."""
    policy = replace(accepted.policy, tracking=None, list_unsubscribe=None, reply_domain="", reply_to=())
    return replace(accepted, policy=policy, bcc=(), fixed_reply_to="")


def list_unsubscribe_of(settings: Settings, author: str, facts: MessageFacts) -> ListUnsubscribe | None:
    """Return the unsubscribe settings for campaign mail without its own; None for other mail."""
    domain = settings.domain_for(author)
    if not (facts.instructions.campaign and domain.tracking.base_url) or facts.keeps_list_fields:
        return None
    return ListUnsubscribe(domain.tracking.base_url, domain.reply_domain)


def exclusion_scope(settings: Settings, domain: str, campaign: str) -> ExclusionScope:
    """Return the scope of exclusion for a message of that domain, by the current settings."""
    return ExclusionScope(domain, campaign, settings.domain_for(domain).exclusion == "global")


def author_of(settings: Settings, senders: Sequence[str]) -> str:
    """Return the address of From that decides: the first that is a listed identity, else the first."""
    return next((one for one in senders if settings.identity_for(one) is not None), senders[0])


def tracking_of(switches: TrackingSettings, asked: frozenset[str] | None) -> Tracking | None:
    """Return the domain's tracking switches, narrowed by the application; None if nothing is tracked."""
    opens = switches.opens and (asked is None or "opens" in asked)
    clicks = switches.clicks and (asked is None or "clicks" in asked)
    if not (opens or clicks):
        return None

    return Tracking(
        opens=opens,
        clicks=clicks,
        base_url=switches.base_url,
        text_links=switches.text_links,
        skip_sensitive=switches.skip_sensitive,
        skip_visible_urls=switches.skip_visible_urls,
        exclude_hosts=switches.exclude_hosts,
        pixel=switches.pixel,
    )


def _not_allowed(wanted: str, allowed: Sequence[str]) -> Reply:
    """Return the refusal of a provider. It is the same for unknown providers and for those of others."""
    return Reply(554, "5.6.0", f'X-Relay-Provider: you have no provider "{wanted}"; you have: {", ".join(allowed)}')


def _too_late(horizon: float) -> Reply:
    """Return the refusal of a release time later than `horizon` seconds from now."""
    return Reply(554, "5.6.0", f"X-Relay-Send-At: the time is more than {horizon / 86400:g} days ahead")


def _reply_to(content: bytes, found: Sequence[Field]) -> tuple[str, ...] | Unreadable | None:
    return addresses_in(content, found, b"reply-to") if any(named(found, b"reply-to")) else None


def _text(content: bytes, found: Sequence[Field], name: bytes) -> str:
    return (first_value(content, found, name) or b"").decode("utf-8", "replace")
