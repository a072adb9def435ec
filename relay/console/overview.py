"""The overview: does mail leave, and what must be done now?"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.clock import Clock
from relay.config.settings import Settings
from relay.console.cached import Cached
from relay.console.figures import KINDS, DayFigures, day_figures
from relay.console.formats import duration, number, percent
from relay.console.queue_state import QueueState
from relay.console.shell import Shell
from relay.console.time_columns import DAY_SPAN
from relay.console.verdict import Standing, verdict
from relay.domains.status import DomainStatus
from relay.mail.queue_id import is_queue_id, time_of
from relay.queue.entry import Entry, State
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


class OverviewPage:
    """GET /: the verdict, the figures of the day, the oldest messages."""

    def __init__(
        self,
        *,
        shell: Shell,
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
        self._shell = shell
        self._settings = settings
        self._tallies = tallies
        self._queue = queue
        self._entries = entries
        self._explain = explain
        self._domains = domains
        self._lanes = lanes
        self._holds = holds
        self._clock = clock
        self.figures = Cached(self._read_figures, clock)
        """The figures of the last 24 hours."""

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /: the overview; `?q=`, as of earlier versions, leads to the search."""
        if request.query.get("q", "").strip():
            raise web.HTTPFound(f"/messages?{request.rel_url.raw_query_string}")
        figures, queue, settings = await self.figures(), await self._queue(), self._settings()
        now = self._clock()
        found = verdict(
            Standing(
                now=now,
                figures=figures,
                waiting=queue.total,
                oldest_at=min((time_of(one) for one in queue.oldest.values() if is_queue_id(one)), default=None),
                lifetime=settings.queue.lifetime,
                domains=self._domains(),
                lanes=self._lanes(),
                holds=self._holds(),
            )
        )
        return await self._shell.page(
            request,
            "overview.html",
            title="Overview",
            verdict=found,
            figures=figures,
            tiles=_tiles(figures, queue, now, settings.queue.lifetime),
            oldest=await self._oldest(queue, now),
            waiting=queue.total,
            lifetime=settings.queue.lifetime,
        )

    async def _read_figures(self) -> DayFigures:
        now = self._clock()
        since, until = DAY_SPAN.window(now)
        sums = await self._tallies.sums(since, until, KINDS, span=DAY_SPAN.column)
        return day_figures(sums, now, self._settings().engagement.proxies)

    async def _oldest(self, queue: QueueState, now: float) -> Sequence[Waiting]:
        """Return the oldest waiting message of the lanes that have the oldest ones."""
        found = []
        for queue_id in heapq.nsmallest(OLDEST, set(queue.oldest.values())):
            query = EntryQuery(queue_id=queue_id, states=(State.WAITING, State.HELD, State.ACTIVE), limit=1)
            for message, entry in await self._entries.entries(query):
                lifetime = max(entry.expires_at - entry.created_at, 1.0)
                age = max(now - entry.created_at, 0.0)
                reason = next((one.text for one in self._explain(message, entry)), "")
                found.append(Waiting(message, entry, age, 100 * age / lifetime, reason))
        return found


def _tiles(figures: DayFigures, queue: QueueState, now: float, lifetime: float) -> Sequence[tuple[str, str, str, str]]:
    times = [time_of(one) for one in queue.oldest.values() if is_queue_id(one)]
    oldest = f"oldest {duration(now - min(times))} of {duration(lifetime)}" if times else "nothing waits"
    done = figures.left + figures.dropped
    return (
        (
            "Delivered",
            number(figures.delivered),
            f"{percent(figures.delivered, done)} of {number(done)}" if done else "last 24 hours",
            "/messages?status=delivered&span=day",
        ),
        ("Waiting", number(queue.total), oldest, "/queue"),
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
