"""The routes of the reports."""

from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web
from multidict import MultiMapping

from relay.dsn.taxonomy import TAXONOMY
from relay.events.event import Kind
from relay.reports.bounces import bounce_report, unclassified_report
from relay.reports.deliveries import delivery_report
from relay.reports.engagement import EngagementStore, engagement_report
from relay.reports.forms import story_form
from relay.reports.ports import MessageQuery, ReportStore, StoryStore

MOST_STORIES = 1000
"""Messages of one answer, the newest."""

_PARAMETERS = frozenset({"since", "until", "domain", "identity", "type", "tag", "meta", "category", "campaign"})
_TYPES: Mapping[str, bool | None] = {"": None, "campaign": True, "transactional": False}


class ReportRoutes:
    """The handlers. Each takes since, until (Unix seconds), domain, identity, type, campaign, tags and meta."""

    def __init__(self, store: ReportStore, engagement: EngagementStore, stories: StoryStore) -> None:
        self._store = store
        self._engagement = engagement
        self._stories = stories

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/reports/bounces", self.bounces),
            web.get("/reports/deliveries", self.deliveries),
            web.get("/reports/engagement", self.engagement),
            web.get("/reports/unclassified", self.unclassified),
            web.get("/reports/messages", self.messages),
        ]

    async def bounces(self, request: web.Request) -> web.Response:
        """GET /reports/bounces?…&category=: totals, categories, destinations, worst replies, messages."""
        query, category = _query(request.query), request.query.get("category", "")
        if category and category not in TAXONOMY:
            raise web.HTTPBadRequest(text=f"category {category!r} is none of {', '.join(TAXONOMY)}")
        tallies = await self._store.tallies(query)
        failures = await self._store.failures(query, (Kind.BOUNCED, Kind.COMPLAINT))
        return web.json_response(bounce_report(tallies, failures, category))

    async def deliveries(self, request: web.Request) -> web.Response:
        """GET /reports/deliveries?…: totals and destinations."""
        query = _query(request.query)
        tallies = await self._store.tallies(query)
        failures = await self._store.failures(query, (Kind.BOUNCED,))
        return web.json_response(delivery_report(tallies, failures))

    async def engagement(self, request: web.Request) -> web.Response:
        """GET /reports/engagement?…: totals, campaigns, most clicked links."""
        query = _query(request.query)
        counted = await self._engagement.campaign_counts(query)
        return web.json_response(engagement_report(counted, await self._engagement.clicks(query)))

    async def unclassified(self, request: web.Request) -> web.Response:
        """GET /reports/unclassified?…: masked replies no rule knows, with how often they came."""
        query = _query(request.query)
        failures = await self._store.failures(query, (Kind.BOUNCED, Kind.DEFERRED), "unknown")
        return web.json_response({"replies": unclassified_report(failures)})

    async def messages(self, request: web.Request) -> web.Response:
        """GET /reports/messages?…: the stories of the messages that match, newest first, at most MOST_STORIES."""
        stories = await self._stories.stories(replace(_query(request.query), limit=MOST_STORIES))
        return web.json_response({"stories": [story_form(story) for story in stories]})


def _query(query: MultiMapping[str]) -> MessageQuery:
    if unknown := set(query) - _PARAMETERS:
        raise web.HTTPBadRequest(text=f"unknown parameter {', '.join(sorted(unknown))}")
    kind = query.get("type", "")
    if kind not in _TYPES:
        raise web.HTTPBadRequest(text=f"type {kind!r} must be transactional or campaign")
    pairs = [one.partition("=") for one in query.getall("meta", [])]
    if wrong := [key for key, sign, _ in pairs if not (key and sign)]:
        raise web.HTTPBadRequest(text=f"meta {wrong[0]!r} must be key=value, such as invoice=1042")
    try:
        since = float(query.get("since", "0"))
        until = float(query["until"]) if "until" in query else None
    except ValueError:
        raise web.HTTPBadRequest(text="since and until must be Unix seconds") from None
    return MessageQuery(
        since=since,
        until=until,
        domain=query.get("domain", ""),
        identity=query.get("identity", ""),
        campaign=_TYPES[kind],
        campaign_name=query.get("campaign", ""),
        tags=tuple(query.getall("tag", [])),
        metadata={key: value for key, _, value in pairs},
    )
