"""The one place that builds everything and ties it together."""

import asyncio
import os
import random
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from relay import __version__
from relay.accept import Accept, Door, Reception
from relay.admin.api import Desk, application
from relay.admin.dashboard.views import Board, dashboard
from relay.admin.providers import ProviderTools, resume_changed
from relay.admin.server import AdminServer, metrics_application
from relay.alerts import Alerts, AlertTools
from relay.clock import Clock, steady_clock, system_clock
from relay.config import Settings, check
from relay.config.settings import Listener
from relay.delivery.client import SmtpDelivery
from relay.delivery_journal import JOURNAL_FILE, FileJournal
from relay.dsn.classify import RulesError
from relay.events.sink import EventSink
from relay.events.spool import Spool
from relay.housekeeping import Housekeeping, depth_by_state
from relay.http_tracker import Tracker
from relay.inbound.door import InboundDoor
from relay.inbound.imap import Poller
from relay.inbound.imap_place import PLACE_FILE
from relay.inbound.intake import Intake
from relay.keystore import read_all
from relay.log import Emit, open_log
from relay.mail.queue_id import RANDOM_SPACE, queue_id
from relay.mail.session import ListenerKind
from relay.observer import Observer
from relay.queue.alert_mail import Alert
from relay.queue.judge import Judge
from relay.queue.runner import Runner
from relay.queue.settler import Settler
from relay.queue.tools import Tools
from relay.render import Keys
from relay.render_pool import make_renderer
from relay.resolver import Resolver
from relay.rewrite.tokens import Keyring
from relay.rulebook import read_rules
from relay.sign.keys import KeyFaultError
from relay.signing import Signing, SigningTools
from relay.smtp.resources import Resources
from relay.smtp_in import SmtpServer, tls_context
from relay.storage.choice import AnyStore, open_store
from relay.storage.domain_watch import DomainWatchTable
from relay.storage.engagement import EngagementTable
from relay.storage.verifications import VerificationTable
from relay.supervisor import Supervisor
from relay.suppression.exclusion import Exclusion
from relay.tracking_guard import GuardedRenderer, GuardTools, TrackingGuard
from relay.verification.copies import Copies
from relay.verification.door import CopyDoor
from relay.verification.proven import Proven
from relay.verification.tools import Tools as VerificationTools
from relay.verification.tools import submitting
from relay.verification.verifier import Verifier

DRAIN = 25.0
"""Seconds that transactions in hand have to end after SIGTERM."""

RECEIVING_DRAIN = 10.0
"""Seconds of these for mail coming in, which its sender still has; mail going out would be delivered twice."""

RESTART_NEEDED = ("server", "listeners", "storage", "tracker", "admin", "metrics", "render", "log", "resolver")
"""Sections a reload cannot switch; the log names those that changed."""


