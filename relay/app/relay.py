"""One relay: builds its parts, starts, reloads and stops them."""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from relay import __version__
from relay.app.alert_mailer import AlertQueue
from relay.app.configuration import Configuration
from relay.app.context import AppContext
from relay.app.data_dir import prepare_data_dir
from relay.app.event_sink import open_event_sink
from relay.app.http_sockets import open_http_sockets
from relay.app.maintenance import depth_by_state
from relay.app.observer import Observer
from relay.app.open_files import raise_file_limit
from relay.app.outbound_parts import OutboundParts, open_outbound_parts
from relay.app.smtp_listeners import SmtpListeners
from relay.app.submission_parts import SubmissionParts, open_submission_parts
from relay.app.tallies import open_tallies
from relay.clock import Clock, system_clock
from relay.config import Settings
from relay.domains.key_files import load_keys
from relay.domains.relay_keys import Keys
from relay.events.ports import StoreError
from relay.log import open_log
from relay.mail.queue_id import KeyedNumbers, QueueIds
from relay.queue.bounce_policy import BouncePolicy
from relay.storage.open import open_store
from relay.storage.store import Store
from relay.webhooks.start_positions import store_start_positions

if TYPE_CHECKING:
    from relay.app.inbound_parts import InboundParts
    from relay.app.local_nodes import LocalNodes
    from relay.app.mail_parts import MailParts
    from relay.app.services import Services
    from relay.http_tracker import Tracker

DRAIN = 25.0
"""Seconds that in-flight transactions have after SIGTERM."""


