"""The route of the copies of simulated mail."""

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.admin.requests import reject_unknown_parameters
from relay.queue.sent_copies import ALL, BEFORE_ALL, SentCopy, SentCopyStore
from relay.reports.serialize import JsonObject, time_json

MAX_PAGE = 4 << 20
"""Octets of the contents of one page, at most; a larger content is a page of its own."""

_NUMBER = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class SentCopyRoutes:
    """The copies of a message as it would have left."""

    store: SentCopyStore

    def table(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [web.get("/queue/{queue_id}/sent", self.sent)]

    async def sent(self, request: web.Request) -> web.Response:
        """GET /queue/ID/sent?after=: a page of the copies of a simulated message. Contents are base64.

        `next` is the `after` of the next page, null at the end.
        """
        reject_unknown_parameters(request.query, ("after",))
        after = request.query.get("after", str(BEFORE_ALL))
        if not _NUMBER.fullmatch(after):
            raise web.HTTPBadRequest(text="after must be a value of next")
        queue_id = request.match_info["queue_id"].upper()
        copies, has_more = await self.store.copies_page(queue_id, int(after), MAX_PAGE)
        following = str(copies[-1].number) if has_more else None
        # Of a large message it takes half a second, in which the event loop would stand still.
        text = await asyncio.to_thread(_page, copies, following)
        return web.json_response(text=text)


def _page(copies: Sequence[SentCopy], following: str | None) -> str:
    return json.dumps({"copies": [_json(one) for one in copies], "next": following})


def _json(copy: SentCopy) -> JsonObject:
    return {
        "number": None if copy.number == ALL else copy.number,
        "at": time_json(copy.at),
        "reverse_path": copy.reverse_path,
        "content": b64encode(copy.content).decode(),
    }