class App:
    """One running relay."""

    def __init__(self, settings: Settings, config: Path | None = None, *, clock: Clock = system_clock) -> None:
        self._settings = settings
        self._config = config
        self._clock = clock
        self._serial = random.SystemRandom().randrange(RANDOM_SPACE)
        self._stack = AsyncExitStack()
        self._stopped_by = 0.0
        self._servers: dict[str, SmtpServer] = {}
        self.broken = asyncio.Event()
        """Set when the queue's runner ended: the process must end and be started again."""
        settings.server.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.log: Emit = open_log(settings.log_file, settings.log.format, settings.log.level)
        self.observer = Observer(self.log, clock)

    def settings(self) -> Settings:
        """Return the settings in force."""
        return self._settings

    def keyring(self) -> Keyring:
        """Return the keys of links and signed addresses."""
        return self.signing.keyring()

    def judge(self) -> Judge:
        """Return what understands replies, by the rules and the threshold in force."""
        return Judge(self._rules, self._settings.bounces.threshold)

    def port(self, listener: str) -> int:
        """Return the port a listener got."""
        return self._servers[listener].port

    def new_id(self, now: float) -> str:
        """Return a queue id nobody has."""
        self._serial += 1
        return queue_id(now, self._serial)

    async def start(self) -> None:
        """Open everything; what was opened before a failure is closed again."""
        settings = self._settings
        try:
            await self._open(settings)
        except BaseException:
            await self._stack.aclose()
            raise
        self.log(
            "server.started",
            version=__version__,
            listeners={name: server.port for name, server in self._servers.items()},
            tracker=self.tracker.port if self.tracker else None,
        )

    async def _open(self, settings: Settings) -> None:
        keys = read_all(settings, self.log)
        self._rules = await asyncio.to_thread(read_rules, self._config)
        self.store = await self._open_store(settings)
        self._exclusion = Exclusion(self.store, self.store.unsubscribe_list)
        await self._start_verification()
        await self._start_signing(keys)
        await self._start_queue(settings)
        self.verifier = self._make_verifier()
        self.tracker = await self._start_tracker(settings)
        if settings.tracker.guard:
            await self.guard.start()
            self._stack.push_async_callback(self.guard.stop)
        await self._start_admin(settings)
        self._resources = Resources(settings.server.data_dir)
        self._stack.push_async_callback(self._stop_smtp)
        for listener in settings.listeners:
            self._servers[listener.name] = self._make_smtp(listener)
        for server in self._servers.values():
            await server.start()
        self._keep_working(settings)

    def _keep_working(self, settings: Settings) -> None:
        """Start the parts that work by themselves."""
        supervisor = Supervisor(self.log)
        self._stack.push_async_callback(supervisor.stop)
        place = settings.server.data_dir / PLACE_FILE
        supervisor.keep("imap", Poller(self.settings, place, self.intake.take, self.log).run)
        supervisor.keep("housekeeping", Housekeeping(self.settings, self.store, self.observer, self._clock).run)
        supervisor.keep("domain watch", self.signing.watch.run)

    async def _open_store(self, settings: Settings) -> AnyStore:
        store = await open_store(settings, self._clock(), self.log)
        self._stack.push_async_callback(store.close)
        return store

    async def _start_verification(self) -> None:
        self.verifications = VerificationTable(self.store)
        sources = (self.verifications.proven, DomainWatchTable(self.store).verified_domains)
        self.proven = Proven(sources, self.observer.store_trouble)
        await self.proven.load()
        keeping = asyncio.create_task(self.proven.keep_fresh(), name="proven")
        self._stack.callback(keeping.cancel)

    def _make_verifier(self) -> Verifier:
        tools = VerificationTools(
            settings=self.settings,
            keyring=self.keyring,
            store=self.verifications,
            stories=self.store,
            resolver=self._fresh_resolver,
            forget_dns=self._resolver.forget,
            clock=self._clock,
            new_id=self.new_id,
            submit=submitting(self._make_accept()),
        )
        return Verifier(tools, self.proven, self.log)

    def _fresh_resolver(self) -> Resolver:
        return Resolver(self._settings.resolver.endpoints)

    async def _start_signing(self, keys: Keys) -> None:
        table = DomainWatchTable(self.store)
        dice = random.Random()  # noqa: S311 - spreads look-ups, keeps no secret
        tools = SigningTools(
            settings=self.settings,
            store=table,
            use=self._render_with,
            clock=self._clock,
            jitter=lambda: dice.uniform(-1, 1),
            log=self.log,
            alert=self._alert,
        )
        self.signing = Signing(tools, keys)
        await self.signing.start()
        self.guard = TrackingGuard(
            GuardTools(
                self.settings, self.keyring, table, self.observer.metrics, self.log, self._clock, alert=self._alert
            )
        )

    def _render_with(self, keys: Keys) -> None:
        self.renderer.use(keys)

    async def _start_queue(self, settings: Settings) -> None:
        self.renderer = make_renderer(settings.render, self.signing.in_force(), self.observer.render_failed)
        await self.renderer.start()
        self._stack.push_async_callback(self.renderer.stop)
        self._resolver = self._fresh_resolver()
        delivery = SmtpDelivery(self.settings, self._resolver, share=self.store.part)
        self.store.leave_to_others(lambda lane: not self.store.part(lane, delivery.connections(lane)))
        self._stack.push_async_callback(delivery.close)
        dice = random.Random()  # noqa: S311 - spreads retries, keeps no secret
        journal, noted = FileJournal.open(settings.server.data_dir / JOURNAL_FILE, self.observer.journal_failing)
        self._stack.callback(journal.close)
        tools = Tools(
            settings=self.settings,
            judge=self.judge,
            store=self.store,
            limits=self.store,
            exclusion=self._exclusion,
            journal=journal,
            delivery=delivery,
            renderer=GuardedRenderer(self.renderer, self.guard),
            clock=self._clock,
            steady=steady_clock,
            jitter=lambda: dice.uniform(-1, 1),
            new_id=self.new_id,
            publish=self.observer.publish,
            watch=self.observer,
        )
        recovered = await Settler(tools).recover(noted)
        journal.clear()
        if recovered.waiting or recovered.delivered:
            self.log("queue.recovered", entries=recovered.waiting, delivered=recovered.delivered)
        self.runner = Runner(tools)
        self.store.on_work = self.runner.wake
        running = asyncio.create_task(self.runner.run(), name="runner")
        running.add_done_callback(self._runner_ended)

        async def stop() -> None:
            await self.runner.stop(self._stopped_by - asyncio.get_running_loop().time())
            await running

        self._stack.push_async_callback(stop)
        self._start_alerts()

    def _alert(self, cause: str, subject: str, text: str) -> None:
        self.observer.tell(Alert(cause, subject, text))

    def _start_alerts(self) -> None:
        self.alerts = Alerts(
            AlertTools(
                settings=self.settings,
                store=self.store,
                stories=self.store,
                clock=self._clock,
                new_id=self.new_id,
                publish=self.observer.publish,
                wake=self.runner.wake,
            )
        )
        self.observer.tell = self.alerts.send
        self._stack.callback(asyncio.create_task(self.alerts.run(), name="alerts").cancel)

    async def _start_tracker(self, settings: Settings) -> Tracker | None:
        self.intake = Intake(
            settings=self.settings,
            keyring=self.keyring,
            judge=self.judge,
            store=self.store,
            clock=self._clock,
            new_id=self.new_id,
            publish=self.observer.publish,
            wake=self.runner.wake,
            log=self.log,
        )
        self.sink = EventSink(
            self.store, Spool(settings.server.data_dir / "spool"), self.observer.publish, log=self.log
        )
        await self.sink.start()
        self._stack.push_async_callback(self.sink.close)
        if not settings.tracker.address:
            return None
        tracker = Tracker(
            self.keyring,
            self.sink,
            trusted_proxies=settings.tracker.trusted_proxies,
            checks=self.checks,
            confirm=self.verifier.follow,
            has_left=self.store.unsubscribe_list.has_left,
        )
        await tracker.start(settings.tracker.host, settings.tracker.port)
        self._stack.push_async_callback(tracker.stop)
        return tracker

    def _make_accept(self) -> Accept:
        return Accept(
            self.settings,
            self.store,
            self.store,
            self._exclusion,
            self._clock,
            self.new_id,
            self.observer.publish,
            self.runner.wake,
            self.proven,
        )

    def _make_smtp(self, listener: Listener) -> SmtpServer:
        copies = Copies(self.verifications, self._fresh_resolver, lambda: self._settings.server.hostname, self._clock)
        door = InboundDoor(self.settings, self.keyring, self._clock, self.intake)
        inbound = CopyDoor(self.keyring, copies, door)
        doors: dict[ListenerKind, Door] = {"submission": self._make_accept(), "inbound": inbound}
        reception = Reception(self.settings, doors, self.observer.store_trouble)
        context: ssl.SSLContext | None = None
        if listener.tls != "none" and listener.certificate:
            context = tls_context(listener.certificate, listener.key)
        return SmtpServer(listener, self.settings, reception, context, self.observer.smtp, resources=self._resources)

    async def _stop_smtp(self) -> None:
        await asyncio.gather(*(server.stop(RECEIVING_DRAIN) for server in self._servers.values()))

    async def _start_admin(self, settings: Settings) -> None:
        desk = Desk(
            office=self.store,
            stories=self.store,
            suppressions=self.store,
            unsubscribes=self.store.unsubscribe_list,
            reports=self.store,
            engagement=EngagementTable(self.store),
            limits=self.store,
            providers=self._provider_tools(),
            signing=self.signing,
            verifier=self.verifier,
            clock=self._clock,
            publish=self.observer.publish,
            wake=self.runner.wake,
            reload=self.reload,
            status=self.status,
            metrics=self.observer.metrics.exposition,
        )
        admin = AdminServer(application(desk))
        await admin.start_unix(settings.server.data_dir / settings.admin.socket)
        self._stack.push_async_callback(admin.stop)
        if settings.admin.address:
            await self._start_dashboard(settings, desk)
        if settings.metrics.address:
            exporter = AdminServer(metrics_application(self.observer.metrics.exposition))
            await exporter.start_tcp(settings.metrics.host, settings.metrics.port)
            self._stack.push_async_callback(exporter.stop)

    async def _start_dashboard(self, settings: Settings, desk: Desk) -> None:
        board = Board(
            hostname=settings.server.hostname,
            secret=settings.admin.secret.get_secret_value(),
            desk=desk,
            last_hour=lambda: self.observer.last_hour.sums(self._clock()),
        )
        server = AdminServer(dashboard(board))
        await server.start_tcp(settings.admin.host, settings.admin.port)
        self._stack.push_async_callback(server.stop)

    def _provider_tools(self) -> ProviderTools:
        return ProviderTools(
            settings=self.settings,
            store=self.store,
            office=self.store,
            limits=self.store,
            clock=self._clock,
            new_id=self.new_id,
            publish=self.observer.publish,
            pauses=self.runner.pauses,
            resume=self.runner.resume,
            wake=self.runner.wake,
        )

    async def stop(self) -> None:
        """Take nothing more, let transactions in hand end, write what waits, close everything."""
        self._stopped_by = asyncio.get_running_loop().time() + DRAIN
        await self._stack.aclose()
        self.log("server.stopped")

    async def reload(self) -> Mapping[str, object]:
        """Check the configuration and switch to it; keep the old one and say why on any fault."""
        if self._config is None:
            return {"faults": ["this server was started without a configuration file"]}
        new, faults, warnings = await asyncio.to_thread(check, self._config, os.environ)
        told = [str(fault) for fault in faults]
        try:
            rules = await asyncio.to_thread(read_rules, self._config)
            keys = self.signing.keys if new is None else await asyncio.to_thread(read_all, new, self.log)
        except (RulesError, KeyFaultError, OSError) as error:
            told += str(error).splitlines()
        if new is None or told:
            self.log("config.rejected", faults=told)
            return {"faults": told}
        for warning in warnings:
            self.log("config.warning", warning=str(warning))
        changed = [name for name in type(new).model_fields if getattr(new, name) != getattr(self._settings, name)]
        restart = [name for name in changed if name in RESTART_NEEDED]
        await self.signing.switch(new, keys)
        before, self._settings, self._rules = self._settings, new, rules
        self.runner.wake()
        self.log("config.reloaded", changed=changed, restart_needed=restart)
        await resume_changed(self._provider_tools(), before)
        return {"changed": changed, "restart_needed": restart}

    def checks(self) -> Mapping[str, bool]:
        """Return what works, for /healthz and `relay status`."""
        return {**self.observer.checks(), **self.guard.checks()}

    async def status(self) -> Mapping[str, object]:
        """Return version, health and the queue's depth."""
        depth = await depth_by_state(self.store)
        healthy = not self.observer.in_trouble.is_set()
        return {"version": __version__, "healthy": healthy, "checks": self.checks(), "queue": depth}

    def _runner_ended(self, running: asyncio.Task[None]) -> None:
        """A queue without its runner is a relay that only looks alive: end, and be started again."""
        if not running.cancelled() and (error := running.exception()) is not None:
            self.log("server.broken", error=repr(error))
            self.broken.set()
