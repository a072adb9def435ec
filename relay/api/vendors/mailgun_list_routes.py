"""The lists of Mailgun's API: bounces, complaints and unsubscribes, to read, to fill and to lift."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from relay.admin.key_audit import audit_change, subject_of_several
from relay.api.access import caller_of
from relay.api.request_bodies import read_json
from relay.api.vendors.form_data import parse_form
from relay.api.vendors.forms import FormError
from relay.api.vendors.mailgun_domains import domain_of_path, new_entry_scopes, visible_scopes
from relay.api.vendors.mailgun_events import parse_limit
from relay.api.vendors.mailgun_lists import MISSING, REMOVED, ListName, Lists, parse_entry
from relay.api.vendors.routes import Sending, VendorRoute
from relay.config.settings import Settings

MAX_ENTRIES = 1000
"""Entries of one page, and of one request that adds some, at most."""

MAX_BODY = 1 << 20
"""Octets of a request, at most."""

_LIST = "/v3/{domain}/{list:bounces|complaints|unsubscribes}"

_PAGES = ("first", "next", "previous", "last")


@dataclass(frozen=True, slots=True)
class MailgunListRoutes:
    """The routes of the lists."""

    settings: Callable[[], Settings]
    sending: Sending
    lists: Lists

    def routes(self) -> Sequence[VendorRoute]:
        """Return the routes."""
        return [
            VendorRoute("GET", _LIST, "read", self.listing),
            VendorRoute("POST", _LIST, "suppressions", self.add),
            VendorRoute("GET", f"{_LIST}/{{address}}", "read", self.one),
            VendorRoute("DELETE", f"{_LIST}/{{address}}", "suppressions", self.remove),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        """GET /bounces and its like: a page, in the order of addresses. A page without items is the last one."""
        domain, name = domain_of_path(self.settings(), request), _name(request)
        limit, page = parse_limit(request.query, 100, MAX_ENTRIES), request.query.get("page", "first")
        if page not in _PAGES:
            raise FormError(f"page must be one of {', '.join(_PAGES)}", "page")
        after = request.query.get("address", "") if page in ("next", "previous") else ""
        scopes = visible_scopes(self.settings(), caller_of(request), domain)
        items = [] if page == "last" else await self.lists.page(name, scopes, after, limit)
        base = f"{request.url.origin()}/v3/{domain}/{name}?"
        last = str(items[-1]["address"]) if items else after
        pages = {"first": {}, "next": {"address": last}, "previous": {"address": after}, "last": {}}
        paging = {key: base + urlencode({"page": key, "limit": limit, **more}) for key, more in pages.items()}
        return web.json_response({"items": items, "paging": paging})

    async def add(self, request: web.Request) -> web.Response:
        """POST /bounces and its like: a form with one entry, or a list in JSON. All entries are added, or none."""
        domain, name, caller = domain_of_path(self.settings(), request), _name(request), caller_of(request)
        async with self.sending.memory.body(request, MAX_BODY) as body:
            given = await self._given(request, body)
        if not 1 <= len(given) <= MAX_ENTRIES:
            raise FormError(f"1 to {MAX_ENTRIES} entries are needed")
        entries = [parse_entry(one, self.sending.clock()) for one in given]
        await self.lists.add(name, entries, new_entry_scopes(self.settings(), caller, domain))
        await audit_change(
            request, f"{name}.add", subject_of_several([one.address for one in entries]), after=f"in the list {name}"
        )
        if len(entries) == 1:
            text = f"Address has been added to the {name} table"
            return web.json_response({"message": text, "address": entries[0].address})
        return web.json_response({"message": f"{len(entries)} addresses have been added to the {name} table"})

    async def one(self, request: web.Request) -> web.Response:
        """GET /bounces/ADDRESS and its like: the entry of an address."""
        name, address, scopes = self._entry(request)
        found = await self.lists.find(name, address, scopes)
        if found is None:
            raise web.HTTPNotFound(text=MISSING[name])
        return web.json_response(found)

    async def remove(self, request: web.Request) -> web.Response:
        """DELETE /bounces/ADDRESS and its like: the address gets mail again."""
        name, address, scopes = self._entry(request)
        if not await self.lists.remove(name, address, scopes):
            raise web.HTTPNotFound(text=MISSING[name])
        await audit_change(request, f"{name}.remove", address, before=f"in the list {name}", after="off the list")
        return web.json_response({"message": REMOVED[name], "address": address})

    async def _given(self, request: web.Request, body: bytes) -> Sequence[object]:
        if request.content_type == "application/json":
            value = await read_json(body)
            return value if isinstance(value, list) else [value]
        form = await self.sending.parsed(parse_form, request.headers.get("Content-Type", ""), body)
        return [{key: values[-1] for key, values in form.values.items()}]

    def _entry(self, request: web.Request) -> tuple[ListName, str, Sequence[str]]:
        """Return list, address, and whose entries the caller may see."""
        domain = domain_of_path(self.settings(), request)
        scopes = visible_scopes(self.settings(), caller_of(request), domain)
        return _name(request), request.match_info["address"], scopes


def _name(request: web.Request) -> ListName:
    name: ListName = request.match_info["list"]  # type: ignore[assignment]  # the path has no others
    return name
