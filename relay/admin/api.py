"""Application, queue, trace, status and node routes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.admin.domains import DomainRoutes
from relay.admin.identities import IdentityRoutes
from relay.admin.providers import ProviderRoutes, ProviderTools
from relay.admin.reports import ReportRoutes
from relay.admin.suppressions import SuppressionRoutes
from relay.admin.unsubscribes import UnsubscribeRoutes
from relay.clock import Clock
from relay.domains.signing_keys import SigningKeys
from relay.limits.ports import LimitStore
from relay.mail.queue_id import is_queue_id
from relay.queue.actions import delete, deletion_event, flush, hold, release
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.queue.nodes import NodeState
from relay.queue.ports import EntryChange, EntryQuery, NodeStore, Publish, QueueAdminStore
from relay.reports.ports import EngagementStore, MessageQuery, ReportStore, Story, StoryStore
from relay.reports.serialize import listing_form, story_form, time_form
from relay.suppression.ports import SuppressionStore, UnsubscribeStore
from relay.verification.verifier import Verifier


@dataclass(frozen=True, slots=True)
class NodeRoutes:
    """Answers who works on the queue."""

    store: NodeStore

    def table(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [web.get("/nodes", self.nodes)]

    async def nodes(self, _: web.Request) -> web.Response:
        """List the nodes."""
        return web.json_response({"nodes": [node_form(one) for one in await self.store.nodes()]})


def node_form(node: NodeState) -> dict[str, object]:
    """Return a node as the API shows it."""
    return {
        "id": node.id,
        "hostname": node.hostname,
        "version": node.version,
        "state": "alive" if node.alive else "gone",
        "started_at": time_form(node.started_at),
        "heartbeat_at": time_form(node.heartbeat_at),
        "entries": node.entries,
    }


MOST = 10_000
"""Entries of one answer."""


LARGEST_BODY = 16 << 20
"""Octets of a request."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What the API works with."""

    office: QueueAdminStore
    stories: StoryStore
    suppressions: SuppressionStore
    unsubscribes: UnsubscribeStore
    reports: ReportStore
    engagement: EngagementStore
    limits: LimitStore
    nodes: NodeStore
    providers: ProviderTools
    signing: SigningKeys
    verifier: Verifier
    clock: Clock
    publish: Publish
    wake: Callable[[], None]
    reload: Callable[[], Awaitable[Mapping[str, object]]]
    status: Callable[[], Awaitable[Mapping[str, object]]]
    metrics: Callable[[], bytes]


def application(desk: Desk) -> web.Application:
    """Return the application with its routes."""
    app = web.Application(client_max_size=LARGEST_BODY)
    routes = _Routes(desk)
    app.add_routes(
        [
            web.get("/status", routes.status),
            web.post("/reload", routes.reload),
            web.get("/metrics", routes.metrics),
            web.get("/queue", routes.queue),
            web.get("/queue/{queue_id}", routes.message),
            web.post("/queue/{action:flush|hold|release|delete}", routes.change),
            web.get("/trace/{key:.+}", routes.trace),
            *DomainRoutes(desk.signing).table(),
            *IdentityRoutes(desk.verifier, desk.limits).table(),
            *NodeRoutes(desk.nodes).table(),
            *ProviderRoutes(desk.providers).table(),
            *ReportRoutes(desk.reports, desk.engagement, desk.stories).table(),
            *SuppressionRoutes(desk.suppressions, desk.clock).table(),
            *UnsubscribeRoutes(desk.unsubscribes, desk.clock).table(),
        ]
    )
    return app


