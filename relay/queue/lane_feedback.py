"""Lane feedback: outcomes of attempts raise or lower the concurrency of a lane, or pause it."""

from collections.abc import Sequence
from dataclasses import replace

from relay.dsn.classify import Classification
from relay.mail.canonical import domain_of
from relay.mail.lane import DIRECT
from relay.mail.reply import Reply
from relay.queue.bounce_policy import Judged, account_refusal, asks_to_slow_down, guidance_text, lane_pause
from relay.queue.context import QueueContext
from relay.queue.entry import Entry
from relay.queue.lanes import LaneTable
from relay.queue.outcome import Deferred, Delivered, Outcome, Refused
from relay.queue.routing import provider_of

PAUSE = 900.0
"""Seconds that a lane is paused when its server blocks us or refuses our account."""


LONGEST_LANE_REST = 30.0
"""Seconds: the longest pause of a lane that could not be reached."""


class LaneFeedback:
    """Applies outcomes to the lanes, and alerts the operator where waiting is no remedy."""

    def __init__(self, tools: QueueContext, lanes: LaneTable) -> None:
        self._tools = tools
        self._lanes = lanes

    def record(
        self, lane: str, entries: Sequence[Entry], judged: Sequence[Judged], started_at: float
    ) -> Sequence[Judged]:
        """Adjust the lane to the outcomes of one transaction, one for each entry.

        Return the outcomes. Refusals by a provider that refuses every message are deferred instead of bounced.
        """
        for one in judged:
            if (meaning := lane_pause(one, lane)) is not None:
                self._pause(lane, one.outcome, meaning)
                return judged
        for one in judged:
            if isinstance(one.outcome, Deferred) and one.outcome.lane_down:
                self._rest(lane, one.outcome, one.meaning)
                return judged

        refusal = self._refuses_everything(lane, entries, judged)
        if refusal is not None:
            self._pause(lane, refusal.outcome, refusal.meaning_as_account)
            return [as_deferred(one) if account_refusal(one, lane) else one for one in judged]
        if any(map(asks_to_slow_down, judged)):
            self._lanes.slow_down(lane)
        elif any(isinstance(one.outcome, Delivered | Refused) for one in judged):
            self._lanes.succeeded(lane, started_at)
        return judged

    def _refuses_everything(self, lane: str, entries: Sequence[Entry], judged: Sequence[Judged]) -> Judged | None:
        """Return the last refusal of a provider that refuses every message, whatever its recipient."""
        if any(isinstance(one.outcome, Delivered) for one in judged):
            self._lanes.accepted(lane)
            return None

        found: Judged | None = None
        for entry, one in zip(entries, judged, strict=True):
            if not (kind := account_refusal(one, lane)):
                continue
            # A refused MAIL comes before any recipient: it counts once, and for no domain.
            whole = isinstance(one.outcome, Refused) and one.outcome.phase == "mail"
            domain = "" if whole else domain_of(entry.recipient)
            found = one if self._lanes.refused(lane, kind, domain) else found
            if whole:
                break
        return found

    def _rest(self, lane: str, down: Deferred, meaning: Classification | None) -> None:
        """Pause a lane that could not be reached. For a provider alert the operator, who can mend that."""
        now = self._tools.clock()
        is_news = not self._lanes.is_failing(lane)
        self._lanes.failed(lane, down, now, now + min(self._tools.settings().queue.retry[0] / 2, LONGEST_LANE_REST))
        if is_news and provider_of(lane) != DIRECT:
            self._alert(lane, down, meaning)

    def _pause(self, lane: str, outcome: Outcome, meaning: Classification | None) -> None:
        """Pause the lane, with one alert for each pause."""
        reply = Reply(451, "4.7.1", f"delivery is paused after: {outcome.reply}")
        now = self._tools.clock()
        if self._lanes.failed(lane, Deferred(reply), now, now + PAUSE, str(outcome.reply)):
            self._alert(lane, outcome, meaning)

    def _alert(self, lane: str, outcome: Outcome, meaning: Classification | None) -> None:
        if meaning is not None:
            self._tools.watch.alert(lane, meaning.category, str(outcome.reply), guidance_text(meaning.about))


def as_deferred(judged: Judged, *, elsewhere: bool = False) -> Judged:
    """Return a refusal as a temporary failure of the same meaning; any other outcome as it is."""
    outcome = judged.outcome
    if not isinstance(outcome, Refused):
        return judged
    return replace(judged, outcome=Deferred(outcome.reply, outcome.remote, phase=outcome.phase, elsewhere=elsewhere))
