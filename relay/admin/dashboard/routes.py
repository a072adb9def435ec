"""The routes of the dashboard, and the queries of each page."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiohttp import web

from relay.admin.api import MOST_STORIES, find_stories
from relay.admin.dashboard.access import AccessCheck, access_middleware
from relay.admin.dashboard.pages import Overview, message_page, overview_page, search_page
from relay.admin.requests import parse_place
from relay.clock import Clock
from relay.config.server import Proxies
from relay.events.ports import StoreError
from relay.mail.queue_id import is_queue_id
from relay.queue.pause import Pause
from relay.queue.routing import LanePause
from relay.reports import build
from relay.reports.engagement import engagement_report
from relay.reports.ports import EngagementStore, MessageQuery, ReportStore, StoryStore
from relay.reports.serialize import JsonObject, story_json

RECENT = 20
"""Recent messages on the front page."""

EVENTS = 200
"""Events on one page of a message."""

SPAN = 30 * 86400.0
"""Seconds covered by the reports of the front page."""

REPORTS_KEPT = 60.0
"""Seconds for which the reports of the front page are cached, because their queries are expensive."""


class DashboardRoutes:
    """The routes of the dashboard; they only read.

    `last_hour` returns the events of the last hour by kind, `pauses` the paused lanes by name,
    `paused_identities` the pauses of identities by address. `proxies` says what opens by a proxy count as.
    """

    def __init__(
        self,
        *,
        hostname: Callable[[], str],
        proxies: Callable[[], Proxies],
        stories: StoryStore,
        reports: ReportStore,
        engagement: EngagementStore,
        last_hour: Callable[[], Mapping[str, int]],
        pauses: Callable[[], Mapping[str, LanePause]],
        paused_identities: Callable[[], Mapping[str, Pause]],
        status: Callable[[], Awaitable[Mapping[str, object]]],
        clock: Clock,
    ) -> None:
        self._hostname = hostname
        self._proxies = proxies
        self._story_store = stories
        self._report_store = reports
        self._engagement_store = engagement
        self._last_hour = last_hour
        self._pauses = pauses
        self._paused_identities = paused_identities
        self._status = status
        self._clock = clock
        self._reports: tuple[JsonObject, JsonObject] = ({}, {})
        self._reports_at = -math.inf
        self._reading = asyncio.Lock()

    def table(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [web.get("/", self.front), web.get("/message/{queue_id}", self.message)]

    async def front(self, request: web.Request) -> web.Response:
        """GET /: the overview; with ?q= the search results, or the page of the only one."""
        query = request.query.get("q", "").strip()
        try:
            return await self._find(query) if query else _html(overview_page(await self._overview()))
        except StoreError as error:
            return _store_error(error)

    async def message(self, request: web.Request) -> web.Response:
        """GET /message/ID?after=: the timeline of a message, page by page."""
        queue_id = request.match_info["queue_id"].upper()
        after = parse_place(request.query)
        try:
            found = await self._story_store.story_page(queue_id, after, EVENTS) if is_queue_id(queue_id) else None
        except StoreError as error:
            return _store_error(error)
        if found is None:
            return _html(search_page(self._hostname(), queue_id, []), 404)
        return _html(message_page(self._hostname(), story_json(*found)))

    async def _find(self, query: str) -> web.Response:
        found = await find_stories(self._story_store, query)
        if len(found) == 1:
            raise web.HTTPFound(f"/message/{found[0].message.queue_id}")
        return _html(search_page(self._hostname(), query, [story_json(one) for one in found], MOST_STORIES))

    async def _overview(self) -> Overview:
        status = await self._status()
        queue = status["queue"]
        assert isinstance(queue, Mapping)
        recent = await self._story_store.stories(MessageQuery(limit=RECENT, users_only=True))
        bounces, engagement = await self._cached_reports()

        return Overview(
            hostname=self._hostname(),
            version=str(status["version"]),
            healthy=bool(status["healthy"]),
            queue=queue,
            last_hour=self._last_hour(),
            paused=self._pauses(),
            paused_identities=self._paused_identities(),
            recent=[story_json(one) for one in recent],
            bounces=bounces,
            engagement=engagement,
        )

    async def _cached_reports(self) -> tuple[JsonObject, JsonObject]:
        """Return bounce and engagement report from the cache. Concurrent requests refresh it once."""
        async with self._reading:
            now = self._clock()
            if not 0 <= now - self._reports_at < REPORTS_KEPT:
                query = MessageQuery(since=now - SPAN, users_only=True)
                counted = await self._engagement_store.campaign_counts(query)
                engagement = engagement_report(counted, (), proxies=self._proxies())
                self._reports = await build.bounces(self._report_store, query), engagement
                self._reports_at = now
            return self._reports


def dashboard_application(routes: DashboardRoutes, secret: str) -> web.Application:
    """Return the application. Access needs the secret, or without one a direct request of this machine."""
    app = web.Application(middlewares=[access_middleware(AccessCheck(secret))])
    app.add_routes(routes.table())
    return app


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/html", charset="utf-8")


def _store_error(error: StoreError) -> web.Response:
    return web.Response(status=503, text=f"The store does not answer: {error}\n")
