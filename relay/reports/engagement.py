"""The engagement report: opens, clicks, replies and unsubscribes by campaign. Machines count apart. Pure functions."""

from collections.abc import Iterable
from dataclasses import fields, replace

from relay.config.server import Proxies
from relay.reports.ports import CampaignCounts, Click
from relay.reports.serialize import JsonObject

MAX_LINKS = 10
"""Links in the report, at most: those with the most recipients."""


def engagement_report(
    counted: Iterable[CampaignCounts],
    clicks: Iterable[Click],
    most_links: int | None = MAX_LINKS,
    *,
    proxies: Proxies = "opened",
) -> JsonObject:
    """Return totals, campaigns (largest first, transactional mail last) and the most clicked links.

    At most `most_links` links are listed; `links_total` is the number of all. `proxied_opens` are the recipients whose
    open came by a proxy only; `proxies` says what else they count as.
    Rates are shares of the delivered recipients that did not bounce later; click-to-open is clicked of opened.
    """
    rows = sorted(
        (_with_proxies(one, proxies) for one in counted),
        key=lambda one: (not one.campaign, -one.recipients, one.campaign),
    )
    names = [field.name for field in fields(CampaignCounts)][1:]
    links = _links(clicks)
    total = CampaignCounts("", *(sum(getattr(one, name) for one in rows) for name in names))
    return {
        **_counts_json(total),
        "campaigns": [
            {"campaign": one.campaign, "type": "campaign" if one.campaign else "transactional", **_counts_json(one)}
            for one in rows
        ],
        "links": links[:most_links],
        "links_total": len(links),
    }


def _with_proxies(one: CampaignCounts, proxies: Proxies) -> CampaignCounts:
    """Return the counts with the opens by a proxy added to what they count as."""
    match proxies:
        case "opened":
            return replace(one, opened=one.opened + one.proxy_opened)
        case "machine":
            return replace(one, machine_opened=one.machine_opened + one.proxy_opened)
        case "apart":
            return one


def _counts_json(one: CampaignCounts) -> JsonObject:
    delivered = one.delivered - one.came_back
    return {
        "recipients": one.recipients,
        "delivered": delivered,
        "opens": one.opened,
        "clicks": one.clicked,
        "open_rate": _share(one.opened, delivered),
        "click_rate": _share(one.clicked, delivered),
        "click_to_open": _share(one.clicked, one.opened),
        "proxied_opens": one.proxy_opened,
        "machine_opens": one.machine_opened,
        "machine_clicks": one.machine_clicked,
        "replies": one.replied,
        "reply_rate": _share(one.replied, delivered),
        "unsubscribes": one.unsubscribed,
        "unsubscribe_rate": _share(one.unsubscribed, delivered),
        "complaints": one.complained,
        "complaint_rate": _share(one.complained, delivered),
    }


def _links(clicks: Iterable[Click]) -> list[JsonObject]:
    """Count clicks by target; the target with the most recipients is first."""
    readers: dict[str, set[tuple[str, int]]] = {}
    counted: dict[str, int] = {}
    for one in clicks:
        readers.setdefault(one.target, set()).add((one.queue_id, one.number))
        counted[one.target] = counted.get(one.target, 0) + 1
    ordered = sorted(readers, key=lambda target: (-len(readers[target]), -counted[target], target))
    return [{"target": target, "recipients": len(readers[target]), "clicks": counted[target]} for target in ordered]


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole > 0 else 0.0
