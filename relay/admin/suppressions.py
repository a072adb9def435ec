"""The routes of the suppression list."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from relay.clock import Clock
from relay.mail.address import AddressError, parse_address
from relay.reports.forms import suppression_form
from relay.suppression.ports import SuppressionQuery, SuppressionStore
from relay.suppression.suppression import MANUAL, Suppression

_KEYS = frozenset({"address", "domain", "reason", "rule", "reply", "queue_id", "created_at", "expires_at"})
_PARAMETERS = frozenset({"address", "domain", "reason", "after", "limit"})
_MOST = 10_000


class SuppressionRoutes:
    """The handlers."""

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
        if unknown := set(query) - _PARAMETERS:
            raise web.HTTPBadRequest(text=f"unknown parameter {', '.join(sorted(unknown))}")
        address, _, domain = query.get("after", "").rpartition("/")
        limit = query.get("limit", "1000")
        if not (limit.isascii() and limit.isdigit() and 0 < int(limit) <= _MOST):
            raise web.HTTPBadRequest(text=f"limit must be a number from 1 to {_MOST}")
        found = await self._store.suppressions(
            SuppressionQuery(
                query.get("address", ""),
                query.get("domain", "").lower(),
                query.get("reason", ""),
                (address, domain),
                int(limit),
            )
        )
        return web.json_response({"suppressions": [suppression_form(one) for one in found]})

    async def add(self, request: web.Request) -> web.Response:
        """POST /suppressions with {"suppressions": [{"address", "domain", "reason", "reply", "expires_at"}, …]}.

        All of them or, on any fault, none: 400 names every fault.
        """
        given = (await _body(request)).get("suppressions")
        if not isinstance(given, list):
            raise web.HTTPBadRequest(text='a body {"suppressions": [{"address": "a@example.com"}]} is needed')
        now = self._clock()
        adding: list[Suppression] = []
        faults: list[str] = []
        for number, one in enumerate(given, 1):
            try:
                adding.append(_suppression(one, now))
            except ValueError as error:
                faults.append(f"entry {number}: {error}")
        if faults:
            raise web.HTTPBadRequest(text="\n".join(faults))
        await self._store.suppress(adding)
        return web.json_response({"suppressions": [suppression_form(one) for one in adding]})

    async def remove(self, request: web.Request) -> web.Response:
        """POST /suppressions/remove with {"addresses": […], "domain": ""}: answers with what was taken off."""
        body = await _body(request)
        addresses, domain = body.get("addresses"), body.get("domain", "")
        if not isinstance(addresses, list) or not all(isinstance(one, str) for one in [*addresses, domain]):
            raise web.HTTPBadRequest(text='a body {"addresses": ["a@example.com"], "domain": ""} is needed')
        taken = await self._store.unsuppress(addresses, domain.lower())
        return web.json_response({"suppressions": [suppression_form(one) for one in taken]})


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        value = await request.json()
    except ValueError:
        raise web.HTTPBadRequest(text="the body is not JSON") from None
    if not isinstance(value, dict):
        raise web.HTTPBadRequest(text="the body must be a JSON object")
    return value


def _suppression(given: object, now: float) -> Suppression:
    """Return what one entry means; raise ValueError naming its fault."""
    if not isinstance(given, Mapping):
        raise ValueError("must be an object with an address")  # noqa: TRY004  one kind of fault for the caller
    if unknown := sorted(set(given) - _KEYS):
        raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")
    texts = {key: given.get(key) or "" for key in _KEYS}
    if wrong := sorted(key for key, value in texts.items() if not isinstance(value, str)):
        raise ValueError(f"{wrong[0]} must be a string")
    try:
        parse_address(texts["address"])
    except AddressError as error:
        raise ValueError(f"{texts['address'] or 'address'}: {error}") from None
    return Suppression(
        address=texts["address"].lower(),
        domain=texts["domain"].lower(),
        reason=texts["reason"] or MANUAL,
        rule=texts["rule"],
        reply=texts["reply"],
        queue_id=texts["queue_id"],
        created_at=_time("created_at", texts["created_at"]) or now,
        expires_at=_time("expires_at", texts["expires_at"]),
    )


def _time(key: str, text: str) -> float:
    if not text:
        return 0.0
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{key}: {text!r} is no time; right would be 2030-01-31T12:00:00Z") from None
    if at.tzinfo is None:
        raise ValueError(f"{key}: {text!r} has no zone; right would be {text}Z")
    return at.timestamp()
