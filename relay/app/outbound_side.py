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

    def __init__(self, context: AppContext, keys: Keys, time_left: Callable[[], float]) -> None:
        self._context = context
        self._time_left = time_left
        self.resolver = context.new_resolver()
        self.exclusion = Exclusion(context.store.suppressions, context.store.unsubscribes)

        self.signing = SigningKeys(
            keys,
            settings=context.settings,
            store=context.store.domains,
            resolver=context.new_resolver,
            use=self._render_with,
            clock=context.clock,
            jitter=_random_jitter(),
            log=context.log,
            alert=context.alert,
        )

        self.monitor = TrackingMonitor(
            settings=context.settings,
            keyring=self.keyring,
            resolver=context.new_resolver,
            memory=context.store.domains,
            metrics=context.observer.metrics,
            log=context.log,
            clock=context.clock,
            alert=context.alert,
        )

    def keyring(self) -> Keyring:
        """Return the keys of links and signed addresses."""
        return self.signing.keyring()

    async def start(self, ended: Callable[[asyncio.Task[None]], None]) -> None:
        """Open all parts and run the queue; `ended` is called with the task of the runner when it ends."""
        context, settings = self._context, self._context.settings()
        await self.signing.start()
        self.renderer = make_renderer(settings.render, self.signing.in_force(), context.observer, self.monitor.why_down)
        await self.renderer.start()
        context.stack.push_async_callback(self.renderer.stop)

        journal, recorded = DeliveryJournalFile.open(
            settings.server.data_dir / JOURNAL_FILE, context.observer.journal_failing
        )
        context.stack.callback(journal.close)

        delivery = SmtpDelivery(
            context.settings,
            self.resolver,
            journal=journal,
            observer=context.observer,
            clock=context.clock,
            share=self._share,
        )
        context.stack.push_async_callback(delivery.close)

        # Recorded deliveries are settled before the runner claims entries, so that they are not sent again.
        queue_context = self._queue_context(delivery, journal)
        recovered = await Settler(queue_context).recover(recorded)
        journal.clear()
        if recovered.waiting or recovered.delivered:
            context.log("queue.recovered", entries=recovered.waiting, delivered=recovered.delivered)

        self.runner = Runner(queue_context, context.wake)
        running = asyncio.create_task(self.runner.run(), name="runner")
        running.add_done_callback(ended)

        async def stop() -> None:
            await self.runner.stop(self._time_left())
            await running

        context.stack.push_async_callback(stop)
        self._start_alerts()

    def _queue_context(self, delivery: SmtpDelivery, journal: DeliveryJournalFile) -> QueueContext:
        context = self._context
        return QueueContext(
            settings=context.settings,
            bounce_policy=context.bounce_policy,
            store=context.store.queue,
            nodes=context.store.nodes,
            limits=context.store.limits,
            exclusion=self.exclusion,
            journal=journal,
            delivery=delivery,
            renderer=self.renderer,
            clock=context.clock,
            steady=steady_clock,
            jitter=_random_jitter(),
            new_id=context.new_id,
            publish=context.observer.publish,
            watch=context.observer,
        )

    def _start_alerts(self) -> None:
        context = self._context
        alerts = AlertMailer(
            context.alerts,
            settings=context.settings,
            store=context.store.queue,
            stories=context.store.reports,
            clock=context.clock,
            new_id=context.new_id,
            publish=context.observer.publish,
            wake=self.runner.wake,
        )
        context.stack.callback(asyncio.create_task(alerts.run(), name="alerts").cancel)

    def _share(self, lane: str, most: int) -> int:
        """Return how many of a lane's connections this node may have now."""
        return self._context.store.nodes.share.of(lane, most)

    def _render_with(self, keys: Keys) -> None:
        self.renderer.use(keys)


def _random_jitter() -> Callable[[], float]:
    """Return a source of random numbers in [-1, 1], which spread retries and DNS checks."""
    generator = random.Random()  # noqa: S311
    return lambda: generator.uniform(-1, 1)
