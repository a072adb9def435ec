"""Builds the HTTP servers: tracker, admin API, dashboard, metrics."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.admin.api import NodeRoutes, QueueRoutes, ServerRoutes, application
from relay.admin.dashboard.routes import DashboardRoutes, dashboard
from relay.admin.domains import DomainRoutes
from relay.admin.identities import IdentityRoutes
from relay.admin.providers import ProviderRoutes
from relay.admin.reports import ReportRoutes
from relay.admin.server import AdminServer, metrics_application
from relay.admin.suppressions import SuppressionRoutes
from relay.admin.unsubscribes import UnsubscribeRoutes
from relay.app.context import AppContext
from relay.app.inbound_side import InboundSide
from relay.app.outbound_side import OutboundSide
from relay.events.sink import EventSink
from relay.events.spool import Spool
from relay.http_tracker import Tracker

PIXEL_DELAY = 0.005
"""Seconds by which pixel requests are delayed while mail is in flight, because mail has priority."""


Answer = Callable[[], Awaitable[Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class HttpSide:
    """Builds and opens the HTTP servers. `checks` returns the health by part."""

    frame: AppContext
    outgoing: OutboundSide
    incoming: InboundSide
    checks: Callable[[], Mapping[str, bool]]
    status: Answer
    reload: Answer

    async def start_tracker(self) -> Tracker | None:
        """Open the event sink, and the tracker if it has an address."""
        frame, settings = self.frame, self.frame.settings()
        spool = Spool(settings.server.data_dir / "spool")
        sink = EventSink(frame.store.events, spool, frame.observer.publish, log=frame.log)
        await sink.start()
        frame.stack.push_async_callback(sink.close)
        if not settings.tracker.address:
            return None

        tracker = Tracker(
            self.outgoing.keyring,
            sink,
            trusted_proxies=settings.tracker.trusted_proxies,
            checks=self.checks,
            confirm=self.incoming.verifier.confirm_link,
            is_unsubscribed=frame.store.unsubscribes.has_left,
            pixel_delay=lambda: PIXEL_DELAY if frame.observer.mail_in_flight() else 0.0,
        )
        await tracker.start(settings.tracker.host, settings.tracker.port)
        frame.stack.push_async_callback(tracker.stop)
        return tracker

    async def start_admin(self) -> None:
        """Open the admin API, and the configured listeners of the dashboard and the metrics."""
        settings, exposition = self.frame.settings(), self.frame.observer.metrics.exposition
        admin = self._server(AdminServer(application(*self._admin_routes())))
        await admin.start_unix(settings.server.data_dir / settings.admin.socket)
        if settings.admin.address:
            app = dashboard(self._dashboard_routes(), settings.admin.secret.get_secret_value())
            server = self._server(AdminServer(app))
            await server.start_tcp(settings.admin.host, settings.admin.port)
        if settings.metrics.address:
            exporter = self._server(AdminServer(metrics_application(exposition)))
            await exporter.start_tcp(settings.metrics.host, settings.metrics.port)

    def provider_routes(self) -> ProviderRoutes:
        """Return the routes of providers."""
        frame, runner = self.frame, self.outgoing.runner
        return ProviderRoutes(
            settings=frame.settings,
            store=frame.store.queue,
            entries=frame.store.queue,
            limits=frame.store.limits,
            clock=frame.clock,
            new_id=frame.new_id,
            publish=frame.observer.publish,
            pauses=runner.pauses,
            end_pause=runner.resume,
            wake=runner.wake,
        )

    def _server(self, server: AdminServer) -> AdminServer:
        """Stop the server together with the relay."""
        self.frame.stack.push_async_callback(server.stop)
        return server

    def _admin_routes(self) -> Sequence[Sequence[web.RouteDef]]:
        frame, store = self.frame, self.frame.store
        queue = QueueRoutes(
            store=store.queue,
            stories=store.reports,
            limits=store.limits,
            clock=frame.clock,
            publish=frame.observer.publish,
            wake=self.outgoing.runner.wake,
        )
        return [
            ServerRoutes(status=self.status, reload=self.reload, metrics=frame.observer.metrics.exposition).table(),
            queue.table(),
            DomainRoutes(self.outgoing.signing).table(),
            IdentityRoutes(self.incoming.verifier, store.limits).table(),
            NodeRoutes(store.nodes).table(),
            self.provider_routes().table(),
            ReportRoutes(store.reports, store.reports, store.reports).table(),
            SuppressionRoutes(store.suppressions, frame.clock).table(),
            UnsubscribeRoutes(store.unsubscribes, frame.clock).table(),
        ]

    def _dashboard_routes(self) -> DashboardRoutes:
        frame = self.frame
        return DashboardRoutes(
            hostname=frame.settings().server.hostname,
            stories=frame.store.reports,
            reports=frame.store.reports,
            engagement=frame.store.reports,
            last_hour=lambda: frame.observer.last_hour.sums(frame.clock()),
            pauses=self.outgoing.runner.pauses,
            status=self.status,
            clock=frame.clock,
        )
