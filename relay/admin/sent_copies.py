"""The route of the copies of simulated mail."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.queue.sent_copies import ALL, SentCopy, SentCopyStore
from relay.reports.serialize import JsonObject, time_json


@dataclass(frozen=True, slots=True)
class SentCopyRoutes:
    """The copies of a message as it would have left."""

    store: SentCopyStore

    def table(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [web.get("/queue/{queue_id}/sent", self.sent)]

    async def sent(self, request: web.Request) -> web.Response:
        """GET /queue/ID/sent: the copies of a simulated message. Contents are base64."""
        copies = await self.store.copies(request.match_info["queue_id"].upper())
        return web.json_response({"copies": [_json(one) for one in copies]})


def _json(copy: SentCopy) -> JsonObject:
    return {
        "number": None if copy.number == ALL else copy.number,
        "at": time_json(copy.at),
        "reverse_path": copy.reverse_path,
        "content": b64encode(copy.content).decode(),
    }
