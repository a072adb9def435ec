"""The bounce report: categories, sites, destinations and replies. Pure functions."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from relay.dsn.categories import CATEGORIES
from relay.dsn.category import Category
from relay.dsn.reply_parts import mask_reply
from relay.events.event import Kind
from relay.mail.canonical_address import domain_of
from relay.mail.domain_name import registrable
from relay.reports.deliveries import Counts, counted, counts_json
from relay.reports.ports import Failure, Tally
from relay.reports.serialize import JsonObject, time_json

NOWHERE = "(no server reached)"
"""The site of recipients for which no server was reached."""

_SITES = {
    "google": ("google.com", "googlemail.com", "gmail.com"),
    "microsoft": ("outlook.com", "hotmail.com", "office365.us", "microsoft.com", "outlook.cn", "mx.microsoft"),
    "yahoo": ("yahoodns.net", "yahoo.com", "yahoo.co.jp", "aol.com"),
    "apple": ("icloud.com", "mail.me.com", "apple.com"),
    "united internet": ("gmx.net", "web.de", "1and1.com", "1and1.de", "ionos.com", "ionos.de", "kundenserver.de"),
    "proofpoint": ("pphosted.com", "ppe-hosted.com", "ppops.net"),
    "mimecast": ("mimecast.com", "mimecast.co.za"),
    "barracuda": ("barracudanetworks.com", "ess.barracuda.com"),
    "cisco": ("iphmx.com",),
    "broadcom": ("messagelabs.com",),
    "trend micro": ("tmes.trendmicro.com", "trendmicro.com", "trendmicro.eu"),
    "amazon": ("amazonaws.com", "awsapps.com"),
    "proton": ("protonmail.ch", "proton.ch"),
    "fastmail": ("messagingengine.com",),
    "zoho": ("zoho.com", "zoho.eu", "zoho.in"),
    "yandex": ("yandex.ru", "yandex.net"),
    "mail.ru": ("mail.ru",),
    "tencent": ("qq.com",),
    "netease": ("netease.com", "163.com", "126.com"),
    "comcast": ("comcast.net",),
    "orange": ("orange.fr", "wanadoo.fr"),
    "ovh": ("ovh.net", "ovh.ca"),
}

_OWNERS = {domain: site for site, domains in _SITES.items() for domain in domains}


def site_of(remote: str) -> str:
    """Return the site of a server: a name for large operators, else the registrable domain of its host name.

    `remote` is a host name, optionally with address and port: `mx.example.net[192.0.2.1]:25`.
    """
    host = remote.partition("[")[0].strip().lower().rstrip(".") or remote.strip().lower()
    if not host:
        return NOWHERE
    labels = host.split(".")
    owned = (_OWNERS.get(".".join(labels[start:])) for start in range(len(labels)))
    return next((site for site in owned if site is not None), None) or registrable(host)


WORST = 10
"""Replies in the report, at most: the most frequent."""

_UNKNOWN = CATEGORIES["unknown"]


@dataclass(slots=True)
class Newest:
    """Selects the newest failure of each recipient from failures that are read newest first."""

    seen: set[tuple[str, int]] = field(default_factory=set)

    def of(self, failures: Iterable[Failure]) -> list[Failure]:
        """Return the failures whose recipient is new."""
        new: list[Failure] = []
        for one in failures:
            key = (one.queue_id, one.number)
            if key not in self.seen:
                self.seen.add(key)
                new.append(one)
        return new


@dataclass(slots=True)
class Clusters:
    """Groups replies that differ only in numbers, ids, hosts and addresses, with the newest of each as example."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], Failure] = field(default_factory=dict)

    def add(self, failures: Iterable[Failure]) -> None:
        """Add failures that are older than those before."""
        for one in failures:
            key = (mask_reply(_reply(one)), category_of(one).name)
            self.counts[key] += 1
            self.examples.setdefault(key, one)

    def forms(self) -> list[JsonObject]:
        """Return the groups, most frequent first."""
        ordered = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return [_cluster_json(masked, name, count, self.examples[masked, name]) for (masked, name), count in ordered]


