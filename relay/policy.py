"""Pure decisions about a message; the reply handling of an identity joins it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from relay.config.settings import Settings
from relay.config.settings import Tracking as TrackingSettings
from relay.limits.principal import limits_for, principal_of
from relay.limits.window import Ledgers
from relay.mail.address import is_address
from relay.mail.address_list import Unreadable
from relay.mail.authors import AuthorError, Authors, addresses_in, read_authors
from relay.mail.canonical import canonical, domain_of
from relay.mail.control_headers import Instructions, read_instructions
from relay.mail.headers import Field, fields, first_value, named
from relay.mail.lane import DIRECT
from relay.mail.received import relay_hosts
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Session
from relay.render.message_policy import MessagePolicy
from relay.rewrite.header_fields import author_name
from relay.rewrite.options import ListUnsubscribe, Tracking
from relay.suppression.exclusion import ExclusionScope

MOST_HOMES = 10
"""Addresses of a Reply-To that answers are passed on to. More of them are a way to write to many by one mail."""


@dataclass(frozen=True, slots=True)
class ReplyHandling:
    """What is frozen into a message about its answers; empty when they go wherever its own header says."""

    domain: str = ""
    """Domain of the signed Reply-To addresses through which they are tracked."""
    home: tuple[str, ...] = ()
    """Where the application wanted them, when they are tracked."""
    fixed: str = ""
    """The Reply-To that is added because there is none."""


def reply_handling(
    settings: Settings, author: str, given: tuple[str, ...] | Unreadable | None, *, signed: bool
) -> ReplyHandling:
    """Return how answers to a message of this author come back.

    `given` are the addresses of the application's own Reply-To, None when it has none. A fixed `reply_to` rules
    tracking out; it neither replaces what was given nor breaks a signature that is there. `forward_to` alone leaves
    what was given too; only `reply_tracking` replaces it. A Reply-To with more than MOST_HOMES addresses, or one that
    cannot be read, stays as it was given.
    """
    identity = settings.identity_for(author)
    if identity is None or isinstance(given, Unreadable):
        return ReplyHandling()
    if identity.reply_to:
        return ReplyHandling(fixed=identity.reply_to if given is None and not signed else "")
    if identity.reply_tracking or (identity.tracks_replies and given is None and settings.takes_inbound):
        home = tuple(one for one in given or () if is_address(one))
        too_many = len(home) > MOST_HOMES
        return (
            ReplyHandling() if too_many else ReplyHandling(domain=settings.domain_for(author).reply_domain, home=home)
        )
    return ReplyHandling()


MAX_TURNS = 3
"""How often mail of ours may come back and be sent again: by a forwarder of ours, or a list. More is a loop."""


_KEEPING = frozenset({b"list-unsubscribe", b"list-unsubscribe-post", b"dkim-signature"})


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What policy needs to know of a content."""

    senders: tuple[str, ...]
    """Addresses of From; none when `author_fault` says why."""
    message_id: str
    subject: str
    has_date: bool
    hops: int
    """Number of Received fields."""
    relays: tuple[str, ...]
    """Hosts that run this program and had the message before, one for each of their Received fields."""
    instructions: Instructions
    agents: tuple[str, ...] = ()
    """Addresses of Sender, Resent-From and Resent-Sender."""
    author_fault: str = ""
    """Why the header does not say for certain who sends the message, "" when it does."""
    reply_to: tuple[str, ...] | Unreadable | None = None
    """Addresses of the Reply-To, None when there is no such field."""
    is_signed: bool = False
    """It bears a DKIM-Signature."""
    keeps_list_fields: bool = False
    """It has List-Unsubscribe fields of its own, or a signature to which ours would come too late."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """The transaction is not taken."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The decisions about an accepted message: those frozen in its row, and those needed only until it is queued."""

    author: str
    """The mailbox of From that decides; the reverse-path where From has none that can be read."""
    policy: MessagePolicy
    """Frozen in the row, except `copies` and `added_fields`, which follow from the queue id and the recipients."""
    limits: Mapping[str, Ledgers]
    """Windows in which each recipient counts, by ledger key, for each provider in order of preference."""
    not_before: float
    """Unix seconds of X-Relay-Send-At, 0 when absent or past."""
    bcc: tuple[str, ...] = ()
    """Addresses that get a copy, beside the recipients."""
    fixed_reply_to: str = ""
    """Reply-To to add, "" for none."""


def parse_facts(content: bytes) -> MessageFacts:
    """Read what policy needs from the header.

    Raise InstructionError for an X-Relay-* field that means nothing.
    """
    found = fields(content)
    authors, author_fault = Authors((), ()), ""
    try:
        authors = read_authors(content, found)
    except AuthorError as error:
        author_fault = str(error)
    return MessageFacts(
        senders=authors.senders,
        message_id=_text(content, found, b"message-id"),
        subject=_text(content, found, b"subject")[:200],
        has_date=any(named(found, b"date")),
        hops=sum(1 for _ in named(found, b"received")),
        relays=relay_hosts(content, found),
        instructions=read_instructions(content, found),
        agents=authors.agents,
        author_fault=author_fault,
        reply_to=_reply_to(content, found),
        is_signed=any(named(found, b"dkim-signature")),
        keeps_list_fields=any(one.name in _KEEPING for one in found),
    )


