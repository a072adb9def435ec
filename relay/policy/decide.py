"""Decides about a submitted message: its refusal, or its policy, limits and earliest time. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from relay.config.sandbox import DeliverTo, strictest
from relay.config.settings import Settings
from relay.config.settings import Tracking as TrackingSettings
from relay.frozen import dataclass
from relay.limits.principal import flow_key, limits_for, principal_of
from relay.limits.priority import Flow, Priority
from relay.limits.window import Ledgers
from relay.mail.address import is_address
from relay.mail.address_list import Unreadable
from relay.mail.canonical_address import canonical, domain_of
from relay.mail.instructions import Instructions
from relay.mail.lane import DIRECT, SIMULATOR
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Session
from relay.policy.dialect_rules import ignored_requests
from relay.policy.message_facts import MessageFacts
from relay.policy.refusals import refuse_facts, refuse_provider
from relay.render.message_policy import MessagePolicy
from relay.rewrite.options import ListUnsubscribe, Tracking
from relay.rewrite.originator_fields import author_name
from relay.suppression.exclusion import ExclusionScope

MAX_REPLY_TO = 10
"""Maximum addresses of a Reply-To to which answers are forwarded; one answer must not reach an unlimited number."""


@dataclass(frozen=True, slots=True)
class ReplyHandling:
    """Handling of a message's answers; empty if they go where its header says."""

    domain: str = ""
    """Domain of the signed Reply-To addresses, "" without reply tracking."""
    reply_to: tuple[str, ...] = ()
    """The application's Reply-To addresses, when answers are tracked."""
    fixed: str = ""
    """The Reply-To to add, "" for none."""


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
    flow: Flow
    """Principal and priority: the entries that wait in one order."""
    not_before: float
    """Unix seconds of X-Relay-Send-At, 0 when absent or past."""
    bcc: tuple[str, ...] = ()
    """Addresses that receive a copy."""
    fixed_reply_to: str = ""
    """Reply-To to add, "" for none."""
    ignored: tuple[str, ...] = ()
    """Requests of header fields that are not followed, with the reasons."""
    simulator_limits: Ledgers = field(default_factory=dict)
    """Rate limits of each recipient of the simulator, by ledger key: no provider's."""
    deliver_to: tuple[str, ...] = ()
    """Addresses that get sandbox mail in the place of its recipients."""


def decide(
    settings: Settings, session: Session, envelope: Envelope, facts: MessageFacts, now: float
) -> Acceptance | Rejection:
    """Decide about a whole message: reject it, or accept it with its policy and its limits."""
    author = author_of(settings, facts.senders or (envelope.reverse_path,))
    wanted = facts.instructions.provider or settings.compat.pools.get(facts.instructions.pool, "")
    refusal = refuse_facts(settings, session, facts, now)
    if refusal is None and wanted:
        refusal = refuse_provider(wanted, settings.providers_allowed(session.credential, author))
    if refusal is not None:
        return Rejection(refusal)

    sandbox = sandbox_of(settings, session, author, facts.instructions)
    if isinstance(sandbox, Reply):
        return Rejection(sandbox)
    providers = (wanted,) if wanted else settings.providers_for(author, campaign=bool(facts.instructions.campaign))
    principal = principal_of(settings, author, session.credential, session.client)
    replies = reply_handling(settings, author, facts.reply_to, signed=facts.is_signed)
    policy = message_policy(settings, author, facts, replies, providers)
    if sandbox is True:
        policy = policy.in_sandbox()
    send_at = policy.send_at or 0.0
    accepted = Acceptance(
        author=author,
        policy=policy,
        limits={provider: limits_for(settings, principal, provider) for provider in policy.providers},
        not_before=send_at if send_at > now else 0.0,
        flow=Flow(flow_key(principal, author), priority_of(facts.instructions, bulk=facts.is_bulk)),
        bcc=() if isinstance(sandbox, DeliverTo) else settings.bcc_for(author),
        fixed_reply_to=replies.fixed,
        ignored=ignored_requests(facts.instructions, settings.tracking_for(author)),
        simulator_limits=limits_for(settings, principal, SIMULATOR),
        deliver_to=sandbox.deliver_to if isinstance(sandbox, DeliverTo) else (),
    )

    return accepted if envelope.reverse_path else _as_notification(accepted)


