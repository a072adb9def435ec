"""The API of Mailgun as its clients use it: messages, events, and the lists of suppressed addresses."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from relay.api.access import Caller, caller_of
from relay.api.messages import client_of
from relay.api.submitter import Mail, Submitted, distinct
from relay.api.vendors.form_data import parse_form
from relay.api.vendors.forms import FormError, addresses, mailboxes
from relay.api.vendors.mailgun_events import parse_query, parse_token, read_page
from relay.api.vendors.mailgun_lists import MISSING, REMOVED, ListName, Lists
from relay.api.vendors.mailgun_messages import translate
from relay.api.vendors.routes import Failure, Sending, VendorRoute, accepted
from relay.config.settings import Settings
from relay.mail.authors import author_of
from relay.mail.canonical_address import canonical, canonical_domain, domain_of
from relay.mail.dot_stuffing import normalise
from relay.webhooks.feed import EventFeed, PositionError
from relay.webhooks.filters import Filter, restricted

_LIST_PATH = "/v3/{domain}/{list:bounces|complaints|unsubscribes}/{address}"


@dataclass(frozen=True, slots=True)
class MailgunRoutes:
    """The routes below /v3/<domain>."""

    settings: Callable[[], Settings]
    sending: Sending
    feed: EventFeed
    lists: Lists

    def routes(self) -> Sequence[VendorRoute]:
        """Return the routes."""
        return [
            VendorRoute("POST", "/v3/{domain}/messages", "send", self.send),
            VendorRoute("POST", "/v3/{domain}/messages.mime", "send", self.send_mime),
            VendorRoute("GET", "/v3/{domain}/events", "read", self.events),
            VendorRoute("GET", "/v3/{domain}/events/{token}", "read", self.events),
            VendorRoute("GET", _LIST_PATH, "read", self.listed),
            VendorRoute("DELETE", _LIST_PATH, "suppressions", self.remove),
        ]

    async def send(self, request: web.Request) -> web.Response:
        """POST /messages: a form with the keys of a message."""
        self._domain(request)
        context = self.sending.context(request)
        async with self.sending.memory.body(request, self.sending.limit()) as body:
            form = await self.sending.parsed(parse_form, request.headers.get("Content-Type", ""), body)
            translated = await self.sending.parsed(translate, form, context)
            return _queued(await self.sending.submit(client_of(request), translated))

    async def send_mime(self, request: web.Request) -> web.Response:
        """POST /messages.mime: a form with a composed message, and its recipients."""
        self._domain(request)
        async with self.sending.memory.body(request, self.sending.limit()) as body:
            form = await self.sending.parsed(parse_form, request.headers.get("Content-Type", ""), body)
            texts = form.values.get("message", ())
            files = [one.content for one in form.files if one.field == "message"] or [one.encode() for one in texts]
            if not files:
                raise FormError("message parameter is missing", "message")
            to = addresses(mailboxes("to", form.values.get("to", ())))
            if not to:
                raise FormError("to parameter is missing", "to")
            content = normalise(files[-1])
            return _queued(
                await self.sending.submit_mail(client_of(request), Mail(author_of(content), distinct(to), content))
            )

    async def events(self, request: web.Request) -> web.Response:
        """GET /events: a page of events, oldest first. The token of the next page has the whole query."""
        domain, token, caller = self._domain(request), request.match_info.get("token"), caller_of(request)
        query = parse_token(token) if token else parse_query(request.query)
        allowed = Filter(domains=frozenset([domain, *(one for one in self._known(caller) if related(domain, one))]))
        if caller.domains is None and caller.identities is not None:
            allowed = restricted(allowed, caller.identities)
        try:
            page = await read_page(self.feed, query, allowed)
        except PositionError:
            raise FormError("the page token is not one of this server", "page") from None

        base = f"{request.url.origin()}/v3/{domain}/events"
        urls = {"next": page.following, "previous": query, "first": replace(query, after=""), "last": page.last}
        paging = {name: f"{base}/{one.token}" for name, one in urls.items()}
        return web.json_response({"items": page.items, "paging": paging})

    async def listed(self, request: web.Request) -> web.Response:
        """GET /bounces/ADDRESS and its like: the entry of an address."""
        name, address, domains = self._entry(request)
        found = await self.lists.find(name, address, domains)
        return web.json_response(found) if found else _missing(name)

    async def remove(self, request: web.Request) -> web.Response:
        """DELETE /bounces/ADDRESS and its like: the address gets mail again."""
        name, address, domains = self._entry(request)
        if not await self.lists.remove(name, address, domains):
            return _missing(name)
        return web.json_response({"message": REMOVED[name], "address": address})

    def _domain(self, request: web.Request) -> str:
        """Return the domain of the path; raise 404 for one that the settings do not have and the caller may not use."""
        domain = canonical_domain(request.match_info["domain"])
        if not domain or not self._is_known(domain, caller_of(request)):
            raise web.HTTPNotFound(text=f"Domain not found: {request.match_info['domain'][:100]}")
        return domain

    def _is_known(self, domain: str, caller: Caller) -> bool:
        settings = self.settings()
        anything = caller.sees_all and not (settings.domains or settings.identities)
        return anything or any(related(domain, one) for one in self._known(caller))

    def _known(self, caller: Caller) -> Sequence[str]:
        """Return the sending domains of a caller."""
        if caller.domains is not None:
            return caller.domains
        settings = self.settings()
        own = settings.identities if caller.identities is None else caller.identities
        domains = settings.domains if caller.identities is None else ()
        return sorted({*map(canonical_domain, domains), *(domain_of(canonical(one)) for one in own)})

    def _entry(self, request: web.Request) -> tuple[ListName, str, Sequence[str]]:
        """Return list, address and scopes: sending domains and identities, and "" for entries of all senders.

        A restricted credential has the entries of its own domains and identities only.
        """
        domain, caller = self._domain(request), caller_of(request)
        near = [one for one in self._known(caller) if related(domain, one)]
        domains = [one for one in near if caller.sees_domain(one)]
        own = [one for one in self.settings().identities if caller.sees_address(one) and domain_of(one) in near]
        everywhere = [domain, ""] if caller.sees_all else []
        name: ListName = request.match_info["list"]  # type: ignore[assignment]  # the path has no others
        return name, request.match_info["address"], list(dict.fromkeys([*domains, *map(canonical, own), *everywhere]))


def related(one: str, other: str) -> bool:
    """Whether two domains are the same, or one is below the other: mg.example.com sends for example.com."""
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def failed(failure: Failure) -> web.Response:
    """Return an error as Mailgun's clients read it."""
    if failure.status == 401:
        return web.Response(status=401, text="Forbidden", headers={"WWW-Authenticate": 'Basic realm="relay"'})
    status = 400 if failure.status == 422 else failure.status
    return web.Response(status=status, text=json.dumps({"message": failure.text}), content_type="application/json")


def _queued(submitted: Sequence[Submitted]) -> web.Response:
    return web.json_response({"id": accepted(submitted)[0].message.message_id, "message": "Queued. Thank you."})


def _missing(name: ListName) -> web.Response:
    return failed(Failure(404, MISSING[name]))