def refuse_relaying(settings: Settings, session: Session) -> Reply | None:
    """Tell why this client may not send through a submission listener, None when it may."""
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
    """Tell why this client may not use that address as From, Sender or reverse-path, None when it may.

    An identity that names credentials belongs to them. A credential that identities name may use nothing else. The null
    reverse-path proves nothing, and is judged by From.
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
    """Refuse a message that does not say for certain who sends it, where anything depends on that; else None.

    Nothing does for a client without credential, as long as no identity is listed, required or verified: its network
    is accountable, and such a client may write any From that can be read.
    """
    verification = settings.verification
    proven = verification.campaign if facts.instructions.campaign else verification.transactional
    if facts.author_fault and (session.credential or settings.identities or settings.limits.require_identity or proven):
        return Reply(554, "5.6.0", facts.author_fault)
    return None


def refuse_unverified(settings: Settings, facts: MessageFacts, is_proven: Callable[[str], bool]) -> Reply | None:
    """Tell which author has to be verified before this message may be sent, None when there is none."""
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
    if facts.hops >= settings.smtp.max_received_hops:
        return Rejection(Reply(554, "5.4.6", f"Mail loop: {facts.hops} Received fields (RFC 5321 section 6.3)"))
    turns = facts.relays.count(settings.server.hostname.lower())
    if turns > MAX_TURNS:
        return Rejection(Reply(554, "5.4.6", f"Mail loop: this host has passed the message on {turns} times already"))
    unknown = refuse_unknown_author(settings, session, facts)
    if unknown is not None:
        return Rejection(unknown)
    for address in (*facts.senders, *facts.agents):
        refusal = refuse_sender(settings, session, address)
        if refusal is not None:
            return Rejection(refusal)
    send_at = facts.instructions.send_at or 0.0
    if send_at > now + settings.queue.max_send_at:
        return Rejection(_too_late(settings.queue.max_send_at))
    author = author_of(settings, facts.senders or (envelope.reverse_path,))
    wanted = facts.instructions.provider
    if wanted and wanted != DIRECT and settings.provider(wanted) is None:
        known = ", ".join([DIRECT, *(one.name for one in settings.providers)])
        return Rejection(Reply(554, "5.6.0", f'X-Relay-Provider: there is no provider "{wanted}"; there are: {known}'))
    providers = (wanted,) if wanted else settings.providers_for(author)
    principal = principal_of(settings, author, session.credential, session.client)
    replies = reply_handling(settings, author, facts.reply_to, signed=facts.is_signed)
    policy = message_policy(settings, author, facts, replies, providers)
    accepted = Acceptance(
        author=author,
        policy=policy,
        limits={provider: limits_for(settings, principal, provider) for provider in providers},
        not_before=send_at if send_at > now else 0.0,
        bcc=settings.bcc_for(author),
        fixed_reply_to=replies.fixed,
    )
    return accepted if envelope.reverse_path else _as_notification(accepted)


def message_policy(
    settings: Settings, author: str, facts: MessageFacts, replies: ReplyHandling, providers: Sequence[str] = (DIRECT,)
) -> MessagePolicy:
    """Return the policy of a message of this author, which these providers may carry."""
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
        reply_to=replies.home,
        list_unsubscribe=list_unsubscribe_of(settings, author, facts),
    )


def _as_notification(accepted: Acceptance) -> Acceptance:
    """Return the decisions for a null reverse-path: no tracking, no reply handling, no copies."""
    policy = replace(accepted.policy, tracking=None, list_unsubscribe=None, reply_domain="", reply_to=())
    return replace(accepted, policy=policy, bcc=(), fixed_reply_to="")


def list_unsubscribe_of(settings: Settings, author: str, facts: MessageFacts) -> ListUnsubscribe | None:
    """Return where readers unsubscribe, for campaign mail that does not say so itself; None for all other mail."""
    domain = settings.domain_for(author)
    if not (facts.instructions.campaign and domain.tracking.base_url) or facts.keeps_list_fields:
        return None
    return ListUnsubscribe(domain.tracking.base_url, domain.reply_domain)


def exclusion_scope(settings: Settings, domain: str, campaign: str) -> ExclusionScope:
    """Return what decides about exclusion in a message of that sending domain, by the settings in force."""
    return ExclusionScope(domain, campaign, settings.domain_for(domain).exclusion == "global")


def author_of(settings: Settings, senders: Sequence[str]) -> str:
    """Return the mailbox of From that decides: the first that is a listed identity, else the first."""
    return next((one for one in senders if settings.identity_for(one) is not None), senders[0])


def tracking_of(switches: TrackingSettings, asked: frozenset[str] | None) -> Tracking | None:
    """Return what is rewritten: the domain's switches, narrowed by what the application asked for; None for nothing."""
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


def _too_late(horizon: float) -> Reply:
    """Return the refusal of a release time later than `horizon` seconds from now."""
    return Reply(554, "5.6.0", f"X-Relay-Send-At: the time is more than {horizon / 86400:g} days ahead")


def _reply_to(content: bytes, found: Sequence[Field]) -> tuple[str, ...] | Unreadable | None:
    return addresses_in(content, found, b"reply-to") if any(named(found, b"reply-to")) else None


def _text(content: bytes, found: Sequence[Field], name: bytes) -> str:
    return (first_value(content, found, name) or b"").decode("utf-8", "replace")
