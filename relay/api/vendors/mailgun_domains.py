"""The domain in a path of Mailgun's API, and what a caller may see of it: its sending domains and identities."""

from collections.abc import Sequence

from aiohttp import web

from relay.api.access import Caller, caller_of
from relay.config.settings import Settings
from relay.mail.canonical_address import canonical, canonical_domain, domain_of
from relay.webhooks.filters import Filter, restricted


def domain_of_path(settings: Settings, request: web.Request) -> str:
    """Return the domain of the path. Raises 404 as `known_domain` does."""
    return known_domain(settings, caller_of(request), request.match_info["domain"])


def known_domain(settings: Settings, caller: Caller, text: str) -> str:
    """Return a domain; raise 404 for one that the settings do not have, or that the caller may not use."""
    domain = canonical_domain(text)
    anything = caller.sees_all and not (settings.domains or settings.identities)
    if not domain or not (anything or related_domains(settings, caller, domain)):
        raise web.HTTPNotFound(text=f"Domain not found: {text[:100]}")
    return domain


def related_domains(settings: Settings, caller: Caller, domain: str) -> Sequence[str]:
    """Return the sending domains of a caller that are a domain, or above it, or below it."""
    return [one for one in sending_domains(settings, caller) if are_related(domain, one)]


def sending_domains(settings: Settings, caller: Caller) -> Sequence[str]:
    """Return the sending domains of a caller."""
    if caller.domains is not None:
        return caller.domains
    own = settings.identities if caller.identities is None else caller.identities
    domains = settings.domains if caller.identities is None else ()
    return sorted({*map(canonical_domain, domains), *(domain_of(canonical(one)) for one in own)})


def visible_events(settings: Settings, caller: Caller, domain: str) -> Filter:
    """Return the filter of the events of a domain that the caller may see."""
    allowed = Filter(domains=frozenset([domain, *related_domains(settings, caller, domain)]))
    if caller.domains is None and caller.identities is not None:
        return restricted(allowed, caller.identities)
    return allowed


def visible_scopes(settings: Settings, caller: Caller, domain: str) -> Sequence[str]:
    """Return whose entries of a list the caller may see and change: domains, identities, and "" for all senders.

    A restricted credential has the entries of its own domains and identities only.
    """
    domains = related_domains(settings, caller, domain)
    seen = [one for one in domains if caller.sees_domain(one)]
    own = [one for one in settings.identities if caller.sees_address(one) and domain_of(one) in domains]
    everywhere = [domain, ""] if caller.sees_all else []
    return list(dict.fromkeys([*seen, *map(canonical, own), *everywhere]))


def new_entry_scopes(settings: Settings, caller: Caller, domain: str) -> Sequence[str]:
    """Return for whose mail a new entry of a list holds: the domain if it sends, else those near it.

    A caller with identities only adds entries for these.
    """
    domains = [one for one in related_domains(settings, caller, domain) if caller.sees_domain(one)]
    if not domains and not caller.sees_all:
        return visible_scopes(settings, caller, domain)
    return [domain] if domain in domains or not domains else domains


def are_related(one: str, other: str) -> bool:
    """Whether two domains are the same, or one is below the other: mg.example.com sends for example.com."""
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")
