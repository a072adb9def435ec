"""What webhooks report: log lines, metrics, alerts, and the posts of the last minutes."""

from collections.abc import Callable
from dataclasses import dataclass

from relay.log import Emit
from relay.metrics import Metrics

SendAlert = Callable[[str, str, str], None]
"""Sends an alert to the operator: cause, subject, text."""


@dataclass(frozen=True, slots=True)
class PostLog:
    """One post, for `relay webhook log`."""

    at: float
    type: str
    event_id: str
    queue_id: str
    recipient: str
    events: int
    status: int
    text: str
    seconds: float
    result: str


@dataclass(frozen=True, slots=True)
class WebhookReport:
    """Reports to log, metrics and operator."""

    log: Emit
    metrics: Metrics
    alert: SendAlert

    def posted(self, name: str, result: str) -> None:
        """Count a post."""
        self.metrics.webhook_posts.labels(name, result).inc()

    def behind(self, name: str, seconds: float, aside: int) -> None:
        """Set how old the first event is that is not posted, and how many failed events wait."""
        self.metrics.webhook_lag.labels(name).set(seconds)
        self.metrics.webhook_failures.labels(name).set(aside)

    def failing(self, name: str, host: str, status: int, text: str) -> None:
        """Report that a receiver takes no events."""
        answer = f"{status} {text}".strip() if status else text
        self.log("webhook.failing", webhook=name, status=status, answer=text)
        self.alert(
            f"webhook {name}",
            f"webhook {name} fails: {answer}",
            f"The receiver of the webhook {name} at {host} takes no events.\n\n"
            f"Answer:      {answer}\n"
            "What to do:  check the receiver, and the URL and secret of the webhook.\n\n"
            f"  relay webhook log {name} --failed\n"
            f"  relay webhook test {name}\n\n"
            "Its events are kept and posted when it answers again. Mail is delivered as before.\n",
        )

    def recovered(self, name: str, seconds: float) -> None:
        """Report that a receiver takes events again."""
        self.log("webhook.recovered", webhook=name, seconds=round(seconds, 1))

    def paused(self, name: str, why: str) -> None:
        """Report that a webhook was paused by itself or by an operator."""
        self.log("webhook.paused", webhook=name, why=why)
        self.alert(
            f"webhook {name} paused",
            f"webhook {name} is paused: {why}",
            f"Nothing is posted to the webhook {name}.\n\n"
            f"Reason:      {why}\n"
            f"What to do:  relay webhook resume {name}            posts what is kept\n"
            f"             relay webhook resume {name} --from now  begins with new events\n\n"
            "Events are kept for queue.retention.\n",
        )

    def resumed(self, name: str, *, from_now: bool) -> None:
        """Report that an operator resumed a webhook."""
        self.log("webhook.resumed", webhook=name, begins="now" if from_now else "with what is kept")

    def given_up(self, name: str, kind: str, queue_id: str, status: int, text: str) -> None:
        """Report an event that is not posted again by itself."""
        self.log("webhook.given_up", webhook=name, queue_id=queue_id, type=kind, status=status, answer=text)

    def type_stopped(self, name: str, kind: str, status: int, text: str) -> None:
        """Report that a type of events is not posted any more."""
        self.log("webhook.type_stopped", webhook=name, type=kind, status=status, answer=text)

    def lost(self, name: str, since: float, why: str) -> None:
        """Report that events may have been purged before they were posted."""
        self.log("webhook.lost", webhook=name, since=round(since, 3), why=why)
        self.alert(
            f"webhook {name} lost",
            f"webhook {name} has missed events",
            f"Events of the webhook {name} may be missing: {why}.\n\n"
            "What to do:  compare with `relay report messages`; resume webhooks within queue.retention.\n",
        )