def sandbox_of(settings: Settings, session: Session, author: str, asked: Instructions) -> bool | DeliverTo | Reply:
    """Return the sandbox of a message, or its refusal: mail whose setting cannot be read must not leave.

    Header, login, identity and domain can put a message there, and none of them takes it out.
    """
    login: bool | DeliverTo = False
    if session.credential:
        found = settings.credentials.get(session.credential)
        if found is None:
            text = f'Credential "{session.credential}" was removed: its sandbox cannot be read; log in with another one'
            return Reply(451, "4.3.5", text)
        login = found.sandbox
    return strictest((asked.sandbox, login, settings.sandbox_for(author)))


def _as_notification(accepted: Acceptance) -> Acceptance:
    """Return the decisions for a null reverse-path: no tracking, no reply handling, no copies."""
    policy = replace(
        accepted.policy, tracking=None, list_unsubscribe=None, reply_domain="", reply_to=(), unsubscribe_url=""
    )
    return replace(accepted, policy=policy, bcc=(), fixed_reply_to="")


def message_policy(
    settings: Settings, author: str, facts: MessageFacts, replies: ReplyHandling, providers: Sequence[str] = (DIRECT,)
) -> MessagePolicy:
    """Return the policy of a message of this author for these providers."""
    domain = settings.domain_for(author)
    identity = settings.identity_for(author)
    asked = facts.instructions
    return MessagePolicy(
        domain=domain_of(author),
        identity=canonical(author) if identity else "",
        tracking=tracking_of(domain.tracking, asked),
        return_path=domain.return_path,
        bounce_address="" if domain.return_path else settings.bounces.address,
        provider=providers[0],
        fallback_providers=tuple(providers[1:]),
        author_name=author_name(identity.display_name, identity.company) if identity else "",
        reply_domain=replies.domain,
        reply_to=replies.reply_to,
        list_unsubscribe=list_unsubscribe_of(settings, author, facts),
        unsubscribe_url=domain.tracking.base_url if asked.campaign else "",
        pixel_text=asked.pixel_text,
        unsubscribe_text=asked.unsubscribe_text if asked.campaign else "",
        send_at=asked.send_at or 0.0,
        dialects=asked.dialects,
        is_signed=asked.sign is not False,
        needs_tls=asked.require_tls,
        ignores_lists=asked.ignore_lists,
        tags_were_a_list=asked.tags_were_a_list,
    )


def author_of(settings: Settings, senders: Sequence[str]) -> str:
    """Return the address of From that decides: the first that is a listed identity, else the first."""
    return next((one for one in senders if settings.identity_for(one) is not None), senders[0])


def tracking_of(switches: TrackingSettings, asked: Instructions) -> Tracking | None:
    """Return the domain's tracking switches, narrowed by the application; None if nothing is tracked."""
    opens = switches.opens and asked.opens is not False
    clicks = switches.clicks and asked.clicks != "off"
    if not (opens or clicks):
        return None

    return Tracking(
        opens=opens,
        clicks=clicks,
        base_url=switches.base_url,
        text_links=switches.text_links and asked.clicks != "html",
        skip_sensitive=switches.skip_sensitive,
        skip_visible_urls=switches.skip_visible_urls,
        skip_unsubscribe=switches.skip_unsubscribe,
        exclude_hosts=switches.exclude_hosts,
        pixel=asked.pixel or switches.pixel,
    )


def list_unsubscribe_of(settings: Settings, author: str, facts: MessageFacts) -> ListUnsubscribe | None:
    """Return the unsubscribe settings for campaign mail without its own; None for other mail."""
    domain = settings.domain_for(author)
    if not (facts.instructions.campaign and domain.tracking.base_url) or facts.keeps_list_fields:
        return None
    return ListUnsubscribe(domain.tracking.base_url, domain.reply_domain)


def exclusion_scope(settings: Settings, policy: MessagePolicy, campaign: str) -> ExclusionScope:
    """Return what decides about exclusion from a message of that sender, by the current settings."""
    return ExclusionScope(policy.domain, campaign, settings.exclusions, policy.identity)


def priority_of(instructions: Instructions, *, bulk: bool) -> Priority:
    """Return the priority that the application asked for; else CAMPAIGN for campaigns and mail to many, else NORMAL."""
    if instructions.priority:
        return Priority[instructions.priority.upper()]
    return Priority.CAMPAIGN if instructions.campaign or bulk else Priority.NORMAL


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
        if len(addresses) <= MAX_REPLY_TO:
            return ReplyHandling(domain=settings.domain_for(author).reply_domain, reply_to=addresses)
    return ReplyHandling()
