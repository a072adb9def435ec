"""The routes of the address lists: the suppression list and the unsubscribe list."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from aiohttp import web

from relay.admin.key_audit import audit_change, subject_of_several
from relay.admin.requests import (
    json_body,
    parse_each,
    parse_entries,
    parse_fields,
    parse_limit,
    parse_time,
    reject_unknown_parameters,
)
from relay.clock import Clock
from relay.config.settings import Settings
from relay.mail.canonical_address import canonical, canonical_domain
from relay.reports.serialize import JsonObject, suppression_json, unsubscribe_json
from relay.suppression.model import MANUAL, PROVENANCES, Suppression, canonical_scope
from relay.suppression.ports import SuppressionQuery, SuppressionStore, UnsubscribeQuery, UnsubscribeStore
from relay.suppression.unsubscribes import SOURCES, Unsubscribe

T = TypeVar("T")


class AddressListRoutes(ABC, Generic[T]):
    """List, add and remove: GET /NAME, POST /NAME and POST /NAME/remove.

    A page of GET has the parameters of `parameters`. POST has {NAME: [{"address": …}, …]} with the keys of `keys`;
    if any entry is invalid, none is added, and 400 names all faults. POST /NAME/check adds none, and answers 200 with
    the entries and the faults, each with the index of its entry. Removal has {"addresses": […]} and the `scope`;
    the answer has the removed entries.
    """

    name: ClassVar[str]
    word: ClassVar[str]
    """What an address on the list is."""
    parameters: ClassVar[frozenset[str]]
    keys: ClassVar[frozenset[str]]
    scope: ClassVar[Mapping[str, str | None]]
    """Texts that narrow a removal, with their defaults."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get(f"/{self.name}", self.listing),
            web.post(f"/{self.name}", self.add),
            web.post(f"/{self.name}/check", self.check),
            web.post(f"/{self.name}/remove", self.remove),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        """Return a page of the list."""
        reject_unknown_parameters(request.query, self.parameters)
        return self._response(await self._find(request))

    async def add(self, request: web.Request) -> web.Response:
        """Add entries and return them."""
        now = self._clock()
        adding = await parse_entries(request, self.name, lambda given: self._parse(parse_fields(given, self.keys), now))
        await self._add(adding)
        addresses = [str(self._json(one)["address"]) for one in adding]
        await audit_change(request, f"{self.name}.add", subject_of_several(addresses), after=self.word)
        return self._response(adding)

    async def check(self, request: web.Request) -> web.Response:
        """Return what `add` would add, and the faults, without adding anything."""
        now = self._clock()
        found, faults = await parse_each(
            request, self.name, lambda given: self._parse(parse_fields(given, self.keys), now)
        )
        shown = [{"entry": number, "fault": fault} for number, fault in faults]
        return web.json_response({self.name: [self._json(one) for one in found], "faults": shown})

    async def remove(self, request: web.Request) -> web.Response:
        """Remove addresses and return their entries."""
        body = await json_body(request)
        addresses = body.get("addresses")
        scope = {key: body.get(key, default) for key, default in self.scope.items()}
        texts = [value for key, value in scope.items() if value != self.scope[key]]
        if not isinstance(addresses, list) or not all(isinstance(one, str) for one in [*addresses, *texts]):
            raise web.HTTPBadRequest(text='a body {"addresses": ["a@example.com"], "domain": "acme.test"} is needed')
        removed = await self._remove(addresses, scope)
        if removed:
            found = list(dict.fromkeys(str(self._json(one)["address"]) for one in removed))
            await audit_change(
                request, f"{self.name}.remove", subject_of_several(found), before=self.word, after="off the list"
            )
        return self._response(removed)

    def read_entry(self, given: Mapping[str, str]) -> T:
        """Return the entry of these texts; raise ValueError for a fault."""
        return self._parse(parse_fields(given, self.keys), self._clock())

    async def put(self, entries: Sequence[T]) -> None:
        """Store entries. Raises StoreError."""
        await self._add(entries)

    async def take_off(self, addresses: Sequence[str], scope: Mapping[str, str | None]) -> Sequence[T]:
        """Remove addresses from the list of a scope; return their entries. Raises StoreError."""
        return await self._remove(addresses, {**self.scope, **scope})

    def _response(self, entries: Sequence[T]) -> web.Response:
        return web.json_response({self.name: [self._json(one) for one in entries]})

    @abstractmethod
    async def _find(self, request: web.Request) -> Sequence[T]:
        """Read a page of the list."""

    @abstractmethod
    async def _add(self, entries: Sequence[T]) -> None:
        """Store the entries."""

    @abstractmethod
    async def _remove(self, addresses: Sequence[str], scope: Mapping[str, str | None]) -> Sequence[T]:
        """Remove the addresses; return the removed entries."""

    @abstractmethod
    def _parse(self, texts: Mapping[str, str], now: float) -> T:
        """Parse one entry; raise ValueError for a fault."""

    @abstractmethod
    def _json(self, entry: T) -> JsonObject:
        """Return the JSON of one entry."""


