"""The routes of blocked links: list, block, unblock."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from relay.admin.requests import json_body, reject_unknown_parameters
from relay.clock import Clock
from relay.log import Emit
from relay.reports.serialize import JsonObject, time_json
from relay.tracker.link_blocks import MAX_NOTE, Block, BlockError, BlockParser, LinkBlockStore

MAX_LINKS = 100
"""Links in one request, at most."""


@dataclass(frozen=True, slots=True)
class LinkBlockRoutes:
    """GET /links/blocked, POST /links/block and POST /links/unblock.

    The bodies are {"links": ["shop.example", …], "note": "…"}. A fault in one is a 400 that names all faults, and
    nothing changes.
    """

    store: LinkBlockStore
    parser: Callable[[], BlockParser]
    clock: Clock
    log: Emit

    def table(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/links/blocked", self.blocked),
            web.post("/links/block", self.block),
            web.post("/links/unblock", self.unblock),
        ]

    async def blocked(self, request: web.Request) -> web.Response:
        """GET /links/blocked: all blocks, newest first."""
        reject_unknown_parameters(request.query, ())
        return _answer(await self.store.all_blocks())

    async def block(self, request: web.Request) -> web.Response:
        """POST /links/block: block links, URLs or hosts, and return the blocks."""
        body = await json_body(request)
        note = body.get("note", "")
        if not isinstance(note, str) or len(note) > MAX_NOTE or not note.isprintable():
            raise web.HTTPBadRequest(text=f"note must be a text of at most {MAX_NOTE} characters on one line")
        added = []
        for one in self._parse(body.get("links")):
            added.append(await self.store.block(replace(one, created_at=self.clock(), note=note)))
            self.log("links.blocked", block=str(one), note=note)
        return _answer(added)

    async def unblock(self, request: web.Request) -> web.Response:
        """POST /links/unblock: end blocks, and return those that existed."""
        body = await json_body(request)
        removed = []
        for one in self._parse(body.get("links")):
            found = await self.store.unblock(one)
            if found is not None:
                removed.append(found)
                self.log("links.unblocked", block=str(found))
        return _answer(removed)

    def _parse(self, links: object) -> Sequence[Block]:
        if not isinstance(links, list) or not links or not all(isinstance(one, str) for one in links):
            raise web.HTTPBadRequest(text='a body {"links": ["shop.example"]} is needed')
        if len(links) > MAX_LINKS:
            raise web.HTTPBadRequest(text=f"{len(links)} links are too many: at most {MAX_LINKS} in a request")
        parser = self.parser()
        blocks: list[Block] = []
        faults: list[str] = []
        for one in links:
            try:
                blocks.append(parser.parse(one))
            except BlockError as error:
                faults.append(str(error))
        if faults:
            raise web.HTTPBadRequest(text="\n".join(faults))
        return blocks


def block_json(block: Block) -> JsonObject:
    """Return one block."""
    return {
        "kind": block.kind,
        "value": block.value,
        "created_at": time_json(block.created_at),
        "note": block.note,
    }


def _answer(blocks: Sequence[Block]) -> web.Response:
    return web.json_response({"blocks": [block_json(one) for one in blocks]})
