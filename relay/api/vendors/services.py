"""All routes in the forms of mail services, each service with its login and its form of errors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.api.access import Access
from relay.api.vendors import mailgun, postmark_routes, sendgrid_routes
from relay.api.vendors.mailgun import MailgunRoutes
from relay.api.vendors.mailgun_list_routes import MailgunListRoutes
from relay.api.vendors.mailgun_lists import Lists
from relay.api.vendors.postmark_routes import PostmarkRoutes
from relay.api.vendors.routes import Failure, Login, Sending, VendorRoute, authorization, table
from relay.api.vendors.sendgrid_routes import SendGridRoutes
from relay.config.settings import Settings
from relay.webhooks.feed import EventFeed


@dataclass(frozen=True, slots=True)
class Service:
    """The routes of one service."""

    routes: Sequence[VendorRoute]
    failed: Callable[[Failure], web.Response]
    """Returns an error in its form."""
    login: Login = authorization


def services(settings: Callable[[], Settings], sending: Sending, feed: EventFeed, lists: Lists) -> Sequence[Service]:
    """Return all services."""
    messages, entries = MailgunRoutes(settings, sending, feed), MailgunListRoutes(settings, sending, lists)
    return [
        Service([*messages.routes(), *entries.routes()], mailgun.failed),
        Service(SendGridRoutes(sending).routes(), sendgrid_routes.failed),
        Service(PostmarkRoutes(sending).routes(), postmark_routes.failed, postmark_routes.server_token),
    ]


def service_routes(access: Access, found: Sequence[Service]) -> Sequence[web.RouteDef]:
    """Return the routes of services for the server."""
    return [route for one in found for route in table(access, one.routes, one.failed, one.login)]
