"""Which DKIM key signs while keys are changed: a new one only when DNS shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, assert_never

from relay.domains.records import DkimKey
from relay.mailauth.dkim_record import key_name, same_key, tags_of
from relay.resolver import Lookups, NoRecords, NoSuchDomain, TemporaryFailure, Texts

Observed = Literal["shown", "absent", "different", "unknown"]
"""What DNS says of a key: it is there, nothing is, another one is, or there was no answer."""


CONFIRMED_AFTER = 120.0
"""Seconds that DNS must have shown a key before it takes over from one that still verifies: not every server of a zone
has a new record at the same moment."""


RETIREMENT = 7 * 86400.0
"""Seconds that a key stays published after it signed last: mail waits up to three days, and is checked later still."""


@dataclass(frozen=True, slots=True)
class KeyState:
    """What is known of a signing key. `kind` is that of its record: "rsa" or "ed25519". Times are Unix seconds.

    `shown_since` is when DNS began to show it without a break, 0 when it does not. `signed_until` is when it ceased to
    sign, 0 when it never did or still does.
    """

    selector: str
    record: str
    created_at: float
    shown_since: float = 0.0
    signing: bool = False
    signed_until: float = 0.0

    @property
    def kind(self) -> str:
        """The kind of key, as its record has it."""
        return tags_of(self.record).get("k", "rsa")

    @property
    def needed_until(self) -> float:
        """When its record may be taken out of DNS: 0 for now, infinity while it signs."""
        if self.signing:
            return float("inf")
        return self.signed_until + RETIREMENT if self.signed_until else 0.0


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


def known_keys(existing: Sequence[DkimKey], known: Sequence[KeyState], now: float) -> tuple[KeyState, ...]:
    """Return the states of the keys that exist, in their order; one that was not known, or was replaced, is new."""
    before = {key.selector: key for key in known}
    return tuple(
        state
        if (state := before.get(key.selector)) is not None and state.record == key.record
        else KeyState(key.selector, key.record, now)
        for key in existing
    )


def decide(keys: Sequence[KeyState], observed: Mapping[str, Observed], now: float) -> tuple[KeyState, ...]:
    """Return the keys with what was observed and who signs from now on: one of each kind.

    The newest is preferred, of several made at the same time the first. It takes over when DNS has shown it for
    `CONFIRMED_AFTER`; at once when DNS says that the key that signs is not there, or none signs yet. Beside a kind
    whose key DNS shows, another kind signs only when DNS shows its key as well.
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

    return tuple(replace(key, signing=True, signed_until=0.0) if signs(key) else _resting(key, now) for key in seen)


_MAY_VERIFY = ("shown", "unknown")


def waiting_keys(keys: Sequence[KeyState]) -> tuple[KeyState, ...]:
    """Return the keys that are to sign, in place of an older one of their kind or as the first, and do not yet."""
    since = {key.kind: key.created_at for key in keys if key.signing}
    return tuple(key for key in keys if not key.signing and key.created_at > since.get(key.kind, 0.0))


class RotationError(ValueError):
    """There is no selector for another key; the message says why, and what to do."""


def next_selector(selectors: Sequence[str], keys: Sequence[KeyState], kind: str, now: float) -> str:
    """Return the selector a new key of that kind is made under: one without a key, else of a key nobody needs any more.

    `selectors` are those configured. Raises RotationError.
    """
    for waiting in waiting_keys(keys):
        if waiting.kind == kind:
            made = f"the key of {waiting.selector} was made on {_day(waiting.created_at)}"
            raise RotationError(f"{made} and does not sign yet: publish it, and it takes over by itself")
    taken = {key.selector for key in keys}
    free = next((selector for selector in selectors if selector not in taken), None)
    if free is not None:
        return free
    resting = sorted((key for key in keys if key.kind == kind and not key.signing), key=lambda key: key.needed_until)
    if not resting:
        names = ", ".join(f'"{selector}"' for selector in (*selectors, f"s{len(selectors) + 1}"))
        raise RotationError(
            f"every selector has a key that signs: add another one (dkim.selectors = [{names}]), reload"
        )
    if resting[0].needed_until > now:
        until = _day(resting[0].needed_until)
        signed = f"{resting[0].selector} signed until {_day(resting[0].signed_until)}"
        raise RotationError(f"{signed}, and its record must stay for mail under way: rotate again from {until} on")
    return resting[0].selector


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
    """Tell whether a key is shown too short a time to take over from one that verifies."""
    return not key.signing and key.kind in verifying and now - key.shown_since < CONFIRMED_AFTER


def _resting(key: KeyState, now: float) -> KeyState:
    return replace(key, signing=False, signed_until=now) if key.signing else key


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
        case NoSuchDomain() | NoRecords():
            return "absent"
        case never:
            assert_never(never)
