"""The application of the admin API, and the routes of the running server and its nodes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.admin.server import metrics_response
from relay.events.ports import StoreError
from relay.queue.node_ports import NodeStore
from relay.queue.nodes import NodeState
from relay.reports.serialize import time_json
from relay.tracker import responses

MAX_BODY = 16 << 20
"""Octets of a request body, at most."""


def admin_application(*groups: Sequence[web.RouteDef]) -> web.Application:
    """Return the application with these groups of routes."""
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_store_errors])
    for group in groups:
        app.add_routes(group)
    return app


@web.middleware
async def _store_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer 503 with the reason if the store does not answer."""
    try:
        return await handler(request)
    except StoreError as error:
        raise web.HTTPServiceUnavailable(
            text=f"the store does not answer: {error}; try again, or see `relay status`"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRoutes:
    """The routes of the running server: status, settings in force, reload, metrics."""

    status: Callable[[], Awaitable[Mapping[str, object]]]
    reload: Callable[[], Awaitable[Mapping[str, object]]]
    configuration: Callable[[], Awaitable[Mapping[str, object]]]
    metrics: Callable[[], Awaitable[bytes]]
    readiness: Callable[[], Mapping[str, bool]]

    def table(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/status", self.get_status),
            web.get("/configuration", self.get_configuration),
            web.post("/reload", self.post_reload),
            web.get("/metrics", self.get_metrics),
            web.get("/readyz", self.get_readiness),
        ]

    async def get_status(self, _: web.Request) -> web.Response:
        """GET /status: version, health and depth of the queue."""
        return web.json_response(dict(await self.status()))

    async def get_configuration(self, _: web.Request) -> web.Response:
        """GET /configuration: the settings in force, secrets masked, and the differences of the file."""
        return web.json_response(dict(await self.configuration()))

    async def post_reload(self, _: web.Request) -> web.Response:
        """POST /reload: 200 with the changes; 409 with the faults, and the old settings stay."""
        result = await self.reload()
        return web.json_response(dict(result), status=409 if result.get("faults") else 200)

    async def get_metrics(self, _: web.Request) -> web.Response:
        """GET /metrics: text format of Prometheus."""
        return metrics_response(await self.metrics())

    async def get_readiness(self, _: web.Request) -> web.Response:
        """GET /readyz: 200 while new mail can be accepted, else 503."""
        return responses.readiness(self.readiness())


@dataclass(frozen=True, slots=True)
class NodeRoutes:
    """The route of the nodes of the queue."""

    store: NodeStore

    def table(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [web.get("/nodes", self.nodes)]

    async def nodes(self, _: web.Request) -> web.Response:
        """List the nodes."""
        return web.json_response({"nodes": [node_json(one) for one in await self.store.states()]})


def node_json(node: NodeState) -> dict[str, object]:
    """Return the JSON of a node."""
    return {
        "id": node.id,
        "hostname": node.hostname,
        "version": node.version,
        "state": "alive" if node.alive else "gone",
        "started_at": time_json(node.started_at),
        "heartbeat_at": time_json(node.heartbeat_at),
        "entries": node.entries,
        "clock_ahead": round(node.clock_ahead, 1),
    }
