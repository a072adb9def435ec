"""The routes of the evidence behind the suppression list: what is not proven, and what today's rules would lift."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from relay.admin.requests import json_body, parse_limit, reject_unknown_parameters
from relay.clock import Clock
from relay.config.settings import Settings
from relay.queue.bounce_policy import BouncePolicy
from relay.reports.ports import MessageQuery, StoryStore
from relay.reports.serialize import JsonObject, suppression_json, unproven_json
from relay.reports.suppression_replay import Verdict, replay
from relay.suppression.model import Suppression, after_bounce, canonical_scope
from relay.suppression.ports import SuppressionQuery, SuppressionStore

PAGE = 500
"""Rows of the list that one request replays."""


@dataclass(frozen=True, slots=True)
class EvidenceRoutes:
    """GET /suppressions/unproven, and GET and POST /suppressions/replay.

    A replay has the rows of a page that today's rules lift or narrow, and `after` of the next page, null at the end.
    POST also changes the list, from `after` of its body on.
    """

    settings: Callable[[], Settings]
    bounce_policy: Callable[[], BouncePolicy]
    suppressions: SuppressionStore
    stories: StoryStore
    clock: Clock

    def table(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/suppressions/unproven", self.unproven),
            web.get("/suppressions/replay", self.get_replay),
            web.post("/suppressions/replay", self.post_replay),
        ]

    async def unproven(self, request: web.Request) -> web.Response:
        """Return a page of unproven evidence, which suppresses no address."""
        query = request.query
        reject_unknown_parameters(query, {"address", "domain", "reason", "after", "limit"})
        found = await self.suppressions.unproven(
            SuppressionQuery(
                query.get("address", ""),
                canonical_scope(query.get("domain", "")),
                query.get("reason", ""),
                _after(query.get("after", "")),
                parse_limit(query),
            )
        )
        return web.json_response({"unproven": [unproven_json(one) for one in found]})

    async def get_replay(self, request: web.Request) -> web.Response:
        """Return what would change in a page of the list."""
        reject_unknown_parameters(request.query, {"after"})
        changes, after = await self._verdicts(request.query.get("after", ""))
        return self._response(changes, after)

    async def post_replay(self, request: web.Request) -> web.Response:
        """Lift and narrow the rows of a page, and return them."""
        given = (await json_body(request)).get("after") or ""
        if not isinstance(given, str):
            raise web.HTTPBadRequest(text='a body {"after": "ADDRESS/DOMAIN"} is needed, {} for the first page')
        changes, after = await self._verdicts(given)
        for row, verdict in changes:
            # Before the removal: if the store fails in between, the address stays suppressed.
            if verdict.step == "narrow":
                await self._add_narrowed(replace(row, domain=verdict.scope))
            await self.suppressions.remove([row.address], row.domain)
        return self._response(changes, after)

    async def _add_narrowed(self, row: Suppression) -> None:
        """Add a row for its narrower scope. One that is there stays, unless the new one ends later."""
        of_address = SuppressionQuery(address=row.address, domain=row.domain)
        listed = next(iter(await self.suppressions.find(of_address)), None)
        kept = after_bounce(listed, row) if listed is not None else row
        if kept is not None:
            await self.suppressions.add([kept])

    async def _verdicts(self, after: str) -> tuple[Sequence[tuple[Suppression, Verdict]], str | None]:
        """Return the rows of a page that change, and the place of the next page."""
        rows = await self.suppressions.find(SuppressionQuery(after=_after(after), limit=PAGE))
        changes = [(row, await self._verdict(row)) for row in rows]
        following = f"{rows[-1].address}/{rows[-1].domain}" if len(rows) == PAGE else None
        return [(row, verdict) for row, verdict in changes if verdict.step != "keep"], following

    async def _verdict(self, row: Suppression) -> Verdict:
        stories = await self.stories.stories(MessageQuery(queue_id=row.queue_id, limit=1)) if row.queue_id else ()
        return replay(self.settings(), self.bounce_policy(), row, next(iter(stories), None))

    def _response(self, changes: Sequence[tuple[Suppression, Verdict]], after: str | None) -> web.Response:
        rows: list[JsonObject] = [
            suppression_json(row, self.clock()) | {"step": verdict.step, "why": verdict.why, "scope": verdict.scope}
            for row, verdict in changes
        ]
        return web.json_response({"replayed": rows, "after": after})


def _after(text: str) -> tuple[str, str]:
    address, _, domain = text.rpartition("/")
    return address, domain
