"""Builds the HTTP servers: tracker, admin API, console, metrics."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.admin.address_lists import SuppressionRoutes, UnsubscribeRoutes
from relay.admin.application import NodeRoutes, ServerRoutes, admin_application
from relay.admin.credentials import CredentialRoutes
from relay.admin.domains import DomainRoutes
from relay.admin.identities import IdentityRoutes
from relay.admin.identity_pauses import IdentityPauseRoutes
from relay.admin.imap import ImapRoutes
from relay.admin.limits import LimitRoutes
from relay.admin.link_blocks import LinkBlockRoutes
from relay.admin.oauth import OAuthRoutes
from relay.admin.pauses import PauseRoutes
from relay.admin.people import PeopleRoutes
from relay.admin.providers import ProviderRoutes
from relay.admin.reports import ReportRoutes
from relay.admin.sender_settings import SenderSettingsRoutes
from relay.admin.sent_copies import SentCopyRoutes
from relay.admin.server import AdminServer, metrics_application
from relay.admin.sites import SiteRoutes
from relay.admin.suppression_evidence import EvidenceRoutes
from relay.admin.wait_reasons import WaitReasonRoutes
from relay.admin.webhooks import WebhookRoutes
from relay.api.access import as_operator, has_login
from relay.api.events import EventRoutes
from relay.app.api import ApiBuilder
from relay.app.console import ConsoleBuilder
from relay.app.context import AppContext
from relay.app.dev_pages import build_dev_application
from relay.app.http_sockets import HttpSockets
from relay.app.login_console import LoginConsole
from relay.app.mail_parts import MailParts
from relay.app.open_files import possible_connections
from relay.app.people import open_people
from relay.app.queue_routes import queue_routes
from relay.app.webhook_writer import WebhookWriter
from relay.console.routes import console_application
from relay.events.sink import EventSink
from relay.http_tracker import Tracker
from relay.inbound.imap_folders import folders_json
from relay.people.table_editor import TableEditor
from relay.tracker.connection_limits import ConnectionLimits
from relay.tracker.link_blocks import BlockParser
from relay.webhooks.control import WebhookControl
from relay.webhooks.service import Webhooks

PIXEL_DELAY = 0.005
"""Seconds by which pixel requests are delayed while mail is in flight, because mail has priority."""

Answer = Callable[[], Awaitable[Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class HttpServers:
    """Builds and starts the HTTP servers. `checks` and `readiness` return health and readiness by part."""

    context: AppContext
    mail: MailParts
    webhooks: Webhooks
    sockets: HttpSockets
    checks: Callable[[], Mapping[str, bool]]
    readiness: Callable[[], Mapping[str, bool]]
    status: Answer
    reload: Answer
    configuration: Answer
    exposition: Callable[[], Awaitable[bytes]]
    """Returns the metrics for Prometheus."""
    restart_needed: Callable[[], Sequence[str]]
    """Returns the keys of the configuration whose values hold only after a restart."""
    editor: TableEditor
    """Changes the files of the configuration: the only one of this process."""

    async def start_tracker(self, sink: EventSink) -> Tracker | None:
        """Start the tracker if it has an address."""
        context, settings, metrics = self.context, self.context.settings(), self.context.observer.metrics
        if not settings.tracker.address:
            return None
        tracker = Tracker(
            self.mail.outbound.signing.keyring,
            sink,
            trusted_proxies=settings.tracker.trusted_proxies,
            proxy_protocol=settings.tracker.proxy_protocol,
            limits=ConnectionLimits(connections=possible_connections(ConnectionLimits().connections, settings)),
            checks=self.checks,
            readiness=self.readiness,
            verification=self.mail.inbound.owner_verification,
            subscription=lambda queue_id, number: self.mail.outbound.exclusion.subscription(
                queue_id, number, context.settings().exclusions
            ),
            pixel_delay=lambda: PIXEL_DELAY if context.observer.mail_in_flight() else 0.0,
            on_folded=metrics.events_folded.inc,
            requests=metrics.tracker_requests,
            blocks=lambda: context.store.link_blocks.blocks,
            log=context.log,
        )
        await tracker.start(self.sockets.tracker)
        self.mail.outbound.simulation.tracker = tracker
        context.stack.push_async_callback(tracker.stop)
        return tracker

    async def start_admin(self) -> None:
        """Start the admin API, and the configured servers of the console and the metrics."""
        settings = self.context.settings()
        if self.sockets.admin_socket is not None:
            events = self._event_routes()
            application = admin_application(*self._admin_routes(), events.table())
            application.middlewares.append(as_operator)
            application.on_shutdown.append(events.close)
            admin = self._server(AdminServer(application))
            await admin.start_unix(self.sockets.admin_socket)
        if settings.any_login:
            pages = self._console().pages()
            dev = build_dev_application(self.context, self.mail, pages)
            await self._server(AdminServer(dev)).start_tcp(self.sockets.dev)
        if settings.admin.address:
            app = console_application(self._console().pages(), settings.admin.secret.get_secret_value())
            server = self._server(AdminServer(app))
            await server.start_tcp(self.sockets.admin)
        if settings.console.address:
            acting = self._login_console()
            server = self._server(AdminServer(acting.application(self._console())))
            await server.start_tcp(self.sockets.console, acting.tls())
        if settings.api.address:
            builder = ApiBuilder(self.context, self.mail, self.webhooks.feed)
            application = builder.application(self._admin_routes(), self._event_routes())
            api = self._server(AdminServer(application, has_login))
            await api.start_tcp(self.sockets.api)
        if settings.metrics.address:
            exporter = self._server(AdminServer(metrics_application(self.exposition, self.readiness)))
            await exporter.start_tcp(self.sockets.metrics)

    def _login_console(self) -> LoginConsole:
        """Return the console of people who log in."""
        return LoginConsole(
            context=self.context,
            people=self._people_routes(),
            queue=queue_routes(self.context, self.mail.outbound),
            editor=self.editor,
            signing=self.mail.outbound.signing,
        )

    def provider_routes(self) -> ProviderRoutes:
        """Return the routes of providers."""
        context, runner = self.context, self.mail.outbound.runner
        return ProviderRoutes(
            settings=context.settings,
            store=context.store.queue,
            limits=context.store.limits,
            clock=context.clock,
            new_id=context.new_id,
            publish=context.observer.publish,
            pauses=runner.shared_pauses.lanes,
            end_pause=runner.shared_pauses.resume,
            wake=runner.wake,
        )

    def _server(self, server: AdminServer) -> AdminServer:
        """Stop the server together with the relay."""
        self.context.stack.push_async_callback(server.stop)
        return server

    def _admin_routes(self) -> Sequence[Sequence[web.RouteDef]]:
        context, store, pauses = self.context, self.context.store, self.mail.outbound.runner.shared_pauses
        identities = self._identity_routes()
        return [
            ServerRoutes(
                status=self.status,
                reload=self.reload,
                configuration=self.configuration,
                metrics=self.exposition,
                readiness=self.readiness,
            ).table(),
            queue_routes(self.context, self.mail.outbound).table(),
            SentCopyRoutes(store.sent_copies).table(),
            DomainRoutes(self.mail.outbound.signing, context.settings).table(),
            identities.table(),
            LimitRoutes(identities.rows, self.provider_routes().rows).table(),
            self._credential_routes().table(),
            OAuthRoutes(self.mail.outbound.oauth, pauses.resume).table(),
            ImapRoutes(lambda: folders_json(context.settings().bounces.imap, self.mail.outbound.oauth)).table(),
            NodeRoutes(store.nodes).table(),
            SiteRoutes(self.mail.outbound.explainer.sites).table(),
            *self._pause_routes(),
            self._why_routes(),
            WebhookRoutes(WebhookControl(self.webhooks), context.settings).table(),
            SenderSettingsRoutes(self.editor, context.settings, pauses.identities).table(),
            WebhookWriter(self.editor).routes(WebhookControl(self.webhooks)),
            self.provider_routes().table(),
            ReportRoutes(context.settings, store.reports, store.reports, store.reports).table(),
            SuppressionRoutes(store.suppressions, context.clock).table(),
            EvidenceRoutes(
                context.settings, context.bounce_policy, store.suppressions, store.reports, context.clock
            ).table(),
            self._link_block_routes(),
            UnsubscribeRoutes(store.unsubscribes, context.settings, context.clock).table(),
            self._people_routes().table(),
        ]

    def _link_block_routes(self) -> Sequence[web.RouteDef]:
        return LinkBlockRoutes(
            self.context.store.link_blocks,
            parser=lambda: BlockParser(self.mail.outbound.signing.keyring()),
            clock=self.context.clock,
            log=self.context.log,
        ).table()

    def _identity_routes(self) -> IdentityRoutes:
        return IdentityRoutes(
            self.mail.inbound.verifier, self.context.store.limits, self.mail.outbound.runner.shared_pauses.identities
        )

    def _console(self) -> ConsoleBuilder:
        return ConsoleBuilder(
            context=self.context,
            outbound=self.mail.outbound,
            identities=self._identity_routes(),
            providers=self.provider_routes(),
            webhooks=WebhookControl(self.webhooks),
            verifier=self.mail.inbound.verifier,
            restart_needed=self.restart_needed,
            credentials=self._credential_routes(),
            mailbox_works=self.mail.inbound.poller.works,
        )

    def _credential_routes(self) -> CredentialRoutes:
        return CredentialRoutes(self.context.settings, self.mail.submission.credential_keys, self.context.log)

    def _people_routes(self) -> PeopleRoutes:
        context, people = self.context, open_people(self.context, self.mail.outbound)
        return PeopleRoutes(lambda: context.settings().console, people, context.store.changes, context.clock)

    def _why_routes(self) -> Sequence[web.RouteDef]:
        explainer = self.mail.outbound.explainer
        return WaitReasonRoutes(
            store=self.context.store.queue,
            explain=explainer.explain,
            sites=explainer.sites,
            servers=explainer.servers,
        ).table()

    def _pause_routes(self) -> Sequence[Sequence[web.RouteDef]]:
        settings, outbound = self.context.settings, self.mail.outbound
        identities, others = outbound.identity_pauses, outbound.operator_pauses
        return [
            IdentityPauseRoutes(
                settings=settings,
                pause=identities.pause,
                resume=identities.resume,
                resume_of_application=identities.resume_of_application,
                pauses=outbound.runner.shared_pauses.identities,
            ).table(),
            PauseRoutes(
                settings=settings,
                sites=lambda: {site.name for site in outbound.explainer.rates.sites()},
                holds=others.holds,
                pause=others.pause,
                resume=others.resume,
                resume_of_application=others.resume_of_application,
            ).table(),
        ]

    def _event_routes(self) -> EventRoutes:
        return EventRoutes(self.webhooks.feed, self.webhooks.listening, self.webhooks.forget)
