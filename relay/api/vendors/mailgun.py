"""The API of Mailgun as its clients use it: messages and events. `mailgun_list_routes` has the lists."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from relay.api.access import caller_of
from relay.api.messages import client_of, key_of
from relay.api.request_bodies import read_json
from relay.api.submitter import Mail, Submitted, distinct
from relay.api.vendors.form_data import parse_form
from relay.api.vendors.forms import FormError, parse_recipients
from relay.api.vendors.mailgun_domains import domain_of_path, known_domain, visible_events
from relay.api.vendors.mailgun_events import Page, Query, parse_query, parse_token, read_page
from relay.api.vendors.mailgun_logs import logs_answer, parse_logs
from relay.api.vendors.mailgun_messages import translate
from relay.api.vendors.routes import Failure, Sending, VendorRoute, accepted
from relay.config.settings import Settings
from relay.mail.authors import author_of
from relay.mail.dot_stuffing import normalise
from relay.webhooks.feed import EventFeed, PositionError
from relay.webhooks.filters import Filter

MAX_LOGS_BODY = 64 << 10
"""Octets of a request for logs, at most."""


@dataclass(frozen=True, slots=True)
class MailgunRoutes:
    """The routes of messages and events."""

    settings: Callable[[], Settings]
    sending: Sending
    feed: EventFeed

    def routes(self) -> Sequence[VendorRoute]:
        """Return the routes."""
        return [
            VendorRoute("POST", "/v3/{domain}/messages", "send", self.send),
            VendorRoute("POST", "/v3/{domain}/messages.mime", "send", self.send_mime),
            VendorRoute("GET", "/v3/{domain}/events", "read", self.events),
            VendorRoute("GET", "/v3/{domain}/events/{token}", "read", self.events),
            VendorRoute("POST", "/v1/analytics/logs", "read", self.logs),
        ]

    async def send(self, request: web.Request) -> web.Response:
        """POST /messages: a form with the keys of a message."""
        domain_of_path(self.settings(), request)
        context, key = self.sending.context(request), key_of(request)
        async with self.sending.memory.body(request, self.sending.limit()) as body:
            form = await self.sending.parsed(parse_form, request.headers.get("Content-Type", ""), body)
            translated = await self.sending.parsed(translate, form, context)
            return _queued(await self.sending.submit(client_of(request), translated, key))

    async def send_mime(self, request: web.Request) -> web.Response:
        """POST /messages.mime: a form with a composed message, and its recipients."""
        domain_of_path(self.settings(), request)
        key = key_of(request)
        async with self.sending.memory.body(request, self.sending.limit()) as body:
            form = await self.sending.parsed(parse_form, request.headers.get("Content-Type", ""), body)
            texts = form.values.get("message", ())
            files = [one.content for one in form.files if one.field == "message"] or [one.encode() for one in texts]
            if not files:
                raise FormError("message parameter is missing", "message")
            to = await self.sending.parsed(parse_recipients, "to", form.values.get("to", ()))
            if not to:
                raise FormError("to parameter is missing", "to")
            content = normalise(files[-1])
            mail = Mail(author_of(content), distinct(to), content, key=key)
            return _queued(await self.sending.submit_mail(client_of(request), mail))

    async def events(self, request: web.Request) -> web.Response:
        """GET /events: a page of events. The token of the next page has the whole query."""
        domain, token = domain_of_path(self.settings(), request), request.match_info.get("token")
        query = parse_token(token) if token else parse_query(request.query)
        page = await self._page(query, visible_events(self.settings(), caller_of(request), domain))
        base = f"{request.url.origin()}/v3/{domain}/events"
        urls = {"next": page.following, "previous": query, "first": replace(query, after=""), "last": page.last}
        paging = {name: f"{base}/{one.token}" for name, one in urls.items()}
        return web.json_response({"items": page.items, "paging": paging})

    async def logs(self, request: web.Request) -> web.Response:
        """POST /v1/analytics/logs: the same events, asked for by a body in JSON."""
        caller = caller_of(request)
        async with self.sending.memory.body(request, MAX_LOGS_BODY) as body:
            asked = parse_logs(await read_json(body))
        domain = known_domain(self.settings(), caller, asked.domain)
        page = await self._page(asked.query, visible_events(self.settings(), caller, domain))
        return web.json_response(logs_answer(asked, page))

    async def _page(self, query: Query, allowed: Filter) -> Page:
        try:
            return await read_page(self.feed, query, allowed)
        except PositionError:
            raise FormError("the page token is not one of this server", "page") from None


def failed(failure: Failure) -> web.Response:
    """Return an error as Mailgun's clients read it."""
    if failure.status == 401:
        return web.Response(status=401, text="Forbidden", headers={"WWW-Authenticate": 'Basic realm="relay"'})
    status = 400 if failure.status == 422 else failure.status
    return web.Response(status=status, text=json.dumps({"message": failure.text}), content_type="application/json")


def _queued(submitted: Sequence[Submitted]) -> web.Response:
    return web.json_response({"id": accepted(submitted)[0].message.message_id, "message": "Queued. Thank you."})
