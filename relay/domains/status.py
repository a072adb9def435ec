"""Status of sending domains: results of checks, time of the next check, changes. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Literal

from relay.domains.finding import Finding, Status
from relay.domains.key_rotation import CONFIRMED_AFTER, KeyState, Observed, decide, known_keys
from relay.domains.records import DkimKey, WantedRecord
from relay.mailauth.dkim_record import key_name

Health = Literal["unchecked", "passing", "failing"]

SETTLING = 72 * 3600.0
"""Seconds after a change of configuration during which a domain is checked often."""

SOONEST, HOURLY, DAILY = 180.0, 3600.0, 86400.0
"""Seconds between two checks: initially, at the end of SETTLING, and after it."""

_PART = 5
"""While a domain settles, the next check follows after this fraction of its age."""

_SPREAD = 0.1
"""Jitter, as a fraction of the interval."""


MAX_VALUES = 10
"""Values that are kept of what DNS has at a name, at most."""

MAX_VALUE = 2000
"""Characters of each of them, at most."""


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """What DNS has in the place of a wanted record, and a sentence on the difference and its remedy."""

    values: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class DomainStatus:
    """A sending domain and the result of its last check. Times are Unix seconds, 0 for never.

    `wanted` is the fingerprint of its wanted records, `set_up_at` the time of their last change. `statuses` has the
    status of each record by "KIND name", except those DNS never answered.
    """

    domain: str
    wanted: str
    set_up_at: float
    next_check_at: float
    checked_at: float = 0.0
    health: Health = "unchecked"
    health_since: float = 0.0
    statuses: Mapping[str, Status] = field(default_factory=dict)
    keys: tuple[KeyState, ...] = ()
    found: Mapping[str, FoundRecord] = field(default_factory=dict)
    """What the last check found, by the same labels as the statuses."""

    @property
    def verified(self) -> bool:
        """Whether DNS has a key that signs, so that its owner controls the zone."""
        return any(key.signing and key.shown_since for key in self.keys)


@dataclass(frozen=True, slots=True)
class ConfiguredDomain:
    """A configured sending domain: the fingerprint of its records, and the existing keys."""

    domain: str
    wanted: str
    keys: tuple[DkimKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a domain's status. Empty `record`: the domain as a whole."""

    domain: str
    record: str
    was: str
    now: str
    text: str


def fingerprint(wanted: Sequence[WantedRecord]) -> str:
    """Return a hash of a set of records."""
    lines = sorted(f"{record.name} {record.kind} {record.value}" for record in wanted)
    return blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


def set_up(known: DomainStatus | None, domain: ConfiguredDomain, now: float) -> DomainStatus:
    """Return the status of a domain with its current configuration; other records restart its settling time.

    One key of each type signs, even before the first DNS check.
    """
    keys = known_keys(domain.keys, known.keys if known else (), now)
    signing = {key.kind for key in keys if key.signing}
    if any(key.kind not in signing for key in keys):
        keys = decide(keys, {key.selector: "shown" for key in keys if key.shown_since}, now)
    if known is None:
        return DomainStatus(domain.domain, domain.wanted, now, now, keys=keys)
    if known.wanted != domain.wanted:
        return replace(known, wanted=domain.wanted, set_up_at=now, next_check_at=now, keys=keys)
    return replace(known, keys=keys)


def after_check(
    before: DomainStatus, findings: Sequence[Finding], observed: Mapping[str, Observed], now: float, jitter: float
) -> DomainStatus:
    """Return the status after a check; `jitter` from -1 to 1 spreads the next one.

    Records without an answer keep their status. A missing key that does not sign is only a warning.
    """
    keys = decide(before.keys, observed, now)
    idle = tuple(key_name(key.selector, before.domain) for key in keys if not key.signing)
    silent = any(finding.status == "unknown" for finding in findings)
    statuses: dict[str, Status] = dict(before.statuses) if silent else {}
    found: dict[str, FoundRecord] = dict(before.found) if silent else {}
    for finding in findings:
        if finding.kind and finding.status != "unknown":
            statuses[_label(finding)] = _status(finding, idle)
            values = tuple(one[:MAX_VALUE] for one in finding.observed[:MAX_VALUES])
            found[_label(finding)] = FoundRecord(values, finding.text)
    if any(finding.subject == "domain" and finding.status == "wrong" for finding in findings):
        statuses[f"domain {before.domain}"] = "wrong"

    health: Health = "failing" if "wrong" in statuses.values() else "passing" if statuses else "unchecked"
    return replace(
        before,
        checked_at=now,
        health=health,
        health_since=before.health_since if health == before.health else now,
        statuses=statuses,
        found=found,
        keys=keys,
        next_check_at=now + _interval(before.set_up_at, keys, silent, now) * (1 + _SPREAD * jitter),
    )


def changes(before: DomainStatus, after: DomainStatus, findings: Sequence[Finding]) -> list[Change]:
    """Return the changes of a check, the domain as a whole first. The first check reports only the domain."""
    found = []
    texts = {_label(finding): finding.text for finding in findings if finding.kind or finding.subject == "domain"}
    if before.health != after.health:
        wrong = [label for label, status in after.statuses.items() if status == "wrong"]
        text = "; ".join(f"{label}: {texts.get(label, '')}" for label in wrong) or "all records are as they should be"
        found.append(Change(after.domain, "", before.health, after.health, text))
    if before.statuses:
        found += [
            Change(after.domain, label, before.statuses.get(label, "unchecked"), status, texts.get(label, ""))
            for label, status in after.statuses.items()
            if before.statuses.get(label) != status
        ]

    return found + _key_changes(before, after)


def _key_changes(before: DomainStatus, after: DomainStatus) -> list[Change]:
    signed = {key.kind: key.selector for key in before.keys if key.signing}
    signing = {key.kind: key.selector for key in after.keys if key.signing}
    return [
        Change(
            after.domain, f"signature {kind}", signed.get(kind, "none"), signing.get(kind, "none"), _why(after, kind)
        )
        for kind in sorted(signed | signing)
        if signed.get(kind) != signing.get(kind)
    ]


def _why(after: DomainStatus, kind: str) -> str:
    key = next((key for key in after.keys if key.kind == kind and key.signing), None)
    if key is None:
        return "DNS does not show the key; another kind of signature can be verified"
    return f"DNS shows {key.selector}" if key.shown_since else f"DNS shows no key, {key.selector} signs all the same"


def _interval(set_up_at: float, keys: Sequence[KeyState], silent: bool, now: float) -> float:
    """Return the seconds until the next check, without jitter."""
    if any(key.shown_since and not key.signing and now - key.shown_since < CONFIRMED_AFTER for key in keys):
        return SOONEST
    age = now - set_up_at
    regular = min(max(age / _PART, SOONEST), HOURLY) if age < SETTLING else DAILY
    return min(regular, HOURLY) if silent else regular


def _status(finding: Finding, idle: Sequence[str]) -> Status:
    about_idle = any(f"{finding.name}.".startswith(f"{name}.") for name in idle)
    return "warning" if about_idle and finding.status == "wrong" else finding.status


def _label(finding: Finding) -> str:
    return f"{finding.kind} {finding.name}" if finding.kind else f"domain {finding.name}"
