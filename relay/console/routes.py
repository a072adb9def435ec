"""All routes of the console, and the application that serves them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from relay.console import static_files
from relay.console.access import AccessCheck, access_middleware
from relay.console.bounces import BouncePages
from relay.console.domains import DomainPages
from relay.console.identities import IdentityPages
from relay.console.message import MessagePages
from relay.console.messages import MessagesPage
from relay.console.overview import OverviewPage
from relay.console.providers import ProviderPages
from relay.console.queue import QueuePages
from relay.console.roles import Role, viewer_of
from relay.console.shell import Shell
from relay.console.suppressions import SuppressionPages
from relay.console.webhooks import WebhookPages
from relay.events.ports import StoreError


@dataclass(frozen=True, slots=True)
class Route:
    """One route: who may use it, and what answers."""

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    role: Role | None
    """The least role; None for everybody, also without a login."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """The pages of the console."""

    shell: Shell
    overview: OverviewPage
    messages: MessagesPage
    message: MessagePages
    queue: QueuePages
    bounces: BouncePages
    domains: DomainPages
    identities: IdentityPages
    providers: ProviderPages
    suppressions: SuppressionPages
    webhooks: WebhookPages


def routes(pages: Pages) -> Sequence[Route]:
    """Return the table of all routes."""
    return (
        Route("GET", "/static/{name}", static_files.serve, None),
        Route("GET", "/", pages.overview.show, Role.VIEWER),
        Route("GET", "/messages", pages.messages.show, Role.VIEWER),
        Route("GET", "/messages.csv", pages.messages.export, Role.VIEWER),
        Route("GET", "/messages/{queue_id}", pages.message.show, Role.VIEWER),
        Route("GET", "/messages/{queue_id}/preview", pages.message.preview, Role.VIEWER),
        Route("GET", "/message/{queue_id}", former_message, Role.VIEWER),
        Route("GET", "/queue", pages.queue.show, Role.VIEWER),
        Route("GET", "/queue.csv", pages.queue.export, Role.VIEWER),
        Route("GET", "/bounces", pages.bounces.show, Role.VIEWER),
        Route("GET", "/bounces.csv", pages.bounces.export, Role.VIEWER),
        Route("GET", "/domains", pages.domains.show, Role.VIEWER),
        Route("GET", "/domains.csv", pages.domains.export, Role.VIEWER),
        Route("GET", "/domains/{domain}", pages.domains.one, Role.VIEWER),
        Route("GET", "/identities", pages.identities.show, Role.VIEWER),
        Route("GET", "/identities.csv", pages.identities.export, Role.VIEWER),
        Route("GET", "/identities/{address}", pages.identities.one, Role.VIEWER),
        Route("GET", "/providers", pages.providers.show, Role.VIEWER),
        Route("GET", "/providers.csv", pages.providers.export, Role.VIEWER),
        Route("GET", "/suppressions", pages.suppressions.show, Role.VIEWER),
        Route("GET", "/suppressions.csv", pages.suppressions.export, Role.VIEWER),
        Route("GET", "/unsubscribes", pages.suppressions.unsubscribed, Role.VIEWER),
        Route("GET", "/unsubscribes.csv", pages.suppressions.export_unsubscribed, Role.VIEWER),
        Route("GET", "/webhooks", pages.webhooks.show, Role.VIEWER),
        Route("GET", "/webhooks.csv", pages.webhooks.export, Role.VIEWER),
    )


async def former_message(request: web.Request) -> web.StreamResponse:
    """GET /message/ID: the address of a message in earlier versions."""
    raise web.HTTPMovedPermanently(f"/messages/{request.match_info['queue_id']}")


def console_application(pages: Pages, secret: str) -> web.Application:
    """Return the application. Access needs the secret, or without one a direct request of this machine."""
    app = web.Application(middlewares=[access_middleware(AccessCheck(secret)), page_errors(pages.shell)])
    for route in routes(pages):
        app.router.add_route(route.method, route.path, guarded(route, pages.shell))
    return app


def guarded(route: Route, shell: Shell) -> Handler:
    """Return the handler of a route, which answers only those who have its role."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if route.role is not None and viewer_of(request).role < route.role:
            needed = route.role.name.lower()
            text = f"It needs the role {needed}. Somebody with the role owner can change yours."
            return await shell.error(request, 403, "Not for your role", text, state="off")
        return await route.handler(request)

    return handle


def page_errors(shell: Shell) -> Middleware:
    """Return the middleware that answers errors with pages."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except StoreError as error:
            text = f"Nothing that was accepted is lost. New mail is refused for now, so that senders try again. {error}"
            return await shell.error(request, 503, "The store does not answer.", text)
        except web.HTTPNotFound as error:
            text = "The address was mistyped, or what it showed is gone." if not error.text else error.text
            return await shell.error(request, 404, "There is no such page", text, state="off")
        except web.HTTPBadRequest as error:
            return await shell.error(request, 400, "The request is not understood", error.text or "", state="off")

    return middleware
