"""Lane feedback: outcomes of attempts raise or lower the concurrency of a lane, or pause it."""

from collections.abc import Sequence
from dataclasses import replace

from relay.dsn.classify import Classification
from relay.mail.canonical_address import domain_of
from relay.mail.lane import is_provider, is_simulated
from relay.queue.bounce_policy import (
    Classified,
    account_refusal,
    asks_all_to_slow_down,
    asks_to_slow_down,
    lane_pause,
)
from relay.queue.context import QueueContext
from relay.queue.entry import Entry
from relay.queue.lanes import LaneTable
from relay.queue.outcome import Deferred, Delivered, Outcome, Refused
from relay.queue.pause import paused_outcome, subject_of
from relay.queue.shared_pauses import SharedPauses

PAUSE = 900.0
"""Seconds that a lane is paused when its server blocks us or refuses our account."""

MAX_UNREACHABLE_PAUSE = 30.0
"""Seconds that a lane without a reachable server is paused, at most."""


class LaneFeedback:
    """Applies outcomes to the lanes, and alerts the operator about failures that need action."""

    def __init__(self, context: QueueContext, lanes: LaneTable, pauses: SharedPauses) -> None:
        self._context = context
        self._lanes = lanes
        self._pauses = pauses

    def record(
        self, lane: str, entries: Sequence[Entry], classified: Sequence[Classified], started_at: float
    ) -> Sequence[Classified]:
        """Adjust the lane to the outcomes of one transaction, one for each entry.

        Return the outcomes. Refusals of a provider that refuses every message become deferrals. What the simulator
        answers concerns its one message: it pauses nothing, and causes no alert.
        """
        if is_simulated(lane):
            return classified
        self._adjust_site(lane, classified, started_at)
        recorded = self._record(lane, entries, classified, started_at)
        self._report_changes()
        return recorded

    def record_deliveries(self, lane: str, started_at: float) -> None:
        """Adjust the lane to a transaction that was a delivery for every entry."""
        if is_simulated(lane):
            return
        self._context.rates.accepted(lane, started_at, self._context.clock())
        self._lanes.accepted(lane)
        self._lanes.succeeded(lane, started_at)
        self._report_changes()

    def _record(
        self, lane: str, entries: Sequence[Entry], classified: Sequence[Classified], started_at: float
    ) -> Sequence[Classified]:
        for one in classified:
            if (meaning := lane_pause(one, lane)) is not None:
                self._pause(lane, one.outcome, meaning)
                self._pause_site(lane, one.outcome, meaning)
                return classified
        for one in classified:
            if isinstance(one.outcome, Deferred) and one.outcome.lane_down:
                self._pause_unreachable(lane, one.outcome, one.meaning)
                return classified

        refusal = self._refuses_everything(lane, entries, classified)
        if refusal is not None:
            self._pause(lane, refusal.outcome, refusal.meaning_as_account)
            return [as_deferred(one) if account_refusal(one, lane) else one for one in classified]

        if any(map(asks_to_slow_down, classified)):
            self._lanes.slow_down(lane)
        elif any(isinstance(one.outcome, Delivered | Refused) for one in classified):
            self._lanes.succeeded(lane, started_at)
        return classified

    def _adjust_site(self, lane: str, classified: Sequence[Classified], started_at: float) -> None:
        """Adjust the rate of the site: a transaction counts as one message."""
        rates, now = self._context.rates, self._context.clock()
        slow = next((one for one in classified if asks_all_to_slow_down(one)), None)
        if slow is not None:
            rates.slowed(lane, started_at, now, str(slow.outcome.reply))
        elif any(isinstance(one.outcome, Delivered) for one in classified):
            rates.accepted(lane, started_at, now)

    def _report_changes(self) -> None:
        rates = self._context.rates
        while rates.changes:
            self._context.watch.site_changed(rates.changes.pop(0))

    def _refuses_everything(
        self, lane: str, entries: Sequence[Entry], classified: Sequence[Classified]
    ) -> Classified | None:
        """Return the last refusal when the provider refuses every message, whatever the recipient; else None."""
        if any(isinstance(one.outcome, Delivered) for one in classified):
            self._lanes.accepted(lane)
            return None

        found: Classified | None = None
        for entry, one in zip(entries, classified, strict=True):
            if not (kind := account_refusal(one, lane)):
                continue
            # A refusal of MAIL concerns no recipient: it counts once, and for no domain.
            is_for_message = isinstance(one.outcome, Refused) and one.outcome.phase == "mail"
            domain = "" if is_for_message else domain_of(entry.recipient)
            found = one if self._lanes.refused(lane, kind, domain) else found
            if is_for_message:
                break
        return found

    def _pause_unreachable(self, lane: str, down: Deferred, meaning: Classification | None) -> None:
        """Pause a lane without a reachable server. For a provider, send an alert: its settings may be wrong."""
        now = self._context.clock()
        is_new = not self._lanes.is_failing(lane)
        pause = min(self._context.settings().queue.retry[0] / 2, MAX_UNREACHABLE_PAUSE)
        self._lanes.failed(lane, down, now, now + pause)
        if is_new and is_provider(lane):
            self._alert(lane, down, meaning)

    def _pause(self, lane: str, outcome: Outcome, meaning: Classification | None) -> None:
        """Pause the lane, and send one alert for each pause."""
        now, why = self._context.clock(), str(outcome.reply)
        self._pauses.note(lane, now + PAUSE, why, meaning.category if meaning else "")
        if self._lanes.failed(lane, paused_outcome(why), now, now + PAUSE, why):
            self._alert(lane, outcome, meaning)

    def _pause_site(self, lane: str, outcome: Outcome, meaning: Classification) -> None:
        """Pause and probe the site of a lane if several of its domains block us: one may have a rule of its own."""
        site = self._context.rates.is_blocked_by(lane)
        subject = subject_of("site", site.name) if site else ""
        if site is None or self._pauses.hold((subject,)) is not None:
            return
        now, why = self._context.clock(), str(outcome.reply)
        self._context.rates.blocked(site.name, now, now + PAUSE, why)
        self._pauses.note(subject, now + PAUSE, why, meaning.category)
        self._alert(subject, outcome, meaning)

    def _alert(self, lane: str, outcome: Outcome, meaning: Classification | None) -> None:
        if meaning is not None:
            self._context.watch.alert(lane, meaning.category, str(outcome.reply), meaning.guidance)


def as_deferred(classified: Classified, *, elsewhere: bool = False) -> Classified:
    """Return a refusal as a temporary failure of the same meaning, any other outcome unchanged."""
    outcome = classified.outcome
    if not isinstance(outcome, Refused):
        return classified
    return replace(
        classified, outcome=Deferred(outcome.reply, outcome.remote, phase=outcome.phase, elsewhere=elsewhere)
    )
