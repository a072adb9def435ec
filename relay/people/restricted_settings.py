"""The settings of senders that keys and people with a restriction to domains may choose. Pure.

`domains` are those of a person or of a key; empty: not restricted. Each function returns the faults of a change by the
dotted keys of its table, from the values before to those after.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from relay.config.settings import Settings
from relay.mail.canonical_address import canonical_domain
from relay.mail.domain_name import organisation
from relay.people.own_choices import (
    credential_fault,
    credential_faults,
    credentials_in,
    fallback_faults,
    own_providers,
)

Values = Mapping[str, Any]

_NAMES = ("return_path", "reply_domain", "cname_target", "tracking.base_url")
"""Keys with a name in DNS, which leads mail or readers there."""

_PROVIDERS = ("provider", "campaign_provider", "campaign_fallback_providers")

_LIMITS = ("hourly_limit", "daily_limit")


def identity_faults(
    settings: Settings, domains: Collection[str], address: str, before: Values, after: Values
) -> Mapping[str, str]:
    """Return the faults of a change of an identity."""
    found = dict(credential_faults(settings, domains, address, before, after))
    if domains:
        known = (*own_providers(settings, domains), *settings.all_providers_for(address))
        found |= _provider_faults(known, before, after)
        found |= _limit_faults(settings, before, after)
        found |= _sandbox_faults(before, after)
    return found


def removal_fault(settings: Settings, domains: Collection[str], values: Values) -> str:
    """Return why an identity with these values may not be removed, "" if that is possible.

    Its mail is then that of any address of its domain: what bound it must not end so.
    """
    if fault := credential_fault(settings, domains, credentials_in(values)):
        return fault
    return _sandbox_faults(values, {}).get("sandbox", "") if domains else ""


def domain_faults(settings: Settings, domains: Collection[str], before: Values, after: Values) -> Mapping[str, str]:
    """Return the faults of a change of a sending domain."""
    found = dict(fallback_faults(settings, domains, before, after))
    if domains:
        found |= _provider_faults(own_providers(settings, domains), before, after)
        found |= dict(_name_faults(settings, domains, before, after))
        found |= _sandbox_faults(before, after, settings.defaults.sandbox)
        if after.get("exclusion") == "global" != before.get("exclusion"):
            text = 'You cannot choose "global", which concerns the mail of other domains. Allowed: campaign, domain.'
            found["exclusion"] = text
    return found


def is_own_name(settings: Settings, domains: Collection[str], name: str) -> bool:
    """Whether a name in DNS belongs to these domains: it is below one, or beside one in the same organisation.

    A name below a sending domain of somebody else is that domain's. An organisation of which others have domains too,
    or the relay its host name, belongs to none of them.
    """
    above = [one for one in {*map(canonical_domain, settings.domains), *domains} if f".{name}".endswith(f".{one}")]
    if above:
        return max(above, key=len) in domains
    others = {settings.server.hostname, *map(canonical_domain, settings.domains)} - {*domains}
    return organisation(name) in set(map(organisation, domains)) - set(map(organisation, others)) - {""}


def _provider_faults(known: Sequence[str], before: Values, after: Values) -> Mapping[str, str]:
    found = {}
    for key in _PROVIDERS:
        was, now = _listed(before.get(key)), _listed(after.get(key))
        if foreign := [one for one in now if one not in (*known, *was)]:
            allowed = ", ".join(dict.fromkeys((*known, *was)))
            found[key] = f"You cannot choose {', '.join(foreign)}. Allowed: {allowed}."
    return found


def _limit_faults(settings: Settings, before: Values, after: Values) -> Mapping[str, str]:
    """Refuse limits above all that the operator gave: the ceiling, the default, or the present limit. 0 is no limit."""
    limits, found = settings.limits, {}
    for key, usual in zip(_LIMITS, (limits.identity_hourly, limits.identity_daily), strict=True):
        given, present = after.get(key), before.get(key, usual)
        if given is None or given == present or not isinstance(given, int):
            continue
        if limits.identity_daily_ceiling or 0 in (usual, present):
            continue  # The check of the configuration has the ceiling; without any limit there is none to exceed.
        most = max(usual, present if isinstance(present, int) else 0)
        if given == 0 or given > most:
            found[key] = f"You cannot set it to {given or 'no limit'}. Allowed: 1 to {most}; an operator raises it."
    return found


def _sandbox_faults(before: Values, after: Values, usual: object = False) -> Mapping[str, str]:
    """Refuse the end of a sandbox; `usual` is that of a table without the key."""
    was, now = before.get("sandbox", usual), after.get("sandbox", usual)
    if not was or now in (was, True):
        return {}
    return {"sandbox": "You cannot end the sandbox. Allowed: the present value, or true."}


def _name_faults(
    settings: Settings, domains: Collection[str], before: Values, after: Values
) -> Iterator[tuple[str, str]]:
    usual = settings.defaults.model_dump()
    for key in _NAMES:
        given = _value(after, key)
        if not given or given in (_value(before, key), _value(usual, key)):
            continue
        host = urlsplit(given).hostname or "" if "://" in given else given
        if not is_own_name(settings, domains, canonical_domain(host)):
            example = f"bounce.{next(iter(domains))}"
            yield key, f"{host[:255]} is not a name of your domains. Allowed: names below them, such as {example}."


def _value(values: Values, key: str) -> str:
    found: Any = values
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else ""


def _listed(value: object) -> Sequence[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)] if value else []
