"""The routes of the dashboard: what is read for each page."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from relay.admin.api import Desk, find_stories
from relay.admin.dashboard.access import Guard, guarded
from relay.admin.dashboard.pages import Overview, Resting, found_page, overview_page, story_page
from relay.events.ports import StoreError
from relay.mail.queue_id import is_queue_id
from relay.queue.routing import LanePause
from relay.reports import run
from relay.reports.engagement import engagement_report
from relay.reports.ports import MessageQuery
from relay.reports.serialize import Form, story_form, time_form

RECENT = 20
"""Messages of the first page."""


SPAN = 30 * 86400.0
"""Seconds that the reports of the first page go back."""


REPORTS_KEPT = 60.0
"""Seconds for which the reports of the first page are shown again: they read much, and change slowly."""


@dataclass(frozen=True, slots=True)
class Board:
    """What the dashboard shows, and to whom."""

    hostname: str
    secret: str
    """Whoever knows it may look; "" is everybody on this machine."""
    desk: Desk
    last_hour: Callable[[], Mapping[str, int]]
    """Events of the last hour, by kind."""


def dashboard(board: Board) -> web.Application:
    """Return the application with its routes; it only reads."""
    views = _Views(board)
    app = web.Application(middlewares=[guarded(Guard(board.secret))])
    app.add_routes([web.get("/", views.front), web.get("/message/{queue_id}", views.message)])
    return app


class _Views:
    """The handlers."""

    def __init__(self, board: Board) -> None:
        self._hostname = board.hostname
        self._last_hour = board.last_hour
        self._desk = board.desk
        self._reports: tuple[Form, Form] = ({}, {})
        self._reports_at = -math.inf
        self._reading = asyncio.Lock()

    async def front(self, request: web.Request) -> web.Response:
        """GET /: the overview; with ?q= what that finds, which for a single message is its story."""
        query = request.query.get("q", "").strip()
        try:
            return await self._find(query) if query else _html(overview_page(await self._overview()))
        except StoreError as error:
            return _trouble(error)

    async def message(self, request: web.Request) -> web.Response:
        """GET /message/ID: the story of a message."""
        queue_id = request.match_info["queue_id"].upper()
        try:
            found = await self._desk.stories.stories(MessageQuery(queue_id=queue_id)) if is_queue_id(queue_id) else ()
        except StoreError as error:
            return _trouble(error)
        if not found:
            return _html(found_page(self._hostname, queue_id, []), 404)
        return _html(story_page(self._hostname, story_form(found[0])))

    async def _find(self, query: str) -> web.Response:
        found = await find_stories(self._desk.stories, query)
        if len(found) == 1:
            raise web.HTTPFound(f"/message/{found[0].message.queue_id}")
        return _html(found_page(self._hostname, query, [story_form(one) for one in found]))

    async def _overview(self) -> Overview:
        desk = self._desk
        status = await desk.status()
        queue = status["queue"]
        assert isinstance(queue, Mapping)
        recent = await desk.stories.stories(MessageQuery(limit=RECENT))
        bounces, engagement = await self._long_ones()
        return Overview(
            hostname=self._hostname,
            version=str(status["version"]),
            healthy=bool(status["healthy"]),
            queue=queue,
            last_hour=self._last_hour(),
            resting=[_resting(lane, pause) for lane, pause in sorted(desk.providers.pauses().items())],
            recent=[story_form(one) for one in recent],
            bounces=bounces,
            engagement=engagement,
        )

    async def _long_ones(self) -> tuple[Form, Form]:
        """Return the reports on bounces and engagement, read anew when those at hand are old; once for all who wait."""
        async with self._reading:
            now = self._desk.clock()
            if not 0 <= now - self._reports_at < REPORTS_KEPT:
                query = MessageQuery(since=now - SPAN)
                counted = await self._desk.engagement.campaign_counts(query)
                self._reports = await run.bounces(self._desk.reports, query), engagement_report(counted, ())
                self._reports_at = now
            return self._reports


def _resting(lane: str, pause: LanePause) -> Resting:
    return Resting(lane, pause.why, None if math.isinf(pause.until) else time_form(pause.until))


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/html", charset="utf-8")


def _trouble(error: StoreError) -> web.Response:
    return web.Response(status=503, text=f"The store does not answer: {error}\n")
