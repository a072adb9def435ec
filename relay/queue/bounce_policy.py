"""Judging: what a reply means, what happens to the entry, and whether it speaks against the address. Pure."""

from dataclasses import dataclass, replace
from typing import assert_never

from relay.dsn.categories import Category
from relay.dsn.classify import Classification, Rules, classify
from relay.dsn.reply_text import mask_reply
from relay.mail.lane import DIRECT, split_lane
from relay.queue.outcome import Deferred, Outcome, Refused
from relay.suppression.model import Evidence, Suppression

LONGEST_WAIT = 6 * 3600.0
"""Seconds a reply may make us wait at most, whatever it asks for."""


SLOW_WAIT = 900.0
"""Seconds between two attempts at least where the other side wants to be left alone."""


ACCOUNT = "credentials"
"""The category of a provider that refuses us."""


_MAY_BE_US = frozenset({"policy", "blocked", "bad_rdns", "unknown", "rate_limited"})
"""Categories of refusals for good that, from a provider, may be about us rather than about one message or address."""


_ONCE_MORE = frozenset({"retry-once", "retry-plain"})


_SLOWING = frozenset({"slow-down", "pause", "pause-provider"})


@dataclass(frozen=True, slots=True)
class Disposition:
    """What becomes of an entry whose attempt failed."""

    meaning: Classification
    step: str
    """"retry", "bounce" or "drop"."""
    at_least: float = 0.0
    """Seconds to wait before the next attempt, 0 when the schedule alone decides."""


@dataclass(frozen=True, slots=True)
class BouncePolicy:
    """Knows the rules and the threshold in force."""

    rules: Rules
    threshold: int

    def disposition(self, outcome: Deferred | Refused, attempts: int, lane: str) -> Disposition:
        """Decide about an entry after its attempt number `attempts`, made in that lane.

        The category's action may keep what got a 5yz and give up on a 4yz. It does so on the word of another server
        only; what the relay itself found out is as final as the outcome says. An uncertain outcome is tried again.
        """
        meaning = self._meaning(outcome, lane)
        permanent = isinstance(outcome, Refused)
        about = meaning.about
        action = about.on_permanent if permanent else about.on_temporary
        slow = action in ("retry-slowly", "hold-provider")
        at_least = min(max(meaning.wait or 0.0, SLOW_WAIT if slow and permanent else 0.0), LONGEST_WAIT)
        if not outcome.remote or (isinstance(outcome, Deferred) and (outcome.uncertain or outcome.lane_down)):
            return Disposition(meaning, "bounce" if permanent else "retry", at_least)
        if action in ("bounce", "drop"):
            return Disposition(meaning, action)
        once = action == "retry-once" or (permanent and action in _ONCE_MORE)
        return Disposition(meaning, "bounce" if once and attempts > 1 else "retry", at_least)

    def asks_to_slow_down(self, lane: str, outcome: Deferred | Refused) -> bool:
        """Tell whether another server's reply asks to slow down, or distrusts the whole of what comes from here."""
        return bool(outcome.remote) and self._meaning(outcome, lane).about.lane in _SLOWING

    def lane_pause(self, lane: str, outcome: Deferred | Refused) -> Classification | None:
        """Return the meaning of a reply after which the whole lane should rest, None when it need not.

        A destination that blocks us pauses its own lane; a provider only when it is our account that it refuses, not
        when it passes on what some destination said.
        """
        if not outcome.remote:
            return None
        meaning = self._meaning(outcome, lane)
        if split_lane(lane)[0] == DIRECT:
            return meaning if meaning.about.lane == "pause" and not _is_down(outcome) else None
        is_account = _is_locked_out(outcome) if _is_down(outcome) else meaning.about.lane == "pause-provider"
        return meaning if is_account else None

    def account_refusal(self, lane: str, outcome: Outcome) -> str:
        """Return the kind of a provider's refusal that may be about us, "" for one about the recipient or the message.

        Another provider may take the mail. Repeated for whatever is sent, it is about us for sure.
        """
        if split_lane(lane)[0] == DIRECT or not isinstance(outcome, Refused) or not outcome.remote:
            return ""
        return mask_reply(str(outcome.reply)) if self._meaning(outcome, lane).category in _MAY_BE_US else ""

    def as_account_failure(self, outcome: Deferred | Refused) -> Classification:
        """Return what it means that a provider refuses all we bring: trouble with our account, whatever its words."""
        return replace(self._literal_meaning(outcome), category=ACCOUNT)

    def _meaning(self, outcome: Deferred | Refused, lane: str) -> Classification:
        """Classify a reply in its lane: a provider that refuses relaying or login refuses our account."""
        meaning = self._literal_meaning(outcome)
        by_provider = split_lane(lane)[0] != DIRECT
        if by_provider and (_is_locked_out(outcome) or meaning.category == "relay_denied"):
            return replace(meaning, category=ACCOUNT)
        return meaning

    def _literal_meaning(self, outcome: Deferred | Refused) -> Classification:
        """Classify a reply by its text and phase alone, whichever lane it came from."""
        return classify(self.rules, str(outcome.reply), outcome.reply.code, outcome.reply.status, outcome.phase)

    def evidence(
        self, meaning: Classification, suppression: Suppression, *, permanent: bool, late: bool = False
    ) -> tuple[Evidence, ...]:
        """Return what a bounce says about its address: only evidence about the recipient suppresses.

        A temporary failure for no known reason that comes back late says nothing: it may be a vacation note.
        """
        if late and not permanent and meaning.category == "unknown":
            return ()
        match meaning.about.suppression:
            case "now":
                threshold = 1
            case "on-permanent":
                threshold = 1 if permanent else self.threshold
            case "count":
                threshold = self.threshold
            case "never" | "keep":
                return ()
            case never:
                assert_never(never)
        return (Evidence(suppression, threshold, late),)


def _is_down(outcome: Deferred | Refused) -> bool:
    return isinstance(outcome, Deferred) and outcome.lane_down


def _is_locked_out(outcome: Deferred | Refused) -> bool:
    return isinstance(outcome, Deferred) and outcome.locked_out


def guidance_text(about: Category) -> str:
    """Return what a category means and what can be done, for people."""
    return " ".join((f"{about.title}.", *about.guidance))


def event_fields(meaning: Classification) -> dict[str, object]:
    """Return what an event says of a reply's meaning."""
    return {"category": meaning.category, "rule": meaning.rule}
