"""Selects the DKIM keys that sign during rotation: a new key signs only after DNS has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, assert_never

from relay.domains.records import DkimKey
from relay.mailauth.dkim_record import key_name, same_key, tags_of
from relay.resolver import Lookups, NoRecords, NoSuchDomain, TemporaryFailure, Texts

Observed = Literal["shown", "absent", "different", "unknown"]
"""The key in DNS: published, not published, a different one, or no answer."""

CONFIRMED_AFTER = 120.0
"""Seconds for which DNS must have a key before it replaces one that still verifies.

The servers of a zone are not updated at the same time.
"""

RETIREMENT = 7 * 86400.0
"""Seconds for which a key stays published after its last signature: mail may wait three days, and is checked later."""


@dataclass(frozen=True, slots=True)
class KeyState:
    """State of a signing key. `kind` is that of its record: "rsa" or "ed25519". Times are Unix seconds.

    `shown_since` is when DNS began to have it continuously, 0 if it does not. `signed_until` is when it stopped
    signing, 0 if it never signed or still does.
    """

    selector: str
    record: str
    created_at: float
    shown_since: float = 0.0
    signing: bool = False
    signed_until: float = 0.0

    @property
    def kind(self) -> str:
        """The key type in its record."""
        return tags_of(self.record).get("k", "rsa")

    @property
    def needed_until(self) -> float:
        """Time until which its record must stay in DNS: 0 if not needed, infinity while it signs."""
        if self.signing:
            return float("inf")
        return self.signed_until + RETIREMENT if self.signed_until else 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """The selector to sign with, and the reason; `waiting` is the preferred one that DNS does not have yet, else ""."""

    selector: str
    why: str
    waiting: str = ""


def signing_selectors(
    configured: Sequence[DkimKey], observed: Mapping[str, Observed], current: Sequence[str]
) -> tuple[Choice, ...]:
    """Return the selector that signs for each key type (RSA, Ed25519), in the order of the configuration.

    `configured` are the existing keys in order of preference; `current` the selectors in use. The first key that DNS
    has signs. Without an answer nothing changes.

    If DNS has none of the keys, the current one continues, else the preferred one signs. An unverifiable signature is
    no worse than none (RFC 6376 section 6.1).
    """
    kinds: dict[str, list[str]] = {}
    for key in configured:
        kinds.setdefault(tags_of(key.record).get("k", "rsa"), []).append(key.selector)
    return tuple(_choice(selectors, observed, current) for selectors in kinds.values())


def known_keys(existing: Sequence[DkimKey], known: Sequence[KeyState], now: float) -> tuple[KeyState, ...]:
    """Return the states of the existing keys, in order; an unknown or replaced key gets a new state."""
    before = {key.selector: key for key in known}
    return tuple(
        state
        if (state := before.get(key.selector)) is not None and state.record == key.record
        else KeyState(key.selector, key.record, now)
        for key in existing
    )


def decide(keys: Sequence[KeyState], observed: Mapping[str, Observed], now: float) -> tuple[KeyState, ...]:
    """Return the keys with the observation and the decision which of them sign: one of each type.

    The newest key is preferred. It replaces the current one when DNS has had it for `CONFIRMED_AFTER`. It does so at
    once if DNS does not have the current key, or none signs.

    If DNS has the key of one type, a key of another type signs only if DNS has it too.
    """
    seen = [replace(key, shown_since=_shown_since(key, observed, now)) for key in keys]
    verifying = {key.kind for key in seen if key.signing and observed.get(key.selector, "unknown") in _MAY_VERIFY}
    counted = {
        key.selector: "absent" if _is_early(key, verifying, now) else observed.get(key.selector, "unknown")
        for key in seen
    }
    preferred = [DkimKey(key.selector, key.record) for key in sorted(seen, key=lambda key: -key.created_at)]
    choices = signing_selectors(preferred, counted, [key.selector for key in seen if key.signing])
    chosen = {choice.selector for choice in choices}
    verifiable = any(key.shown_since for key in seen if key.selector in chosen)

    def signs(key: KeyState) -> bool:
        silent = observed.get(key.selector, "unknown") == "unknown"
        return key.selector in chosen and bool(key.shown_since or not verifiable or (key.signing and silent))

    return tuple(replace(key, signing=True, signed_until=0.0) if signs(key) else _retired(key, now) for key in seen)


_MAY_VERIFY = ("shown", "unknown")


def waiting_keys(keys: Sequence[KeyState]) -> tuple[KeyState, ...]:
    """Return the keys that shall sign, as the first or the successor of their type, and do not sign yet."""
    since = {key.kind: key.created_at for key in keys if key.signing}
    return tuple(key for key in keys if not key.signing and key.created_at > since.get(key.kind, 0.0))


class RotationError(ValueError):
    """There is no selector for another key; the message names the reason and the remedy."""


def next_selector(selectors: Sequence[str], keys: Sequence[KeyState], kind: str, now: float) -> str:
    """Return the selector for a new key of that type: one without a key, else one whose key is no longer needed."""
    for waiting in waiting_keys(keys):
        if waiting.kind == kind:
            made = f"the key of {waiting.selector} was made on {_day(waiting.created_at)}"
            raise RotationError(f"{made} and does not sign yet: publish it, and it takes over by itself")

    used = {key.selector for key in keys}
    free = next((selector for selector in selectors if selector not in used), None)
    if free is not None:
        return free

    retired = sorted((key for key in keys if key.kind == kind and not key.signing), key=lambda key: key.needed_until)
    if not retired:
        names = ", ".join(f'"{selector}"' for selector in (*selectors, f"s{len(selectors) + 1}"))
        raise RotationError(
            f"every selector has a key that signs: add another one (dkim.selectors = [{names}]), reload"
        )
    if retired[0].needed_until > now:
        until = _day(retired[0].needed_until)
        signed = f"{retired[0].selector} signed until {_day(retired[0].signed_until)}"
        raise RotationError(f"{signed}, and its record must stay for mail under way: rotate again from {until} on")

    return retired[0].selector


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def _shown_since(key: KeyState, observed: Mapping[str, Observed], now: float) -> float:
    match observed.get(key.selector, "unknown"):
        case "shown":
            return key.shown_since or now
        case "unknown":
            return key.shown_since
        case "absent" | "different":
            return 0.0
        case never:
            assert_never(never)


def _is_early(key: KeyState, verifying: set[str], now: float) -> bool:
    """Whether DNS has had a key for too short a time to replace one that verifies."""
    return not key.signing and key.kind in verifying and now - key.shown_since < CONFIRMED_AFTER


def _retired(key: KeyState, now: float) -> KeyState:
    return replace(key, signing=False, signed_until=now) if key.signing else key


async def observe_keys(dns: Lookups, domain: str, keys: Sequence[DkimKey]) -> dict[str, Observed]:
    """Look up each key; return the result by selector."""
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
    fallback = next((selector for selector in selectors if selector in current), preferred)
    return Choice(fallback, "DNS shows none of the keys", "" if fallback == preferred else preferred)


async def _observed(dns: Lookups, name: str, record: str) -> Observed:
    match await dns.txt(name):
        case Texts(texts):
            return "shown" if len(texts) == 1 and same_key(texts[0], record) else "different"
        case TemporaryFailure():
            return "unknown"
        case NoSuchDomain() | NoRecords():
            return "absent"
        case never:
            assert_never(never)
