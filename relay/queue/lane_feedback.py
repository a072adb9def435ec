"""Conduct: what the outcomes of attempts say about a lane, and so whether it gets wider, narrower, rests or pauses."""

from collections.abc import Sequence

from relay.mail.canonical import domain_of
from relay.mail.lane import DIRECT
from relay.mail.reply import Reply
from relay.queue.bounce_policy import guidance_text
from relay.queue.context import QueueContext
from relay.queue.entry import Entry
from relay.queue.lanes import LaneTable
from relay.queue.outcome import Deferred, Delivered, Outcome, Refused
from relay.queue.routing import provider_of

PAUSE = 900.0
"""Seconds a lane rests whose other side blocks us or refuses our account."""


LONGEST_LANE_REST = 30.0
"""Seconds a lane that could not be reached is left alone at most."""


class LaneFeedback:
    """Learns from outcomes, and tells the operator where waiting alone will not mend it."""

    def __init__(self, tools: QueueContext, lanes: LaneTable) -> None:
        self._tools = tools
        self._lanes = lanes

    def record(
        self, lane: str, entries: Sequence[Entry], outcomes: Sequence[Outcome], started_at: float
    ) -> Sequence[Outcome]:
        """Widen, narrow or pause the lane by what happened to these entries, one outcome each.

        Return the outcomes: what a provider refuses that refuses everything is put off, not given up.
        """
        judge = self._tools.judge()
        failures = [one for one in outcomes if not isinstance(one, Delivered)]
        for failure in failures:
            if (meaning := judge.lane_pause(lane, failure)) is not None:
                self._pause(lane, failure, meaning.category, guidance_text(meaning.about))
                return outcomes
        down = next((one for one in failures if isinstance(one, Deferred) and one.lane_down), None)
        if down is not None:
            self._rest(lane, down)
        elif (refusal := self._refuses_everything(lane, entries, outcomes)) is not None:
            meaning = judge.as_account_failure(refusal)
            self._pause(lane, refusal, meaning.category, guidance_text(meaning.about))
            return [as_deferred(one) if judge.account_refusal(lane, one) else one for one in outcomes]
        elif any(judge.asks_to_slow_down(lane, one) for one in failures):
            self._lanes.slow_down(lane)
        elif any(isinstance(one, Delivered | Refused) for one in outcomes):
            self._lanes.succeeded(lane, started_at)
        return outcomes

    def _refuses_everything(
        self, lane: str, entries: Sequence[Entry], outcomes: Sequence[Outcome]
    ) -> Deferred | Refused | None:
        """Return the last refusal of a provider that refuses whatever we bring, whoever it is for."""
        if any(isinstance(one, Delivered) for one in outcomes):
            self._lanes.accepted(lane)
            return None
        judge = self._tools.judge()
        found: Deferred | Refused | None = None
        for entry, outcome in zip(entries, outcomes, strict=True):
            kind = judge.account_refusal(lane, outcome)
            if kind and not isinstance(outcome, Delivered):
                whole = outcome.phase == "mail"  # Said before any recipient was named.
                domain = "" if whole else domain_of(entry.recipient)
                found = outcome if self._lanes.refused(lane, kind, domain) else found
                if whole:
                    break
        return found

    def _rest(self, lane: str, down: Deferred) -> None:
        """Leave a lane alone that could not be reached. A provider is something an operator can look after."""
        now = self._tools.clock()
        is_news = not self._lanes.is_failing(lane)
        self._lanes.failed(lane, down, now, now + min(self._tools.settings().queue.retry[0] / 2, LONGEST_LANE_REST))
        if is_news and provider_of(lane) != DIRECT:
            meaning = self._tools.judge().disposition(down, 1, lane).meaning
            self._tools.watch.alert(lane, meaning.category, str(down.reply), guidance_text(meaning.about))

    def _pause(self, lane: str, failure: Deferred | Refused, category: str, guidance: str) -> None:
        """Let the lane rest, and tell the operator, once for each pause."""
        reply = Reply(451, "4.7.1", f"delivery is paused after: {failure.reply}")
        now = self._tools.clock()
        if self._lanes.failed(lane, Deferred(reply), now, now + PAUSE, str(failure.reply)):
            self._tools.watch.alert(lane, category, str(failure.reply), guidance)


def as_deferred(outcome: Outcome, *, elsewhere: bool = False) -> Outcome:
    """Return a refusal as a failure for now; anything else as it is."""
    if not isinstance(outcome, Refused):
        return outcome
    return Deferred(outcome.reply, outcome.remote, phase=outcome.phase, elsewhere=elsewhere)