@dataclass(slots=True)
class BounceCount:
    """Counts bounces and complaints that are read newest first.

    A category limits the breakdowns to its bounces; the totals include all.
    """

    category: str = ""
    late: Counter[str] = field(default_factory=Counter)
    """Recipients that bounced after delivery, by their domain."""
    late_sites: Counter[str] = field(default_factory=Counter)
    complaints: int = 0
    categories: Counter[str] = field(default_factory=Counter)
    domains: dict[str, Counter[str]] = field(default_factory=dict)
    """Categories by the recipients' domain."""
    sites: dict[str, Counter[str]] = field(default_factory=dict)
    clusters: Clusters = field(default_factory=Clusters)
    bounced: Newest = field(default_factory=Newest)
    complained: Newest = field(default_factory=Newest)

    def add(self, failures: Iterable[Failure]) -> None:
        """Count failures that are older than those before."""
        page = tuple(failures)
        self.complaints += len(self.complained.of(one for one in page if one.kind is Kind.COMPLAINT))
        for one in self.bounced.of(one for one in page if one.kind is Kind.BOUNCED):
            self._bounce(one, domain_of(one.address), site_of(str(one.data.get("remote", ""))))

    def _bounce(self, one: Failure, domain: str, site: str) -> None:
        if one.data.get("late"):
            self.late[domain] += 1
            self.late_sites[site] += 1

        name = category_of(one).name
        if self.category not in ("", name):
            return

        self.categories[name] += 1
        self.domains.setdefault(domain, Counter())[name] += 1
        self.sites.setdefault(site, Counter())[name] += 1
        self.clusters.add((one,))

    def report(
        self, by_domain: Iterable[Tally], by_remote: Iterable[Tally], most_replies: int | None = WORST
    ) -> JsonObject:
        """Return the report. Both tallies count the same recipients, by domain and by server.

        At most `most_replies` replies are listed; `replies_total` is the number of all.

        The bounce rate is bounced of delivered and bounced, the complaint rate complaints of delivered.
        """
        domains = counted(by_domain, self.late)
        by_site = (Tally(site_of(one.destination), one.state, one.count) for one in by_remote)
        sites = counted(by_site, self.late_sites)
        total = sum(domains.values(), Counts())
        replies = self.clusters.forms()

        return {
            **counts_json(total),
            "late": self.late.total(),
            "complaints": self.complaints,
            "complaint_rate": _share(self.complaints, total.delivered + self.complaints),
            "categories": _categories(self.categories),
            "sites": _breakdown("site", sites, self.sites),
            "destinations": _breakdown("destination", domains, self.domains),
            "replies": replies[:most_replies],
            "replies_total": len(replies),
        }


def is_unclassified(one: Failure) -> bool:
    """Return True if no rule matched the text of the reply; its code alone may have decided."""
    rule = str(one.data.get("rule", ""))
    return rule.startswith("code-") or (one.data.get("category") == "unknown" and not rule)


def failure_json(one: Failure) -> JsonObject:
    """Return one bounced recipient with fields of its message."""
    return {
        "at": time_json(one.at),
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
    """Return the category of a failure, `unknown` if it has none."""
    return CATEGORIES.get(str(one.data.get("category", "")), _UNKNOWN)


def _reply(one: Failure) -> str:
    return str(one.data.get("reply") or one.data.get("reason") or "")


def _cluster_json(masked: str, category: str, count: int, newest: Failure) -> JsonObject:
    return {
        "reply": masked,
        "category": category,
        "count": count,
        "example": _reply(newest),
        "remote": str(newest.data.get("remote", "")),
        "last_at": time_json(newest.at),
        "queue_id": newest.queue_id,
    }


def _categories(bounced: Counter[str]) -> list[JsonObject]:
    return [
        {
            "category": name,
            "title": CATEGORIES[name].title,
            "kind": CATEGORIES[name].kind,
            "bounced": count,
            "share": _share(count, bounced.total()),
            "suppression": CATEGORIES[name].suppression,
            "fixed_by": CATEGORIES[name].fixed_by,
            "guidance": list(CATEGORIES[name].guidance),
        }
        for name, count in sorted(bounced.items(), key=lambda item: (-item[1], item[0]))
    ]


def _breakdown(key: str, counts: dict[str, Counts], seen: dict[str, Counter[str]]) -> list[JsonObject]:
    """Return the sites or destinations with bounces, most bounces first, with their categories."""
    ordered = sorted(seen, key=lambda name: (-seen[name].total(), name))
    return [{key: name, **counts_json(counts.get(name, Counts())), "categories": dict(seen[name])} for name in ordered]


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
