"""The queue: what waits, for which site, and why?"""

import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from aiohttp import web

from relay.admin.requests import parse_after
from relay.clock import Clock
from relay.config.settings import Settings
from relay.console.cached import Cached
from relay.console.csv_export import Row, csv_answer, one_page
from relay.console.formats import counted, duration, listed, minute, number, sentence
from relay.console.layout import Layout
from relay.console.narrowing import MAX_PICKED, TOO_MANY, shown_reasons
from relay.console.page_urls import page_url
from relay.console.queue_state import OPEN, QueueState
from relay.console.roles import Viewer, viewer_of
from relay.console.site_rows import SiteRow, site_rows
from relay.mail.queue_id import is_queue_id, time_of
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.queue.ports import EntryQuery, QueueAdminStore
from relay.queue.routing import LanePause
from relay.queue.wait_reasons import Reason

PAGE = 50
"""Entries of a page."""

EXPLAINED = 20
"""Sites for which the oldest entry is explained."""

MAX_LANES = 50
"""Lanes of a site that are listed, at most: the first by name."""

STATES = (("", "Any"), ("waiting", "Waiting"), ("held", "Held"), ("active", "Being sent"))

_FILTERS = ("q", "site", "state", "domain")


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One recipient that waits."""

    message: Message
    entry: Entry
    age: float
    part: float
    """Share of its lifetime that is over, in per cent."""
    why: str
    due: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePages:
    """GET /queue and /queue.csv: by site; with a filter, by recipient."""

    layout: Layout
    settings: Callable[[], Settings]
    queue: Cached[QueueState]
    entries: QueueAdminStore
    explain: Callable[[Message, Entry], Sequence[Reason]]
    lanes: Callable[[], Mapping[str, LanePause]]
    clock: Clock

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /queue?q=&site=&state=&domain=&after=: sites, or the entries that match."""
        state, now, viewer = await self.queue(), self.clock(), viewer_of(request)
        filters = {key: request.query.get(key, "").strip() for key in _FILTERS}
        is_filtered = any(filters.values())
        is_list = is_filtered or bool(viewer.domains)
        rows = await self._found(request, state) if is_list else []
        last = rows[PAGE - 1].entry if len(rows) > PAGE else None
        sites = [] if is_list else await self._sites(state, now)
        lifetime = self.settings().queue.lifetime
        title, text, verdict = _verdict_of_some(rows, now) if viewer.domains else _verdict(state, sites, now, lifetime)
        return await self.layout.page(
            request,
            "queue.html",
            title="Queue",
            verdict=verdict,
            headline=title,
            text=text,
            tiles=() if viewer.domains else _tiles(state, self.lanes(), now),
            filters=filters,
            is_filtered=is_filtered,
            states=STATES,
            domains=[("", "Any"), *((name, name) for name in viewer.domains or self.settings().domains)],
            sites=sites,
            rows=rows[:PAGE],
            lanes_left=self.lanes_left(request, state),
            lifetime=lifetime,
            older=page_url("/queue", filters, after=f"{last.queue_id}/{last.number}") if last else "",
            export=page_url("/queue.csv", filters),
        )

    async def export(self, request: web.Request) -> web.StreamResponse:
        """GET /queue.csv: the same list, all of it."""
        state = await self.queue()
        if viewer_of(request).domains or any(request.query.get(key, "").strip() for key in _FILTERS):
            header = ("queue_id", "recipient", "subject", "from", "state", "attempts", "created", "expires", "why")
            return await csv_answer(request, "queue", header, self._all(request, state))
        sites = await self._sites(state, self.clock())
        rows = [(one.name, one.count, round(one.age or 0), one.word, one.why) for one in sites]
        return await csv_answer(request, "sites", ("site", "waiting", "oldest_s", "state", "why"), one_page(rows))

    async def _sites(self, state: QueueState, now: float) -> Sequence[SiteRow]:
        rows = site_rows(state, self.lanes(), now)
        first = [await self._explained(one, state) for one in rows[:EXPLAINED]]
        return [*first, *rows[EXPLAINED:]]

    async def _explained(self, row: SiteRow, state: QueueState) -> SiteRow:
        """Return the row with what decides about its oldest entry, unless the site itself has a reason."""
        oldest = min((state.oldest[lane] for lane in row.lanes if lane in state.oldest), default="")
        if row.why or not oldest:
            return row
        for message, entry in await self.entries.entries(EntryQuery(queue_id=oldest, states=OPEN, limit=1)):
            reason = next(iter(self.explain(message, entry)), None)
            if reason is not None:
                until = f", until {minute(reason.until, self.clock())}" if 0 < reason.until < 1e12 else ""
                return replace(row, why=sentence(f"{reason.text}{until}"))
        return row

    async def _found(self, request: web.Request, state: QueueState) -> list[EntryRow]:
        found = [pair for query in self._queries(request, state) for pair in await self.entries.entries(query)]
        first = heapq.nsmallest(PAGE + 1, found, key=lambda pair: (pair[1].queue_id, pair[1].number))
        return [self._row(*pair, viewer_of(request)) for pair in first]

    def _queries(self, request: web.Request, state: QueueState, most: int | None = MAX_LANES) -> Iterable[EntryQuery]:
        found = entry_queries(request.query, state, viewer_of(request), most=most)
        if (
            viewer_of(request).domains
            and state.total > MAX_PICKED
            and not any(o.queue_id or o.recipient for o in found)
        ):
            raise web.HTTPForbidden(text=TOO_MANY)
        return [replace(one, after=parse_after(request.query)) for one in found]

    def lanes_left(self, request: web.Request, state: QueueState) -> int:
        """Return how many lanes of the site the page leaves out."""
        return max(len(entry_queries(request.query, state, viewer_of(request))) - MAX_LANES, 0)

    async def _all(self, request: web.Request, state: QueueState) -> AsyncIterator[Iterable[Row]]:
        for query in self._queries(request, state, most=None):
            rest: EntryQuery | None = replace(query, limit=1000)
            while rest is not None:
                found = await self.entries.entries(rest)
                yield [_csv_row(self._row(*pair, viewer_of(request))) for pair in found]
                last = found[-1][1] if len(found) == rest.limit else None
                rest = replace(rest, after=(last.queue_id, last.number)) if last else None

    def _row(self, message: Message, entry: Entry, viewer: Viewer) -> EntryRow:
        now = self.clock()
        age, lifetime = max(now - entry.created_at, 0.0), max(entry.expires_at - entry.created_at, 1.0)
        reasons = shown_reasons(self.explain(message, entry), viewer)
        due = max([entry.next_attempt_at, *(one.until for one in reasons if one.until < 1e12)])
        return EntryRow(message, entry, age, 100 * age / lifetime, sentence(next((r.text for r in reasons), "")), due)


