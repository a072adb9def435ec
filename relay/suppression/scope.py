"""The scope of evidence: for whose mail an address is suppressed. Pure.

What a sender can bring about itself suppresses an address for that sender only. A report with a signed address proves
that somebody has a copy of the message, and a provider of one domain speaks for that domain.
"""

from relay.config.settings import Settings
from relay.mail.canonical_address import canonical, canonical_domain
from relay.mail.lane import DIRECT, split_lane

EVERYWHERE = ""
"""Scope of evidence that holds for the mail of all senders."""


def canonical_scope(text: str) -> str:
    """Return the scope that an operator wrote, a domain or an identity, in canonical form."""
    return canonical(text) if "@" in text else canonical_domain(text)


def own_scope(settings: Settings, domain: str, identity: str) -> str:
    """Return the scope of one sender: its domain; at the domain that all customers share, its identity.

    "" for a sender without a domain, for which nothing narrower than EVERYWHERE can be named.
    """
    shared = canonical_domain(settings.server.identities_domain)
    return identity if identity and shared and domain == shared else domain


def session_scope(settings: Settings, lane: str, domain: str, identity: str) -> str | None:
    """Return the scope of a reply in a session of this lane, None for no scope.

    The servers of a recipient's domain and the providers of `[defaults]` are believed for all mail.
    """
    provider = split_lane(lane)[0]
    if provider in (DIRECT, settings.defaults.provider, *settings.defaults.fallback_providers):
        return EVERYWHERE
    return own_scope(settings, domain, identity) or None
