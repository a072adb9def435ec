"""Refuses clients, senders and messages. Each `refuse_…` returns None if it refuses nothing. Pure."""

from collections.abc import Callable, Sequence

from relay.config.settings import Settings
from relay.mail.canonical_address import canonical, domain_of
from relay.mail.domain_name import is_below_any, organisation
from relay.mail.reply import Reply
from relay.mail.transaction import Session
from relay.policy.message_facts import MessageFacts

MAX_TURNS = 3
"""Times a message may pass this host, through forwarders or lists, before it is a loop."""


def refuse_relaying(settings: Settings, session: Session) -> Reply | None:
    """Refuse a client that may not send through a submission listener; None if it may."""
    if session.credential:
        return None
    named = [one for one in settings.listeners if one.name == session.listener]
    listener = named[0] if named else None
    if listener is None:
        return Reply(451, "4.3.5", "This listener changed: the relay must be restarted")
    if listener.auth == "required":
        return Reply(530, "5.7.0", "Authentication required")

    if session.client_known and listener.allows(session.client):
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

    domains = settings.domains_of(session.credential)
    if domains and domain_of(address) not in domains:
        allowed = ", ".join(domains)
        return Reply(550, "5.7.1", f'Credential "{session.credential}" may send for {allowed} only, not as <{address}>')
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
            fix = f"relay identity verify {address}{_page(settings, address)}"
            return Reply(550, "5.7.1", f"<{address}> is not verified for {kind} mail: {fix}")
    return None


def _page(settings: Settings, address: str) -> str:
    """Return the page on which the owner of a listed identity can verify it; "" for other addresses."""
    page = settings.verification_page(address) if settings.identity_for(address) else ""
    return f", or {page}" if page and domain_of(address) != settings.server.identities_domain else ""


def refuse_facts(settings: Settings, session: Session, facts: MessageFacts, now: float) -> Reply | None:
    """Return the refusal of a malformed header, a loop, a sender, or a release time; None to go on."""
    refusal = refuse_header(settings, facts) or refuse_authors(settings, session, facts)
    if refusal is None and (facts.instructions.send_at or 0.0) > now + settings.queue.max_send_at:
        return _too_late(facts.instructions.send_at_place, settings.queue.max_send_at)
    return refusal


def refuse_header(settings: Settings, facts: MessageFacts) -> Reply | None:
    """Return the refusal of a malformed header or a loop, None to go on."""
    if facts.header_fault:
        return Reply(554, "5.6.0", facts.header_fault)
    if facts.hops >= settings.smtp.max_received_hops:
        return Reply(554, "5.4.6", f"Mail loop: {facts.hops} Received fields (RFC 5321 section 6.3)")

    turns = facts.relays.count(settings.server.hostname.lower()) if facts.relays else 0
    if turns > MAX_TURNS:
        return Reply(554, "5.4.6", f"Mail loop: this host has passed the message on {turns} times already")
    return None


def refuse_authors(settings: Settings, session: Session, facts: MessageFacts) -> Reply | None:
    """Return the refusal of an author or sender that is not certain or that this client may not use, None to go on."""
    unknown = refuse_unknown_author(settings, session, facts)
    if unknown is not None:
        return unknown
    for address in (*facts.senders, *facts.agents):
        refusal = refuse_sender(settings, session, address)
        if refusal is not None:
            return refusal
    return None


def refuse_provider(wanted: str, allowed: Sequence[str]) -> Reply | None:
    """Refuse a provider that is not allowed. The reply is the same for unknown providers and for those of others."""
    if wanted in allowed:
        return None
    return Reply(554, "5.6.0", f'X-Relay-Provider: you have no provider "{wanted}"; you have: {", ".join(allowed)}')


def _too_late(place: str, horizon: float) -> Reply:
    """Return the refusal of a release time later than `horizon` seconds from now, given by the field at `place`."""
    return Reply(554, "5.6.0", f"{place}: the time is more than {horizon / 86400:g} days ahead")


def is_own_sender(settings: Settings, reverse_path: str, authors: Sequence[str]) -> bool:
    """Whether a submitted reverse-path is of the domain of an author, or of a domain of this relay.

    The client was accepted as that author, by its credential or its network. `refuse_sender` refuses addresses of
    identities of others. Any other address is an outsider's: nothing but SPF or DKIM proves it.
    """
    if reverse_path in authors:
        return True
    domain, of_authors = domain_of(reverse_path), {domain_of(one) for one in authors}
    if domain in of_authors:
        return True
    organisations = {organisation(one) for one in of_authors} | settings.organisations
    return organisation(domain) in organisations or is_below_any(domain, organisations)