_DERIVED = frozenset({"state", "probation"})
"""Fields of an exported suppression that an import ignores: they follow from the others and from the queue."""


class SuppressionRoutes(AddressListRoutes[Suppression]):
    """The suppression list. The next page has `after=ADDRESS/DOMAIN` of the last entry."""

    name = "suppressions"
    word = "suppressed"
    parameters = frozenset({"address", "domain", "reason", "after", "limit"})
    keys = frozenset(
        {"address", "domain", "reason", "rule", "reply", "queue_id", "created_at", "expires_at", "provenance", "proof"}
        | _DERIVED
    )
    scope: ClassVar[Mapping[str, str | None]] = {"domain": ""}

    def __init__(self, store: SuppressionStore, clock: Clock) -> None:
        super().__init__(clock)
        self._store = store

    async def _find(self, request: web.Request) -> Sequence[Suppression]:
        query = request.query
        address, _, domain = query.get("after", "").rpartition("/")
        return await self._store.find(
            SuppressionQuery(
                query.get("address", ""),
                canonical_scope(query.get("domain", "")),
                query.get("reason", ""),
                (address, domain),
                parse_limit(query),
            )
        )

    async def _add(self, entries: Sequence[Suppression]) -> None:
        await self._store.add(entries)

    async def _remove(self, addresses: Sequence[str], scope: Mapping[str, str | None]) -> Sequence[Suppression]:
        return await self._store.remove(addresses, canonical_scope(scope["domain"] or ""))

    def _parse(self, texts: Mapping[str, str], now: float) -> Suppression:
        given = texts["provenance"] or "operator"
        provenance = next((one for one in PROVENANCES if one == given), None)
        if provenance is None:
            raise ValueError(f"provenance {given!r} is not one of {', '.join(filter(None, PROVENANCES))}")
        return Suppression(
            address=canonical(texts["address"]),
            domain=canonical_scope(texts["domain"]),
            reason=texts["reason"] or MANUAL,
            rule=texts["rule"],
            reply=texts["reply"],
            queue_id=texts["queue_id"],
            created_at=parse_time("created_at", texts["created_at"]) or now,
            expires_at=parse_time("expires_at", texts["expires_at"]),
            provenance=provenance,
            proof=texts["proof"],
        )

    def _json(self, entry: Suppression) -> JsonObject:
        return suppression_json(entry, self._clock())


class UnsubscribeRoutes(AddressListRoutes[Unsubscribe]):
    """The unsubscribe list. The next page has `after` three times: address, domain and campaign of the last entry.

    A removal without a domain or campaign is from the lists of all of them. `excludes_from` follows from the settings:
    an import ignores it.
    """

    name = "unsubscribes"
    word = "unsubscribed"
    parameters = frozenset({"address", "domain", "campaign", "source", "after", "limit"})
    keys = frozenset({"address", "domain", "campaign", "source", "queue_id", "created_at", "excludes_from"})
    scope: ClassVar[Mapping[str, str | None]] = {"domain": None, "campaign": None}

    def __init__(self, store: UnsubscribeStore, settings: Callable[[], Settings], clock: Clock) -> None:
        super().__init__(clock)
        self._store = store
        self._settings = settings

    async def _find(self, request: web.Request) -> Sequence[Unsubscribe]:
        query = request.query
        match query.getall("after", []):
            case []:
                after = ("", "", "")
            case [address, domain, campaign]:
                after = (address, domain, campaign)
            case _:
                raise web.HTTPBadRequest(text="after must be given three times: address, domain and campaign")
        return await self._store.find(
            UnsubscribeQuery(
                query.get("address", ""),
                canonical_domain(query.get("domain", "")),
                query.get("campaign", ""),
                query.get("source", ""),
                after,
                parse_limit(query),
            )
        )

    async def _add(self, entries: Sequence[Unsubscribe]) -> None:
        await self._store.add(entries)

    async def _remove(self, addresses: Sequence[str], scope: Mapping[str, str | None]) -> Sequence[Unsubscribe]:
        domain = scope["domain"]
        return await self._store.remove(addresses, domain and canonical_domain(domain), scope["campaign"])

    def _parse(self, texts: Mapping[str, str], now: float) -> Unsubscribe:
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

    def _json(self, entry: Unsubscribe) -> JsonObject:
        return unsubscribe_json(entry, self._settings().exclusions)
