"""The report on bounces: how many, why, where, what the other servers said, and what a person can do. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from relay.dsn.category import Category
from relay.dsn.mask import mask
from relay.dsn.taxonomy import TAXONOMY
from relay.events.event import Kind
from relay.mail.address import domain_of
from relay.reports.deliveries import Counts, counts_by_domain, counts_form
from relay.reports.forms import Form, time_form
from relay.reports.ports import Failure, Tally

WORST = 10
"""Kinds of replies shown."""

_UNKNOWN = TAXONOMY["unknown"]


def bounce_report(tallies: Iterable[Tally], failures: Sequence[Failure], category: str = "") -> Form:
    """Return the report over all recipients in `tallies`; with a category, only its bounces are broken down.

    Rates are shares of what was decided: bounced of delivered and bounced, complaints of delivered.
    """
    bounced = _one_for_each_recipient(one for one in failures if one.kind is Kind.BOUNCED)
    complaints = _one_for_each_recipient(one for one in failures if one.kind is Kind.COMPLAINT)
    by_domain = counts_by_domain(tallies, bounced)
    total = sum(by_domain.values(), Counts())
    shown = [one for one in bounced if category in ("", category_of(one).name)]
    return {
        **counts_form(total),
        "late": sum(bool(one.data.get("late")) for one in bounced),
        "complaints": len(complaints),
        "complaint_rate": _share(len(complaints), total.delivered + len(complaints)),
        "categories": _categories(shown),
        "destinations": _destinations(by_domain, shown),
        "replies": clusters(shown)[:WORST],
        "messages": [failure_form(one) for one in shown],
    }


def unclassified_report(failures: Iterable[Failure]) -> list[Form]:
    """Return the replies no rule knows, gathered by their masked form, the most frequent first."""
    return clusters([one for one in failures if one.data.get("category") == "unknown" and not one.data.get("rule")])


def clusters(failures: Sequence[Failure]) -> list[Form]:
    """Gather replies that differ only in numbers, ids, hosts and addresses; the most frequent first."""
    gathered: dict[tuple[str, str], list[Failure]] = {}
    for one in failures:
        gathered.setdefault((mask(_reply(one)), category_of(one).name), []).append(one)
    ordered = sorted(gathered.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        {
            "reply": masked,
            "category": name,
            "count": len(found),
            "example": _reply(found[0]),
            "remote": str(found[0].data.get("remote", "")),
            "last_at": time_form(found[0].at),
            "queue_id": found[0].queue_id,
        }
        for (masked, name), found in ordered
    ]


def failure_form(one: Failure) -> Form:
    """Return one bounced recipient with its message."""
    return {
        "at": time_form(one.at),
        "queue_id": one.queue_id,
        "recipient": one.address,
        "category": category_of(one).name,
        "rule": one.data.get("rule", ""),
        "status": one.data.get("status", ""),
        "reply": _reply(one),
        "remote": one.data.get("remote", ""),
        "late": bool(one.data.get("late")),
        "identity": one.identity,
        "domain": one.domain,
        "type": "campaign" if one.campaign else "transactional",
        "campaign": one.campaign,
        "subject": one.subject,
        "tags": list(one.tags),
        "metadata": dict(one.metadata),
    }


def category_of(one: Failure) -> Category:
    """Return the category a failure was given."""
    return TAXONOMY.get(str(one.data.get("category", "")), _UNKNOWN)


def _reply(one: Failure) -> str:
    return str(one.data.get("reply") or one.data.get("reason") or "")


def _one_for_each_recipient(failures: Iterable[Failure]) -> list[Failure]:
    """Keep the newest for each recipient of each message."""
    kept: dict[tuple[str, int], Failure] = {}
    for one in failures:
        kept.setdefault((one.queue_id, one.number), one)
    return list(kept.values())


def _categories(bounced: Sequence[Failure]) -> list[Form]:
    counted = Counter(category_of(one).name for one in bounced)
    return [
        {
            "category": name,
            "title": TAXONOMY[name].title,
            "kind": TAXONOMY[name].kind,
            "bounced": count,
            "share": _share(count, len(bounced)),
            "suppression": TAXONOMY[name].suppression,
            "fixed_by": TAXONOMY[name].fixed_by,
            "guidance": list(TAXONOMY[name].guidance),
        }
        for name, count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    ]


def _destinations(by_domain: dict[str, Counts], bounced: Sequence[Failure]) -> list[Form]:
    """Return the destinations that bounced something, the worst first, with the categories seen there."""
    seen: dict[str, Counter[str]] = {}
    for one in bounced:
        seen.setdefault(domain_of(one.address), Counter())[category_of(one).name] += 1
    ordered = sorted(seen, key=lambda name: (-seen[name].total(), name))
    return [
        {"destination": name, **counts_form(by_domain.get(name, Counts())), "categories": dict(seen[name])}
        for name in ordered
    ]


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
