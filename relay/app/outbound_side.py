"""Builds the parts that send mail: keys, renderers, delivery, queue runner, alert mailer."""

import asyncio
import random
from collections.abc import Callable

from relay.app.alerts import AlertMailer
from relay.app.context import AppContext
from relay.clock import steady_clock
from relay.delivery.journal import JOURNAL_FILE, DeliveryJournalFile
from relay.delivery.smtp_delivery import SmtpDelivery
from relay.domains.keys import Keys
from relay.domains.signing_keys import SigningKeys
from relay.queue.context import QueueContext
from relay.queue.runner import Runner
from relay.queue.settler import Settler
from relay.render.pool import make_renderer
from relay.rewrite.tokens import Keyring
from relay.suppression.exclusion import Exclusion
from relay.tracker.monitor import TrackingMonitor


class OutboundSide:
    """The parts that send mail. `time_left` returns the seconds for in-flight attempts when the relay stops."""

    def __init__(self, frame: AppContext, keys: Keys, time_left: Callable[[], float]) -> None:
        self._frame = frame
        self._time_left = time_left
        self.resolver = frame.new_resolver()
        self.exclusion = Exclusion(frame.store.suppressions, frame.store.unsubscribes)
        self.signing = SigningKeys(
            keys,
            settings=frame.settings,
            store=frame.store.domains,
            resolver=frame.new_resolver,
            use=self._render_with,
            clock=frame.clock,
            jitter=_random_jitter(),
            log=frame.log,
            alert=frame.alert,
        )
        self.guard = TrackingMonitor(
            settings=frame.settings,
            keyring=self.keyring,
            resolver=frame.new_resolver,
            memory=frame.store.domains,
            metrics=frame.observer.metrics,
            log=frame.log,
            clock=frame.clock,
            alert=frame.alert,
        )

    def keyring(self) -> Keyring:
        """Return the keys of links and signed addresses."""
        return self.signing.keyring()

    async def start(self, ended: Callable[[asyncio.Task[None]], None]) -> None:
        """Open all parts and run the queue; `ended` is called with the task of the runner when it ends."""
        frame, settings = self._frame, self._frame.settings()
        await self.signing.start()
        self.renderer = make_renderer(settings.render, self.signing.in_force(), frame.observer, self.guard.why_down)
        await self.renderer.start()
        frame.stack.push_async_callback(self.renderer.stop)

        journal, recorded = DeliveryJournalFile.open(
            settings.server.data_dir / JOURNAL_FILE, frame.observer.journal_failing
        )
        frame.stack.callback(journal.close)

        delivery = SmtpDelivery(
            frame.settings,
            self.resolver,
            journal=journal,
            observer=frame.observer,
            clock=frame.clock,
            share=self._share,
        )
        frame.store.queue.leave_to_others(lambda lane: not self._share(lane, delivery.connections(lane)))
        frame.stack.push_async_callback(delivery.close)

        # Recorded deliveries are settled before the runner claims entries, so that they are not sent again.
        context = self._queue_context(delivery, journal)
        recovered = await Settler(context).recover(recorded)
        journal.clear()
        if recovered.waiting or recovered.delivered:
            frame.log("queue.recovered", entries=recovered.waiting, delivered=recovered.delivered)

        self.runner = Runner(context)
        frame.store.on_work = self.runner.wake
        running = asyncio.create_task(self.runner.run(), name="runner")
        running.add_done_callback(ended)

        async def stop() -> None:
            await self.runner.stop(self._time_left())
            await running

        frame.stack.push_async_callback(stop)
        self._start_alerts()

    def _queue_context(self, delivery: SmtpDelivery, journal: DeliveryJournalFile) -> QueueContext:
        frame = self._frame
        return QueueContext(
            settings=frame.settings,
            bounce_policy=frame.bounce_policy,
            store=frame.store.queue,
            limits=frame.store.limits,
            exclusion=self.exclusion,
            journal=journal,
            delivery=delivery,
            renderer=self.renderer,
            clock=frame.clock,
            steady=steady_clock,
            jitter=_random_jitter(),
            new_id=frame.new_id,
            publish=frame.observer.publish,
            watch=frame.observer,
        )

    def _start_alerts(self) -> None:
        frame = self._frame
        alerts = AlertMailer(
            settings=frame.settings,
            store=frame.store.queue,
            stories=frame.store.reports,
            clock=frame.clock,
            new_id=frame.new_id,
            publish=frame.observer.publish,
            wake=self.runner.wake,
        )
        frame.observer.send_alert = alerts.send
        frame.stack.callback(asyncio.create_task(alerts.run(), name="alerts").cancel)

    def _share(self, lane: str, most: int) -> int:
        """Return how many of a lane's connections this node may have now."""
        return self._frame.store.nodes.share.of(lane, most)

    def _render_with(self, keys: Keys) -> None:
        self.renderer.use(keys)


def _random_jitter() -> Callable[[], float]:
    """Return a source of random numbers in [-1, 1], which spread retries and DNS checks."""
    generator = random.Random()  # noqa: S311
    return lambda: generator.uniform(-1, 1)
