"""All routes of the console, and the application that serves them."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from relay.console import static_files
from relay.console.access import AccessCheck, access_middleware, secure
from relay.console.bounces import BouncePages
from relay.console.confirmations import ConfirmationPages
from relay.console.connection_routes import ConnectionPages, connection_routes
from relay.console.credentials import CredentialPages
from relay.console.domain_actions import DomainActions
from relay.console.domain_forms import DomainForms
from relay.console.domains import DomainPages
from relay.console.identities import IdentityPages
from relay.console.identity_actions import IdentityActions
from relay.console.identity_forms import IdentityForms
from relay.console.layout import Layout
from relay.console.list_actions import ListActions
from relay.console.login import LoginPages
from relay.console.login_access import LoginAccess
from relay.console.mailbox import MailboxPage
from relay.console.message_list import MessagesPage
from relay.console.message_page import MessagePages
from relay.console.overview import OverviewPage
from relay.console.page_urls import page_url
from relay.console.people import PeoplePages
from relay.console.provider_list import ProviderPages
from relay.console.provider_page import ProviderPage
from relay.console.queue import QueuePages
from relay.console.queue_actions import QueueActions
from relay.console.roles import Role, viewer_of
from relay.console.route import Route
from relay.console.suppressions import SuppressionPages
from relay.console.webhook_list import WebhookPages
from relay.console.webhook_page import WebhookPage
from relay.events.ports import StoreError
from relay.people.grants import Stage

MAX_BODY = 16 << 20
"""Octets of a form, at most."""


_WEBHOOKS = "A webhook gets events of all sending domains, and its failures quote them."

_CREDENTIALS = "A credential may send for all sending domains."

_PROVIDER = "Limits, use and replies of a provider are those of all sending domains together."

_MAILBOX = "The bounce mailbox gets bounces of all sending domains."

_PEOPLE = "People act on all sending domains, and so does who adds them."


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """The pages of the console."""

    layout: Layout
    overview: OverviewPage
    messages: MessagesPage
    message: MessagePages
    queue: QueuePages
    bounces: BouncePages
    domains: DomainPages
    identities: IdentityPages
    providers: ProviderPages
    provider: ProviderPage
    mailbox: MailboxPage
    suppressions: SuppressionPages
    webhooks: WebhookPages
    webhook: WebhookPage
    credentials: CredentialPages


@dataclass(frozen=True, slots=True, kw_only=True)
class ActingPages:
    """The pages of those who are logged in."""

    login: LoginPages
    confirmations: ConfirmationPages
    people: PeoplePages
    domain_forms: DomainForms
    domains: DomainActions
    identity_forms: IdentityForms
    identities: IdentityActions
    queue: QueueActions
    suppressions: ListActions
    unsubscribes: ListActions
    connect: ConnectionPages


def routes(pages: Pages) -> Sequence[Route]:
    """Return the table of all routes."""
    return (
        Route("GET", "/static/{name}", static_files.serve, None),
        Route("GET", "/", pages.overview.show, Role.VIEWER, narrows=True),
        Route("GET", "/messages", pages.messages.show, Role.VIEWER, narrows=True),
        Route("GET", "/messages.csv", pages.messages.export, Role.VIEWER, narrows=True, masks=False),
        Route("GET", "/messages/{queue_id}", pages.message.show, Role.VIEWER, narrows=True),
        Route("GET", "/messages/{queue_id}/preview", pages.message.preview, Role.VIEWER, narrows=True, masks=False),
        Route("GET", "/message/{queue_id}", former_message, Role.VIEWER, narrows=True),
        Route("GET", "/queue", pages.queue.show, Role.VIEWER, narrows=True),
        Route("GET", "/queue.csv", pages.queue.export, Role.VIEWER, narrows=True, masks=False),
        Route("GET", "/bounces", pages.bounces.show, Role.VIEWER, narrows=True),
        Route("GET", "/bounces.csv", pages.bounces.export, Role.VIEWER, narrows=True, masks=False),
        Route("GET", "/domains", pages.domains.show, Role.VIEWER, narrows=True),
        Route("GET", "/domains.csv", pages.domains.export, Role.VIEWER, narrows=True, masks=False),
        Route("GET", "/domains/{domain}", pages.domains.one, Role.VIEWER, narrows=True),
        Route("GET", "/identities", pages.identities.show, Role.VIEWER, narrows=True),
        Route("GET", "/identities.csv", pages.identities.export, Role.VIEWER, narrows=True, masks=False),
        Route("GET", "/identities/{address}", pages.identities.one, Role.VIEWER, narrows=True),
        Route("GET", "/providers", pages.providers.show, Role.VIEWER, narrows=True),
        Route("GET", "/providers.csv", pages.providers.export, Role.VIEWER, narrows=True, masks=False),
        Route("GET", "/providers/{name}", pages.provider.show, Role.VIEWER, whole=_PROVIDER),
        Route("GET", "/mailbox", pages.mailbox.show, Role.VIEWER, whole=_MAILBOX),
        Route("GET", "/suppressions", pages.suppressions.show, Role.VIEWER, narrows=True),
        Route("GET", "/suppressions.csv", pages.suppressions.export, Role.VIEWER, narrows=True, masks=False),
        Route("GET", "/unsubscribes", pages.suppressions.unsubscribed, Role.VIEWER, narrows=True),
        Route(
            "GET", "/unsubscribes.csv", pages.suppressions.export_unsubscribed, Role.VIEWER, narrows=True, masks=False
        ),
        Route("GET", "/webhooks", pages.webhooks.show, Role.VIEWER, whole=_WEBHOOKS),
        Route("GET", "/webhooks.csv", pages.webhooks.export, Role.VIEWER, whole=_WEBHOOKS, masks=False),
        Route("GET", "/webhooks/{name}", pages.webhook.show, Role.VIEWER, whole=_WEBHOOKS),
        Route("GET", "/credentials", pages.credentials.show, Role.VIEWER, whole=_CREDENTIALS),
        Route("GET", "/credentials.csv", pages.credentials.export, Role.VIEWER, whole=_CREDENTIALS, masks=False),
        Route("GET", "/credentials/{name}", pages.credentials.one, Role.VIEWER, whole=_CREDENTIALS),
    )


def acting_routes(pages: ActingPages) -> Sequence[Route]:
    """Return the table of the routes that need a login, or lead to one."""
    login, people = pages.login, pages.people
    return (
        Route("GET", "/login", login.show, None),
        Route("POST", "/login", login.log_in, None),
        Route("POST", "/logout", login.log_out, Role.NEWCOMER, narrows=True),
        Route("GET", "/password", login.password, Role.NEWCOMER, narrows=True),
        Route("POST", "/password", login.set_password, Role.NEWCOMER, narrows=True),
        Route("GET", "/app", login.app, Role.NEWCOMER, narrows=True),
        Route("POST", "/app", login.set_app, Role.NEWCOMER, narrows=True),
        Route("GET", "/confirm/{plan}", pages.confirmations.show, Role.SUPPORT, narrows=True),
        Route("POST", "/confirm/{plan}", pages.confirmations.confirm, Role.SUPPORT, narrows=True),
        Route("GET", "/domains/new", pages.domain_forms.new, Role.OPERATOR),
        Route("POST", "/domains/new", pages.domain_forms.add, Role.OPERATOR),
        Route("GET", "/domains/{domain}/edit", pages.domain_forms.edit, Role.OPERATOR, narrows=True),
        Route("POST", "/domains/{domain}/edit", pages.domain_forms.change, Role.OPERATOR, narrows=True),
        Route("POST", "/domains/{domain}/actions", pages.domains.post, Role.OPERATOR, narrows=True),
        Route("GET", "/identities/new", pages.identity_forms.new, Role.OPERATOR, narrows=True),
        Route("POST", "/identities/new", pages.identity_forms.add, Role.OPERATOR, narrows=True),
        Route("GET", "/identities/{address}/edit", pages.identity_forms.edit, Role.OPERATOR, narrows=True),
        Route("POST", "/identities/{address}/edit", pages.identity_forms.change, Role.OPERATOR, narrows=True),
        Route("POST", "/identities/{address}/actions", pages.identities.post, Role.OPERATOR, narrows=True),
        Route("POST", "/queue/actions", pages.queue.by_filter, Role.OPERATOR, narrows=True),
        Route("POST", "/messages/{queue_id}/actions", pages.queue.by_message, Role.SUPPORT, narrows=True),
        Route("POST", "/suppressions/actions", pages.suppressions.post, Role.SUPPORT, narrows=True),
        Route("POST", "/unsubscribes/actions", pages.unsubscribes.post, Role.SUPPORT, narrows=True),
        *connection_routes(pages.connect),
        Route("GET", "/audit", people.audit, Role.OPERATOR, narrows=True),
        Route("GET", "/people", people.show, Role.OWNER, whole=_PEOPLE),
        Route("POST", "/people/actions", people.post, Role.OWNER, whole=_PEOPLE),
    )


async def former_message(request: web.Request) -> web.StreamResponse:
    """GET /message/ID: the address of a message in earlier versions."""
    raise web.HTTPMovedPermanently(f"/messages/{request.match_info['queue_id']}")


def console_application(pages: Pages, secret: str) -> web.Application:
    """Return the application. Access needs the secret, or without one a direct request of this machine."""
    app = web.Application(middlewares=[access_middleware(AccessCheck(secret)), page_errors(pages.layout)])
    app.on_response_prepare.append(secure)
    for route in routes(pages):
        app.router.add_route(route.method, route.path, guarded(route, pages.layout))
    return app


def login_application(pages: Pages, acting: ActingPages, access: LoginAccess) -> web.Application:
    """Return the application of people who log in: they read and act."""
    app = web.Application(client_max_size=MAX_BODY, middlewares=[access.middleware(), page_errors(pages.layout)])
    app.on_response_prepare.append(access.secure)
    for route in (*acting_routes(acting), *routes(pages)):
        app.router.add_route(route.method, route.path, guarded(route, pages.layout))
    return app


def guarded(route: Route, layout: Layout) -> Handler:
    """Return the handler of a route, which answers only those who have its role."""

    async def handle(request: web.Request) -> web.StreamResponse:
        viewer = viewer_of(request)
        if route.role is None:
            return await route.handler(request)
        if viewer.role is Role.NOBODY:
            following = request.path_qs if request.method == "GET" and request.path != "/" else ""
            raise web.HTTPSeeOther(page_url("/login", {"next": following}))
        if viewer.role is Role.NEWCOMER and route.role is not Role.NEWCOMER:
            is_app = viewer.signed_in is not None and viewer.signed_in.stage is Stage.APP
            raise web.HTTPSeeOther("/app" if is_app else "/password")
        if viewer.role < route.role:
            needed = route.role.name.lower()
            text = f"This page needs the role {needed}. An owner can change the role of a person."
            return await layout.error(request, 403, "Not for your role", text, state="off")
        if not route.masks and not viewer.sees_addresses:
            text = "It has addresses, which your role does not see."
            return await layout.error(request, 403, "Not for your role", text, state="off")
        if viewer.domains and not route.narrows:
            text = f"{route.whole} You are restricted to {', '.join(viewer.domains)}."
            return await layout.error(request, 403, "Not for your domains", text, state="off")
        return await route.handler(request)

    return handle


def page_errors(layout: Layout) -> Middleware:
    """Return the middleware that answers errors with pages."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except StoreError as error:
            text = f"Nothing that was accepted is lost. New mail is refused with 451: senders try again. {error}"
            return await layout.error(request, 503, "The store does not answer.", text)
        except web.HTTPNotFound as error:
            text = "The address was mistyped, or what it showed is gone." if not error.text else error.text
            return await layout.error(request, 404, "There is no such page", text, state="off")
        except web.HTTPForbidden as error:
            return await layout.error(request, 403, "Not for you", error.text or "", state="off")
        except web.HTTPRequestEntityTooLarge:
            text = f"A form may have {MAX_BODY >> 20} MiB. Split the file."
            return await layout.error(request, 413, "The file is too large", text, state="off")
        except web.HTTPBadRequest as error:
            return await layout.error(request, 400, "The request is not understood", error.text or "", state="off")

    return middleware