class App:
    """One relay. Access to its parts before `start` raises RuntimeError."""

    def __init__(
        self, settings: Settings, config: Path | None = None, *, node: int = 0, clock: Clock = system_clock
    ) -> None:
        self.configuration = Configuration(settings, config, os.environ, node)
        self.settings: Callable[[], Settings] = partial(getattr, self.configuration, "in_force")
        """Returns the settings in effect. It is called twenty times a message: a `partial` costs less than a method."""
        settings = self.configuration.in_force
        self._node = node
        self._clock = clock
        self._queue_ids = QueueIds(KeyedNumbers(secrets.token_bytes(32)))
        self._stack = AsyncExitStack()
        self._stopped_by = 0.0
        self._listening = False
        self._services: Services | None = None
        self.broken = asyncio.Event()
        """Set if the queue runner has failed: the process must be restarted."""
        prepare_data_dir(settings.server)
        self.log = open_log(settings.log_file, settings.log.form, settings.log.level)
        self.alerts = AlertQueue(self.settings, clock)
        self.observer = Observer(self.log, clock, self.alerts.send)

    @property
    def store(self) -> Store:
        """The open store."""
        return self._started().context.store

    @property
    def listeners(self) -> SmtpListeners:
        """The listeners of mail."""
        return self._started().mail.listeners

    @property
    def inbound(self) -> "InboundParts":
        """The parts that handle received mail."""
        return self._started().mail.inbound

    @property
    def outbound(self) -> OutboundParts:
        """The parts that send mail."""
        return self._started().mail.outbound

    def _started(self) -> "Services":
        if self._services is None:
            raise RuntimeError("the relay is not started: await start() first")
        return self._services

    def bounce_policy(self) -> BouncePolicy:
        """Return the bounce policy by the rules and settings in effect."""
        settings = self.settings()
        lengths, words = settings.bounces.suppression_lengths, settings.simulator.words
        return BouncePolicy(lambda: self.configuration.rules, settings.bounces.threshold, lengths, words)

    def port(self, listener: str) -> int:
        """Return the TCP port of a listener."""
        return self.listeners.servers[listener].port

    def new_id(self, now: float) -> str:
        """Return a new queue id."""
        return self._queue_ids(now)

    async def start(self) -> None:
        """Open all parts. If one fails, or on cancellation, stop those that were opened, and raise."""
        try:
            others, tracker = await self._open(self.settings())
            if self._node:
                await self._started().reloader.catch_up(others)
        except asyncio.CancelledError:
            await self.stop()
            raise
        except BaseException:
            await self._close()  # Mail may be in flight already.
            raise
        self.log(
            "server.started",
            version=__version__,
            rewriter=self._started().rewriter,
            listeners={name: server.port for name, server in self.listeners.servers.items()},
            tracker=tracker.port if tracker else None,
        )

    async def _open(self, settings: Settings) -> tuple["LocalNodes | None", "Tracker | None"]:
        """Open the parts in order, and return the other nodes of this machine and the tracker.

        Listeners of submission open first, so that a restart interrupts them for as short as possible (decision 0064).
        """
        raise_file_limit(settings, self.log)
        keys = load_keys(settings, self.log)
        context = await self._context(settings)
        tallies = open_tallies(context)
        await context.store.suppressions.limit(settings.bounces.suppression_lengths)

        outbound = await self._outbound(context, keys)
        submission = await open_submission_parts(context, outbound)
        sink = await open_event_sink(context)
        await store_start_positions(settings.webhooks, context.store.feed, context.store.webhooks, self._clock())
        sockets = await open_http_sockets(settings, self._stack)
        services_stack = await self._stack.enter_async_context(AsyncExitStack())
        listeners = await self._listen(context, submission)

        # In a thread: mail is accepted meanwhile. The rules first, because a refusal waits for them.
        await asyncio.to_thread(lambda: self.configuration.rules)
        open_mail_parts = await asyncio.to_thread(_mail_opener)
        mail = await open_mail_parts(context, listeners, submission, outbound)
        self._listening = True

        build = await asyncio.to_thread(_services_builder)
        exposition = self.observer.metrics.exposition
        self._services = services = build(
            self, context, mail, sink, sockets, stack=services_stack, node=self._node, exposition=exposition
        )
        for fault in services.native_faults:
            self.log("server.stale_code", reason=fault)
        tracker = await services.start()
        services.start_tasks(context, tallies)
        return services.others, tracker

    async def _context(self, settings: Settings) -> AppContext:
        wake = asyncio.Event()
        store = await open_store(settings, self._clock(), self.log, wake.set, self.configuration.storage_password)
        self._stack.push_async_callback(store.close)
        durations = self.observer.metrics.durations
        store.database.measure(durations.commit.observe, durations.read.observe)
        return AppContext(
            settings=self.settings,
            bounce_policy=self.bounce_policy,
            store=store,
            observer=self.observer,
            alerts=self.alerts,
            log=self.log,
            clock=self._clock,
            new_id=self.new_id,
            wake=wake,
            stack=self._stack,
        )

    async def _outbound(self, context: AppContext, keys: Keys) -> OutboundParts:
        """Start the queue, and return the parts that send mail."""
        outbound = await open_outbound_parts(
            context,
            keys,
            time_left=lambda: self._stopped_by - asyncio.get_running_loop().time(),
            ended=self._runner_ended,
        )
        self.observer.site_of = outbound.explainer.site_name
        self.observer.metrics.deliveries.profiles = {one.name for one in outbound.explainer.profiles()}
        return outbound

    async def _listen(self, context: AppContext, submission: SubmissionParts) -> SmtpListeners:
        """Open the sockets of all listeners of mail, and accept submitted mail."""
        listeners = SmtpListeners(context, submission.credential_keys)
        self._stack.push_async_callback(listeners.stop)
        await listeners.listen()
        await listeners.serve("submission", submission.handler)
        return listeners

    async def stop(self) -> None:
        """Stop accepting mail, let in-flight transactions end, write pending events, and close all parts."""
        await self._close()
        self.log("server.stopped")

    async def _close(self) -> None:
        self._listening = False
        self._stopped_by = asyncio.get_running_loop().time() + DRAIN
        await self._stack.aclose()

    async def reload(self) -> Mapping[str, object]:
        """Check the configuration and use it. If it has faults, keep the old one and return them."""
        return await self._started().reloader.reload()

    def checks(self) -> Mapping[str, bool]:
        """Return the health of store and tracker, for /healthz and `relay status`."""
        return {**self.observer.checks(), **self.outbound.monitor.checks()}

    def readiness(self) -> Mapping[str, bool]:
        """Return whether new mail can be accepted, for /readyz: the store answers, and the listeners are open."""
        return {**self.observer.checks(), "listeners": self._listening}

    async def status(self) -> Mapping[str, object]:
        """Return version, rewriter, health, queue depth, and how the configuration file differs from the settings."""
        store = await self._store_status()
        file = await asyncio.to_thread(self.configuration.compare)
        healthy = not self.observer.store_failing.is_set() and "store" not in store
        pauses = self.outbound.runner.shared_pauses
        return {
            "version": __version__,
            "rewriter": "; ".join((self._started().rewriter, *self._started().native_faults)),
            "healthy": healthy,
            "checks": self.checks(),
            **store,
            "spool": self._started().sink.backlog.shown(self._clock()),
            "paused": sorted([*pauses.lanes(), *(one.subject for one in pauses.holds())]),
            "configuration": {"state": file.state, "changed": file.changed, "faults": file.faults},
            "restart_needed": self.configuration.restart_needed,
            "certificates": self.listeners.certificates.states(self._clock()),
        }

    async def _store_status(self) -> Mapping[str, object]:
        """Return the depth of the queue and the damaged entries, or why the store does not answer."""
        try:
            return {"queue": await depth_by_state(self.store.queue), "damaged": await self.store.queue.damaged()}
        except StoreError as error:
            return {"queue": None, "store": f"does not answer: {error}"}

    async def shown_configuration(self) -> Mapping[str, object]:
        """Return the settings in force, secrets masked, and the differences of the file, for `relay config show`."""
        return await asyncio.to_thread(self.configuration.shown)

    def _runner_ended(self, running: asyncio.Task[None]) -> None:
        """Log the failure of the queue runner, and request a restart: without it no mail is sent."""
        if not running.cancelled() and (error := running.exception()) is not None:
            self.log("server.broken", error=repr(error))
            self.broken.set()


def _mail_opener() -> Callable[..., Awaitable["MailParts"]]:
    """Import what handles inbound mail, which starts after submission. Blocks for a tenth of a second."""
    from relay.app.mail_parts import open_mail_parts

    return open_mail_parts


def _services_builder() -> Callable[..., "Services"]:
    """Import what starts after the listeners of mail. Blocks for half a second."""
    from relay.app.services import build_services

    return build_services
