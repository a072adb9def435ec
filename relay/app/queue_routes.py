"""Builds the routes of the queue, which the admin API, the API for applications and the console share."""

from collections.abc import Callable, Sequence
from functools import partial

from relay.admin.queue import QueueRoutes
from relay.app.context import AppContext
from relay.app.outbound_parts import OutboundParts
from relay.queue.changes import Changed
from relay.queue.due_dsns import dsn_sender
from relay.queue.message import NewMessage
from relay.queue.operator_actions import bounce_reports


def queue_routes(context: AppContext, outbound: OutboundParts) -> QueueRoutes:
    """Return the routes of the queue."""

    def reports(changed: Changed, content_of: Callable[[str], bytes]) -> Sequence[NewMessage]:
        settings = context.settings()
        sender, lifetime = partial(dsn_sender, settings), settings.queue.lifetime
        now = context.clock()
        return bounce_reports(changed, content_of, sender=sender, new_id=context.new_id, now=now, lifetime=lifetime)

    return QueueRoutes(
        store=context.store.queue,
        stories=context.store.reports,
        limits=context.store.limits,
        clock=context.clock,
        publish=context.observer.publish,
        wake=outbound.runner.wake,
        slots_released=outbound.advancer.request,
        bounce_reports=reports,
    )
