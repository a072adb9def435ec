"""Builds the parts that send mail: keys, renderers, delivery, queue runner, alert mailer."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from relay.app.alert_mailer import AlertMailer
from relay.app.context import AppContext
from relay.app.identity_pauses import IdentityPauses
from relay.app.oauth import open_oauth
from relay.app.operator_pauses import OperatorPauses
from relay.app.simulation import Simulation
from relay.app.timed_delivery import TimedDelivery, TimedRenderer
from relay.app.wait_explainer import WaitExplainer
from relay.clock import steady_clock
from relay.config.digest import settings_digest
from relay.config.sites import merge_sites, shipped_sites
from relay.delivery.connect import TlsContexts
from relay.delivery.delivery_journal import JOURNAL_FILE, DeliveryJournalFile
from relay.delivery.next_hop import NextHopResolver
from relay.delivery.simulated_delivery import SimulatedDelivery
from relay.delivery.smtp_delivery import SmtpDelivery
from relay.domains.relay_keys import Keys
from relay.domains.signing_keys import SigningKeys
from relay.mail.received import helo_in
from relay.mailauth.sender_authentication import prove_sender
from relay.oauth.service import OAuthService
from relay.queue.context import QueueContext
from relay.queue.earlier_slots import SlotAdvancer
from relay.queue.message import ClaimedBatch
from relay.queue.nodes import full_share
from relay.queue.ports import JournalRecord, QueueAdminStore
from relay.queue.runner import Runner
from relay.queue.settler import Settler
from relay.queue.site_rates import SiteRates
from relay.render.pool import make_renderer
from relay.render.renderer import MonitoredRenderer
from relay.resolver import Resolver
from relay.rewrite.tokens import Keyring
from relay.suppression.exclusion import Exclusion
from relay.tracker.monitor import TrackingMonitor


@dataclass(frozen=True, slots=True)
class OutboundParts:
    """The parts that send mail."""

    resolver: Resolver
    exclusion: Exclusion
    signing: SigningKeys
    monitor: TrackingMonitor
    runner: Runner
    advancer: SlotAdvancer
    alerts: AlertMailer
    identity_pauses: IdentityPauses
    operator_pauses: OperatorPauses
    explainer: WaitExplainer
    oauth: OAuthService
    simulation: Simulation


async def open_outbound_parts(
    context: AppContext,
    keys: Keys,
    *,
    time_left: Callable[[], float],
    ended: Callable[[asyncio.Task[None]], None],
) -> OutboundParts:
    """Open all parts and run the queue.

    `time_left` returns the seconds for in-flight attempts when the relay stops. `ended` is called with the task of the
    runner when it ends.
    """
    resolver = context.new_resolver()
    exclusion = Exclusion(context.store.suppressions, context.store.unsubscribes)

    monitor = _tracking_monitor(context, lambda: signing.keyring())  # noqa: PLW0108  `signing` follows.
    signing, renderer = await _start_renderer(context, keys, monitor)
    oauth = open_oauth(context, signing.keyring)
    simulation = _open_simulation(context)
    queue_context = await _recovered_queue(context, resolver, exclusion, renderer, signing.keyring, oauth, simulation)
    runner = await _start_runner(context, queue_context, time_left, ended)
    advancer = SlotAdvancer(
        queue_context, context.store.queue, pauses=runner.shared_pauses.lanes, wake=runner.wake, log=context.log
    )
    identity_pauses = _identity_pauses(context, runner)
    return OutboundParts(
        resolver,
        exclusion,
        signing,
        monitor,
        runner,
        advancer,
        _alert_mailer(context, runner),
        identity_pauses,
        OperatorPauses(runner.shared_pauses, identity_pauses, context.log, context.clock),
        _explainer(context, queue_context, runner, resolver),
        oauth,
        simulation,
    )


def _open_simulation(context: AppContext) -> Simulation:
    simulation = Simulation(context)
    context.stack.push_async_callback(simulation.close)
    return simulation


async def _start_renderer(
    context: AppContext, keys: Keys, monitor: TrackingMonitor
) -> tuple[SigningKeys, MonitoredRenderer]:
    """Start the renderer with the keys in force, which it gets whenever they change."""
    renderer = make_renderer(context.settings().render, keys, context.observer, monitor.why_down)
    signing = _signing_keys(context, keys, renderer)
    await signing.start()
    renderer.use(signing.in_force())
    await renderer.start()
    context.stack.push_async_callback(renderer.stop)
    return signing, renderer


def _identity_pauses(context: AppContext, runner: Runner) -> IdentityPauses:
    shared, observer = runner.shared_pauses, context.observer
    observer.metrics.identities_paused.set_function(lambda: len(shared.identities()))
    return IdentityPauses(shared, context.store.outcomes, observer, context.clock)


def _explainer(context: AppContext, queue_context: QueueContext, runner: Runner, resolver: Resolver) -> WaitExplainer:
    tls_contexts = TlsContexts()
    return WaitExplainer(
        lanes=runner.lanes,
        pauses=runner.shared_pauses,
        rates=queue_context.rates,
        entries=context.store.queue,
        share=lambda: context.store.nodes.share,
        profiles=lambda: merge_sites(context.settings().sites, shipped_sites()),
        store_fault=context.observer.store_fault,
        next_hops=lambda: NextHopResolver(context.settings(), resolver, tls_contexts),
        clock=context.clock,
    )


def _signing_keys(context: AppContext, keys: Keys, renderer: MonitoredRenderer) -> SigningKeys:
    return SigningKeys(
        keys,
        settings=context.settings,
        store=context.store.domains,
        resolver=context.new_resolver,
        use=renderer.use,
        clock=context.clock,
        jitter=_random_jitter(),
        log=context.log,
        alert=context.alert,
    )


def _tracking_monitor(context: AppContext, keyring: Callable[[], Keyring]) -> TrackingMonitor:
    return TrackingMonitor(
        settings=context.settings,
        keyring=keyring,
        resolver=context.new_resolver,
        memory=context.store.domains,
        metrics=context.observer.metrics,
        log=context.log,
        clock=context.clock,
        alert=context.alert,
    )


async def _recovered_queue(
    context: AppContext,
    resolver: Resolver,
    exclusion: Exclusion,
    renderer: MonitoredRenderer,
    keyring: Callable[[], Keyring],
    oauth: OAuthService,
    simulation: Simulation,
) -> QueueContext:
    """Open delivery and its journal, and settle the recorded deliveries."""
    path = context.settings().server.data_dir / JOURNAL_FILE
    journal, recorded = DeliveryJournalFile.open(path, context.observer.journal_failing)
    context.stack.callback(journal.close)
    rates = SiteRates(lambda: context.store.nodes.share)
    queue_context = QueueContext(
        settings=context.settings,
        bounce_policy=context.bounce_policy,
        store=context.store.queue,
        entries=context.store.queue,
        pauses=context.store.pauses,
        sites=context.store.sites,
        rates=rates,
        provider_digest=lambda name: settings_digest(context.settings().provider(name), keyring().keys[0][1]),
        nodes=context.store.nodes,
        limits=context.store.limits,
        exclusion=exclusion,
        journal=journal,
        delivery=_open_delivery(context, resolver, journal, rates, oauth, simulation),
        renderer=TimedRenderer(renderer, context.observer.metrics.durations, steady_clock),
        clock=context.clock,
        steady=steady_clock,
        jitter=_random_jitter(),
        new_id=context.new_id,
        publish=context.observer.publish,
        watch=context.observer,
        prove_sender=partial(_prove_sender, resolver, context.store.queue),
    )

    await _recover(context, queue_context, journal, recorded)
    return queue_context


async def _prove_sender(resolver: Resolver, entries: QueueAdminStore, claimed: ClaimedBatch) -> bool:
    message, content = claimed.message, claimed.content
    if not isinstance(content, bytes):
        content = await entries.content(message.queue_id) or content.head
    helo = helo_in(message.policy.added_fields)
    return await prove_sender(resolver, content, message.client, helo, message.reverse_path)


async def _recover(
    context: AppContext,
    queue_context: QueueContext,
    journal: DeliveryJournalFile,
    recorded: Sequence[JournalRecord],
) -> None:
    """Settle the recorded deliveries before the runner claims entries, so that they are not sent again."""
    recovered = await Settler(queue_context).recover(recorded)
    journal.clear()
    if recovered.waiting or recovered.delivered:
        context.log("queue.recovered", entries=recovered.waiting, delivered=recovered.delivered)


def _open_delivery(
    context: AppContext,
    resolver: Resolver,
    journal: DeliveryJournalFile,
    rates: SiteRates,
    oauth: OAuthService,
    simulation: Simulation,
) -> SimulatedDelivery:
    real, simulator = (
        SmtpDelivery(
            context.settings,
            resolver,
            journal=journal,
            observer=context.observer,
            clock=context.clock,
            share=full_share if receiver else rates.connections,
            steady=steady_clock,
            tokens=oauth,
            receiver=receiver,
        )
        for receiver in (None, simulation.connect)
    )
    for one in (real, simulator):
        context.stack.push_async_callback(one.close)
    timed = TimedDelivery(real, context.observer.metrics.durations, steady_clock)
    return SimulatedDelivery(timed, simulator, context.store.sent_copies, context.clock)


async def _start_runner(
    context: AppContext,
    queue_context: QueueContext,
    time_left: Callable[[], float],
    ended: Callable[[asyncio.Task[None]], None],
) -> Runner:
    runner = Runner(queue_context, context.wake, context.settings().server.data_dir)
    # A provider that refused the account before the restart is not asked again before its pause ends.
    await runner.shared_pauses.load()
    await runner.shared_rates.load()
    running = asyncio.create_task(runner.run(), name="runner")
    running.add_done_callback(ended)

    async def stop() -> None:
        await runner.stop(time_left())
        await running

    context.stack.push_async_callback(stop)
    return runner


def _alert_mailer(context: AppContext, runner: Runner) -> AlertMailer:
    return AlertMailer(
        context.alerts,
        settings=context.settings,
        store=context.store.queue,
        stories=context.store.reports,
        clock=context.clock,
        new_id=context.new_id,
        publish=context.observer.publish,
        wake=runner.wake,
    )


def _random_jitter() -> Callable[[], float]:
    """Return a source of random numbers in [-1, 1], which spread retries and DNS checks."""
    generator = random.Random()  # noqa: S311
    return lambda: generator.uniform(-1, 1)
