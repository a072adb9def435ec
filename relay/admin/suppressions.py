"""The routes of the suppression list."""

from aiohttp import web

from relay.admin.requests import (
    json_body,
    parse_entries,
    parse_fields,
    parse_limit,
    parse_time,
    reject_unknown_parameters,
)
from relay.clock import Clock
from relay.mail.canonical import canonical, canonical_domain
from relay.reports.serialize import suppression_json
from relay.suppression.model import MANUAL, Suppression
from relay.suppression.ports import SuppressionQuery, SuppressionStore

_KEYS = frozenset({"address", "domain", "reason", "rule", "reply", "queue_id", "created_at", "expires_at"})


_PARAMETERS = frozenset({"address", "domain", "reason", "after", "limit"})


class SuppressionRoutes:
    """The routes of the suppression list: list, add, remove."""

    def __init__(self, store: SuppressionStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/suppressions", self.listing),
            web.post("/suppressions", self.add),
            web.post("/suppressions/remove", self.remove),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        """GET /suppressions?address=&domain=&reason=&after=ADDRESS/DOMAIN&limit=: a page of the list."""
        query = request.query
        reject_unknown_parameters(query, _PARAMETERS)
        address, _, domain = query.get("after", "").rpartition("/")

        found = await self._store.find(
            SuppressionQuery(
                query.get("address", ""),
                canonical_domain(query.get("domain", "")),
                query.get("reason", ""),
                (address, domain),
                parse_limit(query),
            )
        )
        return web.json_response({"suppressions": [suppression_json(one) for one in found]})

    async def add(self, request: web.Request) -> web.Response:
        """POST /suppressions with {"suppressions": [{"address", "domain", "reason", "reply", "expires_at"}, …]}.

        If any entry is invalid, none is added, and 400 names all faults.
        """
        now = self._clock()
        adding = await parse_entries(request, "suppressions", lambda given: _suppression(given, now))
        await self._store.add(adding)
        return web.json_response({"suppressions": [suppression_json(one) for one in adding]})

    async def remove(self, request: web.Request) -> web.Response:
        """POST /suppressions/remove with {"addresses": […], "domain": ""}: remove, and return the removed entries."""
        body = await json_body(request)
        addresses, domain = body.get("addresses"), body.get("domain", "")
        if not isinstance(addresses, list) or not all(isinstance(one, str) for one in [*addresses, domain]):
            raise web.HTTPBadRequest(text='a body {"addresses": ["a@example.com"], "domain": ""} is needed')
        removed = await self._store.remove(addresses, canonical_domain(domain))
        return web.json_response({"suppressions": [suppression_json(one) for one in removed]})


def _suppression(given: object, now: float) -> Suppression:
    """Parse one entry; raise ValueError for a fault."""
    texts = parse_fields(given, _KEYS)
    return Suppression(
        address=canonical(texts["address"]),
        domain=canonical_domain(texts["domain"]),
        reason=texts["reason"] or MANUAL,
        rule=texts["rule"],
        reply=texts["reply"],
        queue_id=texts["queue_id"],
        created_at=parse_time("created_at", texts["created_at"]) or now,
        expires_at=parse_time("expires_at", texts["expires_at"]),
    )
