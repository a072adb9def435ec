"""The nodes that share a queue, in the admin API."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.queue.nodes import NodeState, NodeStore
from relay.reports.forms import time_form


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
