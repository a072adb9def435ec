"""Which DKIM key signs while keys are changed: a new one only when DNS shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from relay.identities.lookup import Lookups
from relay.identities.published_key import same_key, tags_of
from relay.identities.records import key_name
from relay.identities.sending_domain import DkimKey
from relay.resolver import TemporaryFailure, Texts

Observed = Literal["shown", "absent", "different", "unknown"]
"""What DNS says of a key: it is there, nothing is, another one is, or there was no answer."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The selector to sign with, and why; `waiting` is the preferred one that DNS does not show yet, else ""."""

    selector: str
    why: str
    waiting: str = ""


def signing_selectors(
    configured: Sequence[DkimKey], observed: Mapping[str, Observed], current: Sequence[str]
) -> tuple[Choice, ...]:
    """Return the selector that signs for each kind of key (RSA, Ed25519), in the order of the configuration.

    `configured` are the keys that exist, the preferred first; `current` the selectors in use. The first key that DNS
    shows signs. A silent DNS changes nothing. While none is shown the current one goes on, else the preferred one:
    a signature nobody can check yet is worth no less than none (RFC 6376 section 6.1).
    """
    kinds: dict[str, list[str]] = {}
    for key in configured:
        kinds.setdefault(tags_of(key.record).get("k", "rsa"), []).append(key.selector)
    return tuple(_choice(selectors, observed, current) for selectors in kinds.values())


async def observe_keys(dns: Lookups, domain: str, keys: Sequence[DkimKey]) -> dict[str, Observed]:
    """Look each key up: what DNS says of it by selector."""
    return {key.selector: await _observed(dns, key_name(key.selector, domain), key.record) for key in keys}


def _choice(selectors: Sequence[str], observed: Mapping[str, Observed], current: Sequence[str]) -> Choice:
    preferred = selectors[0]
    for selector in selectors:
        state = observed.get(selector, "unknown")
        waiting = preferred if selector != preferred else ""
        if state == "shown":
            why = f"DNS shows {selector}" + (f", not yet {preferred}" if waiting else "")
            return Choice(selector, why, waiting)
        if state == "unknown" and selector in current:
            return Choice(selector, f"DNS gives no answer about {selector}, which signs until now", waiting)
    kept = next((selector for selector in selectors if selector in current), preferred)
    return Choice(kept, "DNS shows none of the keys", "" if kept == preferred else preferred)


async def _observed(dns: Lookups, name: str, record: str) -> Observed:
    match await dns.txt(name):
        case Texts(texts):
            return "shown" if len(texts) == 1 and same_key(texts[0], record) else "different"
        case TemporaryFailure():
            return "unknown"
        case _:
            return "absent"
