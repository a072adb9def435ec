"""Builds the webhooks of a relay."""

from relay.app.context import AppContext
from relay.webhooks.operator_events import ALERT, OPERATOR_LINES
from relay.webhooks.report import WebhookReport
from relay.webhooks.service import Webhooks


def open_webhooks(context: AppContext) -> Webhooks:
    """Return the webhooks, which look for events whenever the observer publishes some."""
    webhooks = Webhooks(
        settings=context.settings,
        feed=context.store.feed,
        store=context.store.webhooks,
        nodes=context.store.nodes,
        report=WebhookReport(context.log, context.observer.metrics, context.alert),
        lookups=context.new_resolver(),
        clock=context.clock,
    )
    context.observer.on_events = webhooks.wake
    context.alerts.on_alert = lambda alert: webhooks.operator_event(
        ALERT, {"cause": alert.cause, "text": alert.subject, "details": alert.text}
    )
    context.observer.log.watched = OPERATOR_LINES
    context.observer.log.on_line = webhooks.operator_event
    return webhooks
