"""The routes of the reports."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from aiohttp import web
from multidict import MultiMapping

from relay.admin.requests import Before, before_text, parse_before, reject_unknown_parameters
from relay.config.server import Proxies
from relay.config.settings import Settings
from relay.dsn.categories import CATEGORIES
from relay.reports import build
from relay.reports.bounces import WORST
from relay.reports.engagement import MAX_LINKS, engagement_report
from relay.reports.ports import MAX_CLICKS, EngagementStore, MessageQuery, ReportStore, Story, StoryStore
from relay.reports.recipients import STATUSES, LabelCounts, count_labels, labels_json, recipient_rows
from relay.reports.serialize import JsonObject, story_json

MAX_STORIES = 1000
"""Messages of one response, at most: the newest."""

_PARAMETERS = frozenset(
    {"since", "until", "domain", "identity", "type", "tag", "meta", "category", "campaign", "system", "simulated"}
    | {"status", "by", "before", "all"}
)

_TYPES: Mapping[str, bool | None] = {"": None, "campaign": True, "transactional": False}


class ReportRoutes:
    """The routes of reports. Parameters: since, until (Unix seconds), domain, identity, type, campaign, tag, meta.

    With system=yes, mail of the relay itself and copies are counted too; with simulated=yes, simulated mail.
    """

    def __init__(
        self, settings: Callable[[], Settings], store: ReportStore, engagement: EngagementStore, stories: StoryStore
    ) -> None:
        self._settings = settings
        self._store = store
        self._engagement = engagement
        self._stories = stories

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/reports/bounces", self.bounces),
            web.get("/reports/bounces/messages", self.bounced),
            web.get("/reports/deliveries", self.deliveries),
            web.get("/reports/engagement", self.engagement),
            web.get("/reports/unclassified", self.unclassified),
            web.get("/reports/messages", self.messages),
            web.get("/reports/recipients", self.recipients),
            web.get("/reports/labels", self.labels),
        ]

    async def bounces(self, request: web.Request) -> web.Response:
        """GET /reports/bounces?…&category=&all=: totals, categories, sites, destinations, most frequent replies.

        With all=yes, all replies.
        """
        found = await build.bounces(self._store, _query(request.query), _category(request), _most(request.query, WORST))
        return web.json_response(found)

    async def bounced(self, request: web.Request) -> web.StreamResponse:
        """GET /reports/bounces/messages?…&category=: the bounced recipients of that report, newest first.

        One JSON object per line, without a limit. The last line is `null`; without it the response is incomplete.
        """
        pages = build.bounced_messages(self._store, _query(request.query), _category(request))
        page = await anext(pages, None)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        while page is not None:
            await response.write("".join(f"{json.dumps(one)}\n" for one in page).encode())
            page = await anext(pages, None)
        await response.write(b"null\n")
        await response.write_eof()
        return response

    async def deliveries(self, request: web.Request) -> web.Response:
        """GET /reports/deliveries?…: totals and destinations."""
        return web.json_response(await build.deliveries(self._store, _query(request.query)))

    async def engagement(self, request: web.Request) -> web.Response:
        """GET /reports/engagement?…&all=: totals, campaigns, most clicked links; with all=yes, all links."""
        query = _query(request.query)
        counted = await self._engagement.campaign_counts(query)
        clicks = await self._engagement.clicks(query)
        report = engagement_report(counted, clicks, _most(request.query, MAX_LINKS), proxies=self._proxies)
        return web.json_response({**report, "clicks_cut": len(clicks) == MAX_CLICKS})

    async def unclassified(self, request: web.Request) -> web.Response:
        """GET /reports/unclassified?…: masked replies that no rule matches, with their counts."""
        return web.json_response({"replies": await build.unclassified(self._store, _query(request.query))})

    async def messages(self, request: web.Request) -> web.Response:
        """GET /reports/messages?…&before=: the matching messages, newest first, at most MAX_STORIES.

        `more` is true if there are older ones; `next` is the value of `before` for these.
        """
        stories, following = await self._page(_query(request.query))
        shown = [story_json(story) for story in stories]
        return web.json_response({"stories": shown, "more": following is not None, "next": before_text(following)})

    async def recipients(self, request: web.Request) -> web.Response:
        """GET /reports/recipients?…&status=&before=: the recipients of up to MAX_STORIES messages, a row each."""
        query = _query(request.query)
        statuses = _statuses(request.query.get("status", ""))
        stories, following = await self._page(query)
        rows = [row for story in stories for row in self._rows(story, statuses, query)]
        return web.json_response({"rows": rows, "next": before_text(following)})

    async def labels(self, request: web.Request) -> web.Response:
        """GET /reports/labels?…&by=meta:KEY|tag|campaign|identity: counts of the recipients by value of a label."""
        by, query = request.query.get("by", ""), _query(request.query)
        if by not in ("tag", "campaign", "identity") and not (by.startswith("meta:") and by != "meta:"):
            raise web.HTTPBadRequest(text=f"by {by!r} must be meta:KEY, tag, campaign or identity")
        counts: dict[str, LabelCounts] = {}
        while True:
            stories, following = await self._page(query)
            for story in stories:
                count_labels(self._rows(story, frozenset(), query), by, counts)
            if following is None:
                return web.json_response({"rows": labels_json(counts, by)})
            query = replace(query, before=following)

    @property
    def _proxies(self) -> Proxies:
        return self._settings().engagement.proxies

    def _rows(self, story: Story, statuses: frozenset[str], query: MessageQuery) -> Iterator[JsonObject]:
        of_users, simulated = query.users_only, query.simulated
        return recipient_rows(story, statuses, with_copies=not of_users, simulated=simulated, proxies=self._proxies)

    async def _page(self, query: MessageQuery) -> tuple[Sequence[Story], Before | None]:
        """Return the next messages, and `before` of the page after them, None at the end."""
        stories = await self._stories.stories(replace(query, limit=MAX_STORIES + 1))
        if len(stories) <= MAX_STORIES:
            return stories, None
        last = stories[MAX_STORIES - 1].message
        return stories[:MAX_STORIES], (last.created_at, last.queue_id)


def _statuses(text: str) -> frozenset[str]:
    statuses = frozenset(text.split(",")) if text else frozenset()
    if unknown := statuses - set(STATUSES):
        raise web.HTTPBadRequest(text=f"status {min(unknown)!r} is not one of {', '.join(STATUSES)}")
    return statuses


def _most(query: MultiMapping[str], most: int) -> int | None:
    """Return the length of a list of the most frequent; None, without an end, with all=yes."""
    return None if query.get("all", "") == "yes" else most


def _category(request: web.Request) -> str:
    category = request.query.get("category", "")
    if category and category not in CATEGORIES:
        raise web.HTTPBadRequest(text=f"category {category!r} is not one of {', '.join(CATEGORIES)}")
    return category


def _query(query: MultiMapping[str]) -> MessageQuery:
    reject_unknown_parameters(query, _PARAMETERS)
    kind = query.get("type", "")
    if kind not in _TYPES:
        raise web.HTTPBadRequest(text=f"type {kind!r} must be transactional or campaign")

    pairs = [one.partition("=") for one in query.getall("meta", [])]
    if invalid := [key for key, sign, _ in pairs if not (key and sign)]:
        raise web.HTTPBadRequest(text=f"meta {invalid[0]!r} must be key=value, such as invoice=1042")

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
        before=parse_before(query.get("before", "")),
        users_only=query.get("system", "") != "yes",
        simulated=query.get("simulated", "") == "yes",
    )
