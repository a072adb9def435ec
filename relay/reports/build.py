"""Reads the store page by page and builds the reports. All events are counted, without a limit.

Each function raises StoreError.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence

from relay.events.event import Kind
from relay.mail.canonical_address import domain_of
from relay.reports.bounces import WORST, BounceCount, Clusters, Newest, category_of, failure_json, is_unclassified
from relay.reports.deliveries import delivery_report
from relay.reports.ports import Failure, MessageQuery, ReportStore
from relay.reports.serialize import JsonObject


async def bounces(
    store: ReportStore, query: MessageQuery, category: str = "", most_replies: int | None = WORST
) -> JsonObject:
    """Return the bounce report. A category limits its breakdowns; at most `most_replies` replies are listed."""
    count = BounceCount(category)
    async for page in _pages(store, query, (Kind.BOUNCED, Kind.COMPLAINT)):
        count.add(page)
    return count.report(await store.tallies(query), await store.remotes(query), most_replies)


async def bounced_messages(
    store: ReportStore, query: MessageQuery, category: str = ""
) -> AsyncIterator[Sequence[JsonObject]]:
    """Yield pages of the bounced recipients that the report counts, newest first."""
    newest = Newest()
    async for page in _pages(store, query, (Kind.BOUNCED,)):
        yield [failure_json(one) for one in newest.of(page) if category in ("", category_of(one).name)]


async def deliveries(store: ReportStore, query: MessageQuery) -> JsonObject:
    """Return the delivery report."""
    newest, late = Newest(), Counter[str]()
    async for page in _pages(store, query, (Kind.BOUNCED,)):
        late.update(domain_of(one.address) for one in newest.of(page) if one.data.get("late"))
    return delivery_report(await store.tallies(query), late)


async def unclassified(store: ReportStore, query: MessageQuery) -> list[JsonObject]:
    """Return the replies that no rule matches, grouped by their masked form, most frequent first."""
    clusters = Clusters()
    async for page in _pages(store, query, (Kind.BOUNCED, Kind.DEFERRED), "unknown"):
        clusters.add(one for one in page if is_unclassified(one))
    return clusters.forms()


async def _pages(
    store: ReportStore, query: MessageQuery, kinds: Sequence[Kind], category: str = ""
) -> AsyncIterator[Sequence[Failure]]:
    last: Failure | None = None
    while page := await store.failures(query, kinds, category, last):
        yield page
        last = page[-1]
