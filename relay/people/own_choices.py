"""Which credentials and providers a person may give to senders; restricted people have those of their domains. Pure.

A credential that identities name may send as these only. So its name in an identity is a bound of the credential too.
A person who adds or removes it changes what an application of somebody else may send.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from relay.config.settings import Settings
from relay.mail.canonical_address import domain_of
from relay.mail.lane import DIRECT


def own_credentials(settings: Settings, domains: Collection[str]) -> Sequence[str]:
    """Return the credentials that a person of these domains may give and take away; all without domains."""
    found = settings.credentials.items()
    return [name for name, one in found if not domains or (one.domains and set(one.domains) <= set(domains))]


def credential_fault(settings: Settings, domains: Collection[str], names: Collection[str]) -> str:
    """Return why a person of these domains may not give or take away these credentials, "" if that is possible."""
    foreign = sorted(set(names) - set(own_credentials(settings, domains))) if domains else []
    if not foreign:
        return ""
    return f"You cannot add or remove {', '.join(foreign)}. Allowed: credentials with domains that are all yours."


def opened_credentials(settings: Settings, address: str, names: Collection[str]) -> Sequence[str]:
    """Return which of these credentials could send as all identities if this one did not name them any more."""
    others = {name for other, one in settings.identities.items() if other != address for name in one.credentials}
    found = settings.credentials
    return [name for name in names if name in found and not found[name].domains and name not in others]


def credential_faults(
    settings: Settings, domains: Collection[str], address: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Mapping[str, str]:
    """Return the fault of a change of an identity's credentials. `before` and `after` are the values of its table."""
    was, now = credentials_in(before), credentials_in(after)
    fault = credential_fault(settings, domains, set(was) ^ set(now))
    opened = opened_credentials(settings, address, [one for one in was if one not in now])
    if not fault and opened:
        fault = (
            f"{', '.join(opened)} could send as each identity that is open to all: no other identity would name it. "
            "Somebody with the role owner can give it domains first."
        )
    return {"credentials": fault} if fault else {}


def credentials_in(values: Mapping[str, Any]) -> Sequence[str]:
    """Return the credentials that the table of an identity names."""
    found = values.get("credentials")
    return [str(one) for one in found] if isinstance(found, list | tuple) else []


def own_providers(settings: Settings, domains: Collection[str]) -> Sequence[str]:
    """Return the providers that a person of these domains may choose; all without domains.

    Those are the ones of the defaults, and those that the domains and their identities have.
    """
    if not domains:
        return [DIRECT, *(one.name for one in settings.providers)]
    usual = settings.defaults
    found = [usual.provider, *usual.fallback_providers, usual.campaign_provider, *usual.campaign_fallback_providers]
    for domain in domains:
        found += settings.all_providers_for(domain)
    found += [one.provider for address, one in settings.identities.items() if domain_of(address) in domains]
    return [one for one in dict.fromkeys(found) if one]


def fallback_faults(
    settings: Settings, domains: Collection[str], before: Mapping[str, Any], after: Mapping[str, Any]
) -> Mapping[str, str]:
    """Return the fault of fallbacks that a person of these domains may not choose."""
    known = {*own_providers(settings, domains), *map(str, before.get("fallback_providers") or ())}
    foreign = [str(one) for one in after.get("fallback_providers") or () if str(one) not in known] if domains else []
    text = f"You cannot choose {', '.join(foreign)}. Allowed: {', '.join(own_providers(settings, domains))}."
    return {"fallback_providers": text} if foreign else {}
