"""Builds the HTTP API of applications, with the routes in the forms of mail services."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.admin.sent_copies import SentCopyRoutes
from relay.api.access import Access
from relay.api.events import EventRoutes
from relay.api.management import management_routes
from relay.api.messages import MessageRoutes
from relay.api.request_log import RequestLog
from relay.api.server import api_application
from relay.api.submitter import Submitter
from relay.api.vendors.mailgun_lists import Lists
from relay.api.vendors.routes import Sending
from relay.api.vendors.services import service_routes, services
from relay.app.context import AppContext
from relay.app.mail_parts import MailParts
from relay.app.people import open_people
from relay.app.queue_routes import queue_routes
from relay.config.settings import Settings
from relay.webhooks.feed import EventFeed


@dataclass(frozen=True, slots=True)
class ApiBuilder:
    """Builds the application of the API."""

    context: AppContext
    mail: MailParts
    feed: EventFeed

    def application(self, managed: Sequence[Sequence[web.RouteDef]], events: EventRoutes) -> web.Application:
        """Return the application. Of the `managed` routes of the admin API it has those that keys may use."""
        messages, access = self._message_routes(), self._access()
        routes = [*messages.routes(), *management_routes(managed), *events.routes()]
        vendors = self._vendor_routes(messages, access)
        application = api_application(access, routes, events.close, vendors=vendors)
        RequestLog(self.context.log).install(application)
        return application

    def _message_routes(self) -> MessageRoutes:
        context = self.context
        submitter = Submitter(
            context.settings, self.mail.submission.handler, context.store.reports, context.observer.store_trouble
        )
        return MessageRoutes(
            context.settings,
            submitter,
            queue_routes(self.context, self.mail.outbound),
            context.store.reports,
            SentCopyRoutes(context.store.sent_copies),
        )

    def _vendor_routes(self, messages: MessageRoutes, access: Access) -> Sequence[web.RouteDef]:
        """Return the routes in the forms of mail services."""
        settings, store = self.context.settings, self.context.store
        sending = Sending(settings, messages.submitter, messages.memory, self.context.clock)
        lists = Lists(store.suppressions, store.unsubscribes)
        return service_routes(access, services(settings, sending, self.feed, lists))

    def _access(self) -> Access:
        keys = self.mail.submission.credential_keys

        async def authenticate(settings: Settings, username: str, secret: str) -> str | None:
            found = await keys.authenticate(settings, username, secret)
            return found.credential if found else None

        audit = open_people(self.context, self.mail.outbound).audit
        return Access(self.context.settings, authenticate, self.context.clock, audit)