class _Routes:
    """The handlers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def status(self, _: web.Request) -> web.Response:
        """GET /status: health, version, depth."""
        return web.json_response(dict(await self._desk.status()))

    async def reload(self, _: web.Request) -> web.Response:
        """POST /reload: 200 with what changed, 409 with the faults while the old settings stay."""
        result = await self._desk.reload()
        return web.json_response(dict(result), status=409 if result.get("faults") else 200)

    async def metrics(self, _: web.Request) -> web.Response:
        """GET /metrics: Prometheus' text format."""
        return web.Response(body=self._desk.metrics(), content_type="text/plain", charset="utf-8")

    async def queue(self, request: web.Request) -> web.Response:
        """GET /queue?…: the entries that match; without a state those that are not final."""
        found = await self._desk.office.entries(_entry_query(request.query))
        return web.json_response({"entries": [listing_form(message, entry) for message, entry in found]})

    async def message(self, request: web.Request) -> web.Response:
        """GET /queue/ID: the message with its entries, events and the header as the application sent it."""
        queue_id = request.match_info["queue_id"]
        stories = await self._desk.stories.stories(MessageQuery(queue_id=queue_id))
        if not stories:
            raise web.HTTPNotFound(text=f"there is no message {queue_id}")
        content = await self._desk.office.content(queue_id)
        header = None if content is None else content.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
        return web.json_response({**story_form(stories[0]), "header": header})

    async def change(self, request: web.Request) -> web.Response:
        """POST /queue/ACTION?…: change the entries that match; answers with those that changed."""
        query, now = _entry_query(request.query), self._desk.clock()
        actions: dict[str, EntryChange] = {
            "hold": hold,
            "release": release(now),
            "flush": flush(now),
            "delete": delete(now),
        }
        action = request.match_info["action"]
        changed = await self._desk.office.change(query, actions[action])
        if action == "delete":
            self._desk.publish([deletion_event(entry, now) for _, entry in changed])
            await self._give_back(changed)
        self._desk.wake()
        return web.json_response({"entries": [listing_form(message, entry) for message, entry in changed]})

    async def trace(self, request: web.Request) -> web.Response:
        """GET /trace/KEY: the stories of a queue id, a Message-ID or a recipient, newest first."""
        stories = await find_stories(self._desk.stories, request.match_info["key"])
        return web.json_response({"stories": [story_form(story) for story in stories]})

    async def _give_back(self, changed: Sequence[tuple[Message, Entry]]) -> None:
        """Return the places of cancelled entries to their ledgers.

        All messages are asked for at the same time: a store makes one transaction of what waits for it.
        """
        numbers: dict[str, list[int]] = {}
        for _, entry in changed:
            numbers.setdefault(entry.queue_id, []).append(entry.number)

        limits = self._desk.limits
        await asyncio.gather(*(limits.release(queue_id, cancelled) for queue_id, cancelled in numbers.items()))


async def find_stories(store: StoryStore, key: str) -> Sequence[Story]:
    """Return the stories a person means by that text: a queue id, a Message-ID or a recipient's address."""
    if is_queue_id(key.upper()):
        return await store.stories(MessageQuery(queue_id=key.upper()))
    by_message_id = await store.stories(MessageQuery(message_id=key))
    return by_message_id or await store.stories(MessageQuery(recipient=key))


def _entry_query(query: Mapping[str, str]) -> EntryQuery:
    unknown = set(query) - {"queue_id", "recipient", "lane", "domain", "identity", "state", "limit", "after"}
    if unknown:
        raise web.HTTPBadRequest(text=f"unknown parameter {', '.join(sorted(unknown))}")
    after, _, number = query.get("after", "/-1").rpartition("/")
    limit = query.get("limit", "1000")
    if not (limit.isascii() and limit.isdigit() and 0 < int(limit) <= MOST):
        raise web.HTTPBadRequest(text=f"limit must be a number from 1 to {MOST}")
    if not number.lstrip("-").isdecimal():
        raise web.HTTPBadRequest(text="after must be QUEUE-ID/NUMBER")
    try:
        wanted = tuple(State(word) for word in query.get("state", "waiting,held,active").split(",") if word)
        return EntryQuery(
            queue_id=query.get("queue_id", "").upper(),
            recipient=query.get("recipient", ""),
            lane=query.get("lane", ""),
            domain=query.get("domain", ""),
            identity=query.get("identity", ""),
            states=wanted,
            after=(after, int(number)),
            limit=int(limit),
        )
    except ValueError as error:
        raise web.HTTPBadRequest(text=str(error)) from None