def entry_queries(
    given: Mapping[str, str], state: QueueState, viewer: Viewer, most: int | None = None
) -> Sequence[EntryQuery]:
    """Return the queries of the filters: one for each lane of a site, at most so many. Raises 400."""
    query, chosen = given.get("q", "").strip(), given.get("state", "").strip()
    if chosen not in {value for value, _ in STATES}:
        raise web.HTTPBadRequest(text=f"The state {chosen} is not one of waiting, held and active.")
    base = EntryQuery(
        domain=given.get("domain", "").strip(),
        domains=viewer.domains,
        states=(State(chosen),) if chosen else OPEN,
        limit=PAGE + 1,
    )
    if "@" in query:
        return [replace(base, recipient=query)]
    if is_queue_id(query.upper()):
        return [replace(base, queue_id=query.upper())]
    name = given.get("site", "").strip() or query.lower()
    if not name:
        return [base]
    site = next((one for one in state.sites if one.name in (name, f"provider:{name}")), None)
    lanes = site.lanes if site else (f"provider:{name}", f"mx:{name}")
    return [replace(base, lane=lane) for lane in sorted(lanes)[:most]]


def _csv_row(row: EntryRow) -> Row:
    message, entry = row.message, row.entry
    times = cast("tuple[object, object]", (round(entry.created_at), round(entry.expires_at)))
    return (
        *(entry.queue_id, entry.recipient, message.subject, message.header_from),
        *(entry.status, entry.attempts, *times, row.why),
    )


def _verdict(state: QueueState, sites: Sequence[SiteRow], now: float, lifetime: float) -> tuple[str, str, str]:
    """Return headline, text and state of the verdict."""
    if not state.total:
        return "The queue is empty.", "All that was accepted has left.", "ok"
    times = [time_of(one) for one in state.oldest.values() if is_queue_id(one)]
    stopped = [one for one in sites if one.state in ("wait", "hold") and one.count]
    title = f"{counted(state.total, 'recipient waits', 'recipients wait')}."
    if stopped:
        title += f" {number(sum(one.count for one in stopped))} of them for {listed([one.name for one in stopped])}."
    oldest = f"The oldest waits {duration(now - min(times))}. " if times else ""
    text = f"{oldest}After {duration(lifetime)} mail that is left bounces, and the sender gets a notification."
    return title, text, "wait" if stopped else "off"


def _verdict_of_some(rows: Sequence[EntryRow], now: float) -> tuple[str, str, str]:
    """Return headline, text and state of the verdict for a list."""
    if not rows:
        return "Nothing of your domains waits.", "", "ok"
    more = (
        "More than 50 recipients wait" if len(rows) > PAGE else counted(len(rows), "recipient waits", "recipients wait")
    )
    return f"{more}.", f"The oldest waits {duration(now - rows[0].entry.created_at)}.", "off"


def _tiles(state: QueueState, lanes: Mapping[str, LanePause], now: float) -> Sequence[tuple[str, str, str, str]]:
    later = [one.first_attempt_at for one in state.depth if one.state is State.WAITING and not one.due]
    first = f"first at {minute(min(later), now)}" if later else "nothing deferred"
    paused = sum(state.by_lane()[lane] for lane in lanes)
    return (
        ("Due now", number(state.count(State.WAITING, due=True)), "as fast as sites take them", "/queue?state=waiting"),
        ("Try later", number(state.count(State.WAITING, due=False)), first, "/queue?state=waiting"),
        ("Being sent", number(state.count(State.ACTIVE)), "now", "/queue?state=active"),
        ("Held", number(state.count(State.HELD)), "by an operator, or damaged", "/queue?state=held"),
        (
            "Paused",
            number(paused),
            counted(len(lanes), "way out", "ways out"),
            "",
        ),
        ("Sites", number(sum(1 for one in state.sites if one.waiting)), "with waiting mail", ""),
    )
