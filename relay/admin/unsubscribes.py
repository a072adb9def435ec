"""The routes of the unsubscribe list."""

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
from relay.reports.serialize import unsubscribe_json
from relay.suppression.ports import UnsubscribeQuery, UnsubscribeStore
from relay.suppression.unsubscribes import SOURCES, Unsubscribe

_KEYS = frozenset({"address", "domain", "campaign", "source", "queue_id", "created_at"})


_PARAMETERS = frozenset({"address", "domain", "campaign", "source", "after", "limit"})


class UnsubscribeRoutes:
    """The routes of the unsubscribe list: list, add, remove."""

    def __init__(self, store: UnsubscribeStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/unsubscribes", self.listing),
            web.post("/unsubscribes", self.add),
            web.post("/unsubscribes/remove", self.remove),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        """GET /unsubscribes?address=&domain=&campaign=&source=&limit=: a page of the list.

        The next page has `after` three times: address, domain and campaign of the last entry.
        """
        query = request.query
        reject_unknown_parameters(query, _PARAMETERS)
        match query.getall("after", []):
            case []:
                after = ("", "", "")
            case [address, domain, campaign]:
                after = (address, domain, campaign)
            case _:
                raise web.HTTPBadRequest(text="after must be given three times: address, domain and campaign")

        found = await self._store.find(
            UnsubscribeQuery(
                query.get("address", ""),
                canonical_domain(query.get("domain", "")),
                query.get("campaign", ""),
                query.get("source", ""),
                after,
                parse_limit(query),
            )
        )
        return web.json_response({"unsubscribes": [unsubscribe_json(one) for one in found]})

    async def add(self, request: web.Request) -> web.Response:
        """POST /unsubscribes with {"unsubscribes": [{"address", "domain", "campaign", "source", "created_at"}, …]}.

        If any entry is invalid, none is added, and 400 names all faults.
        """
        now = self._clock()
        adding = await parse_entries(request, "unsubscribes", lambda given: _unsubscribe(given, now))
        await self._store.add(adding)
        return web.json_response({"unsubscribes": [unsubscribe_json(one) for one in adding]})

    async def remove(self, request: web.Request) -> web.Response:
        """POST /unsubscribes/remove with {"addresses": […], "domain", "campaign"}: returns the removed entries.

        Without a domain or campaign the entries of all of them are removed.
        """
        body = await json_body(request)
        addresses, domain, campaign = body.get("addresses"), body.get("domain"), body.get("campaign")
        texts = [one for one in (domain, campaign) if one is not None]
        if not isinstance(addresses, list) or not all(isinstance(one, str) for one in [*addresses, *texts]):
            raise web.HTTPBadRequest(text='a body {"addresses": ["a@example.com"], "domain": "acme.test"} is needed')
        removed = await self._store.remove(addresses, domain and canonical_domain(domain), campaign)
        return web.json_response({"unsubscribes": [unsubscribe_json(one) for one in removed]})


def _unsubscribe(given: object, now: float) -> Unsubscribe:
    """Parse one entry; raise ValueError for a fault."""
    texts = parse_fields(given, _KEYS)
    source = texts["source"] or "operator"
    if source not in SOURCES:
        raise ValueError(f"source {source!r} is not one of {', '.join(SOURCES)}")
    return Unsubscribe(
        address=canonical(texts["address"]),
        domain=canonical_domain(texts["domain"]),
        campaign=texts["campaign"],
        source=source,
        queue_id=texts["queue_id"],
        created_at=parse_time("created_at", texts["created_at"]) or now,
    )
