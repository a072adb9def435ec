"""The side of HTTP: the tracker for readers; the admin API, the dashboard and the metrics for operators."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from relay.admin.api import Desk, application
from relay.admin.dashboard.routes import Board, dashboard
from relay.admin.providers import ProviderTools
from relay.admin.server import AdminServer, metrics_application
from relay.app.context import AppContext
from relay.app.inbound_side import InboundSide
from relay.app.outbound_side import OutboundSide
from relay.events.sink import EventSink
from relay.events.spool import Spool
from relay.http_tracker import Tracker
from relay.storage.report_queries import EngagementTable

MAIL_FIRST = 0.005
"""Seconds that pixels wait for one another while mail is under way, so that most of the time is the mail's."""


Answer = Callable[[], Awaitable[Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class HttpSide:
    """Builds and opens the HTTP servers. `checks` tells what works, `status` and `reload` are the app's."""

    frame: AppContext
    outgoing: OutboundSide
    incoming: InboundSide
    checks: Callable[[], Mapping[str, bool]]
    status: Answer
    reload: Answer

    async def start_tracker(self) -> Tracker | None:
        """Open the sink of events, and the tracker where there is an address for it."""
        frame, settings = self.frame, self.frame.settings()
        spool = Spool(settings.server.data_dir / "spool")
        sink = EventSink(frame.store, spool, frame.observer.publish, log=frame.log)
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
            is_unsubscribed=frame.store.unsubscribe_list.has_left,
            pixel_delay=lambda: MAIL_FIRST if frame.observer.mail_is_under_way() else 0.0,
        )
        await tracker.start(settings.tracker.host, settings.tracker.port)
        frame.stack.push_async_callback(tracker.stop)
        return tracker

    async def start_admin(self) -> None:
        """Open the admin API, and the dashboard and the metrics where there are addresses for them."""
        settings, exposition = self.frame.settings(), self.frame.observer.metrics.exposition
        desk = self._desk()
        admin = self._server(AdminServer(application(desk)))
        await admin.start_unix(settings.server.data_dir / settings.admin.socket)
        if settings.admin.address:
            board = self._server(AdminServer(dashboard(self._board(desk))))
            await board.start_tcp(settings.admin.host, settings.admin.port)
        if settings.metrics.address:
            exporter = self._server(AdminServer(metrics_application(exposition)))
            await exporter.start_tcp(settings.metrics.host, settings.metrics.port)

    def provider_tools(self) -> ProviderTools:
        """Return what operators' questions about providers need."""
        frame, runner = self.frame, self.outgoing.runner
        return ProviderTools(
            settings=frame.settings,
            store=frame.store,
            office=frame.store,
            limits=frame.store,
            clock=frame.clock,
            new_id=frame.new_id,
            publish=frame.observer.publish,
            pauses=runner.pauses,
            resume=runner.resume,
            wake=runner.wake,
        )

    def _server(self, server: AdminServer) -> AdminServer:
        """Have the server stopped with the rest."""
        self.frame.stack.push_async_callback(server.stop)
        return server

    def _board(self, desk: Desk) -> Board:
        frame, settings = self.frame, self.frame.settings()
        return Board(
            hostname=settings.server.hostname,
            secret=settings.admin.secret.get_secret_value(),
            desk=desk,
            last_hour=lambda: frame.observer.last_hour.sums(frame.clock()),
        )

    def _desk(self) -> Desk:
        frame = self.frame
        return Desk(
            office=frame.store,
            stories=frame.store,
            suppressions=frame.store,
            unsubscribes=frame.store.unsubscribe_list,
            reports=frame.store,
            engagement=EngagementTable(frame.store),
            limits=frame.store,
            nodes=frame.store,
            providers=self.provider_tools(),
            signing=self.outgoing.signing,
            verifier=self.incoming.verifier,
            clock=frame.clock,
            publish=frame.observer.publish,
            wake=self.outgoing.runner.wake,
            reload=self.reload,
            status=self.status,
            metrics=frame.observer.metrics.exposition,
        )
