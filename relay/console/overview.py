"""The overview: does mail leave, and what must be done now?"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from aiohttp import web

from relay.clock import Clock
from relay.config.settings import Settings
from relay.console.cached import Cached
from relay.console.figures import KINDS, DayFigures, day_figures
from relay.console.formats import duration, number, percent
from relay.console.layout import Layout
from relay.console.narrowing import MAX_PICKED, shown_holds, shown_lanes, shown_reasons
from relay.console.queue_state import OPEN, QueueState
from relay.console.roles import Viewer, viewer_of
from relay.console.time_columns import DAY_SPAN
from relay.console.verdict import OverviewFacts, verdict
from relay.domains.status import DomainStatus
from relay.mail.queue_id import is_queue_id, time_of
from relay.queue.entry import Entry
from relay.queue.message import Message
from relay.queue.pause import Pause
from relay.queue.ports import EntryQuery, QueueAdminStore
from relay.queue.routing import LanePause
from relay.queue.wait_reasons import Reason
from relay.reports.tallies import TallyStore

OLDEST = 5
"""Messages of the list "Waiting longest"."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits."""

    message: Message
    entry: Entry
    age: float
    part: float
    """Share of its lifetime that is over, in per cent."""
    why: str


@dataclass(frozen=True, slots=True)
class Waits:
    """What waits."""

    count: int | None
    """None: there is too much to count."""
    oldest_at: float | None
    """Unix seconds."""
    oldest: Sequence[Waiting]


class OverviewPage:
    """GET /: the verdict, the figures of the day, the oldest messages."""

    def __init__(
        self,
        *,
        layout: Layout,
        settings: Callable[[], Settings],
        tallies: TallyStore,
        queue: Cached[QueueState],
        entries: QueueAdminStore,
        explain: Callable[[Message, Entry], Sequence[Reason]],
        domains: Callable[[], Sequence[DomainStatus]],
        lanes: Callable[[], Mapping[str, LanePause]],
        holds: Callable[[], Sequence[Pause]],
        clock: Clock,
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._tallies = tallies
        self._queue = queue
        self._entries = entries
        self._explain = explain
        self._domains = domains
        self._lanes = lanes
        self._holds = holds
        self._clock = clock
        self._figures: dict[tuple[str, ...], Cached[DayFigures]] = {}

    async def figures(self, domains: tuple[str, ...] = ()) -> DayFigures:
        """Return the figures of the last 24 hours, of some sending domains or of all mail. Raises StoreError."""
        if domains not in self._figures:
            self._figures[domains] = Cached(partial(self._read_figures, domains), self._clock)
        return await self._figures[domains]()

    async def close(self) -> None:
        """End the reads in progress."""
        for one in self._figures.values():
            await one.close()

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /: the overview; `?q=`, as of earlier versions, leads to the search."""
        if request.query.get("q", "").strip():
            raise web.HTTPFound(f"/messages?{request.rel_url.raw_query_string}")
        viewer, now, settings = viewer_of(request), self._clock(), self._settings()
        figures, waits = await self.figures(viewer.domains), await self._waits(viewer, now)
        found = verdict(
            OverviewFacts(
                now=now,
                figures=figures,
                waiting=waits.count or 0,
                oldest_at=waits.oldest_at,
                lifetime=settings.queue.lifetime,
                domains=[one for one in self._domains() if viewer.sees(one.domain)],
                lanes=shown_lanes(self._lanes(), settings, viewer),
                holds=shown_holds(self._holds(), viewer),
            )
        )
        return await self._layout.page(
            request,
            "overview.html",
            title="Overview",
            verdict=found,
            figures=figures,
            tiles=_tiles(figures, waits, now, settings.queue.lifetime),
            oldest=waits.oldest,
            waiting=waits.count,
            lifetime=settings.queue.lifetime,
        )

    async def _read_figures(self, domains: tuple[str, ...]) -> DayFigures:
        now = self._clock()
        since, until = DAY_SPAN.window(now)
        sums = await self._tallies.sums(since, until, KINDS, domains, DAY_SPAN.column)
        return day_figures(sums, now, self._settings().engagement.proxies)

    async def _waits(self, viewer: Viewer, now: float) -> Waits:
        """Return what waits of all mail, or of the domains of the viewer."""
        queue = await self._queue()
        if not viewer.domains:
            oldest_at = min((time_of(one) for one in queue.oldest.values() if is_queue_id(one)), default=None)
            return Waits(queue.total, oldest_at, await self._oldest(queue, now))
        if queue.total > MAX_PICKED:
            return Waits(None, None, ())
        own = EntryQuery(domains=viewer.domains, states=OPEN, limit=MAX_PICKED)
        keys = await self._entries.keys(own)
        found = await self._entries.entries(replace(own, limit=OLDEST))
        oldest = [self._waiting(message, entry, now, viewer) for message, entry in found]
        return Waits(len(keys), found[0][1].created_at if found else None, oldest)

    async def _oldest(self, queue: QueueState, now: float) -> Sequence[Waiting]:
        """Return the oldest waiting message of the lanes that have the oldest ones."""
        found = []
        for queue_id in heapq.nsmallest(OLDEST, set(queue.oldest.values())):
            for message, entry in await self._entries.entries(EntryQuery(queue_id=queue_id, states=OPEN, limit=1)):
                found.append(self._waiting(message, entry, now, Viewer()))
        return found

    def _waiting(self, message: Message, entry: Entry, now: float, viewer: Viewer) -> Waiting:
        lifetime, age = max(entry.expires_at - entry.created_at, 1.0), max(now - entry.created_at, 0.0)
        reason = next((one.text for one in shown_reasons(self._explain(message, entry), viewer)), "")
        return Waiting(message, entry, age, 100 * age / lifetime, reason)


def _tiles(figures: DayFigures, waits: Waits, now: float, lifetime: float) -> Sequence[tuple[str, str, str, str]]:
    oldest = "nothing waits" if waits.count == 0 else "not counted by domain"
    if waits.oldest_at is not None:
        oldest = f"oldest {duration(now - waits.oldest_at)} of {duration(lifetime)}"
    done = figures.left + figures.dropped
    return (
        (
            "Delivered",
            number(figures.delivered),
            f"{percent(figures.delivered, done)} of {number(done)}" if done else "last 24 hours",
            "/messages?status=delivered&span=day",
        ),
        ("Waiting", "–" if waits.count is None else number(waits.count), oldest, "/queue"),
        (
            "Bounced",
            number(figures.bounced),
            f"{percent(figures.bounced, figures.left)} of what left" if figures.left else "last 24 hours",
            "/bounces?span=day",
        ),
        ("Dropped", number(figures.dropped), "on a list, or cancelled", "/messages?status=dropped&span=day"),
        ("Opened", figures.opened.text.partition(" ")[0], _share_of(figures.opened.text), ""),
        (
            "Time to deliver",
            "–" if figures.median is None else duration(figures.median),
            "about; half is faster" if figures.median is not None else "nothing delivered",
            "",
        ),
    )


def _share_of(text: str) -> str:
    """Return the note of a number of people: "35.3 % of delivered"."""
    _, comma, share = text.partition(", ")
    return f"by people, {share}" if comma else "by people"
