"""Bounce policy: what a reply means for its entry, its lane and its address. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Literal, assert_never

from relay.dsn.bounce_rules import Rules
from relay.dsn.classify import Classification, classify
from relay.dsn.reply_parts import mask_reply
from relay.dsn.transaction_addresses import UNKNOWN_ADDRESSES, TransactionAddresses
from relay.frozen import dataclass
from relay.mail.lane import is_provider
from relay.mail.simulator_words import NO_SIMULATOR, Simulator
from relay.queue.outcome import Deferred, Delivered, Outcome, Refused
from relay.suppression.model import Evidence, Suppression

MAX_WAIT = 6 * 3600.0
"""Seconds before the next attempt that a reply can ask for, at most."""

SLOW_WAIT = 900.0
"""Seconds before the next attempt, at least, after a refusal that asks for fewer attempts."""

ACCOUNT = "credentials"
"""Category of a reply by which a provider refuses our account."""

_MAY_BE_US = frozenset({"policy", "blocked", "bad_rdns", "unknown", "rate_limited"})
"""Categories of permanent refusals that, from a provider, may concern our account rather than one recipient."""

_ONCE_MORE = frozenset({"retry-once", "retry-plain"})
"""Actions that allow one more attempt after a permanent refusal."""

_SLOWING = frozenset({"slow-down", "pause", "pause-provider"})
"""Effects on a lane that lower its concurrency."""


@dataclass(frozen=True, slots=True)
class Classified:
    """The outcome of an attempt, with the meaning of its reply in the lane of the attempt."""

    outcome: Outcome
    meaning: Classification | None = None
    """None for a delivery, and for a failure whose classification raised."""

    @property
    def meaning_as_account(self) -> Classification | None:
        """The meaning once the provider refuses every message: the same rule, but the account is the cause."""
        return replace(self.meaning, category=ACCOUNT) if self.meaning else None


@dataclass(frozen=True, slots=True)
class Disposition:
    """The decision about an entry after an attempt."""

    step: Literal["deliver", "retry", "bounce", "drop"]
    at_least: float = 0.0
    """Seconds before the next attempt, at least; 0 when the retry schedule alone decides."""


@dataclass(frozen=True, slots=True)
class BouncePolicy:
    """Bounce rules, the suppression threshold, and the ends of suppressions."""

    find_rules: Callable[[], Rules]
    """Returns the rules. The first call may load them, which a delivery does not need."""
    threshold: int
    """Bounces after which an address is suppressed."""
    expire: Mapping[str, float] = field(default_factory=dict)
    """Seconds of a suppression by category; those of other categories do not end."""
    words: Simulator = NO_SIMULATOR
    """The recipients of the simulator. A word alone always answers: nothing suppresses it."""

    @property
    def rules(self) -> Rules:
        """The bounce rules."""
        return self.find_rules()

    def classify_all(
        self, outcomes: Sequence[Outcome], lane: str, about: TransactionAddresses = UNKNOWN_ADDRESSES
    ) -> Sequence[Classified]:
        """Classify the outcomes of one transaction. A reply that several recipients share is classified once."""
        classified = {outcome: self.classify(outcome, lane, about) for outcome in dict.fromkeys(outcomes)}
        return [classified[outcome] for outcome in outcomes]

    def classify(self, outcome: Outcome, lane: str, about: TransactionAddresses = UNKNOWN_ADDRESSES) -> Classified:
        """Classify a reply in its lane: a provider that refuses relaying or login refuses our account."""
        if isinstance(outcome, Delivered):
            return Classified(outcome)
        reply, text = outcome.reply, str(outcome.reply)
        about_sender = about.is_sender_named(text)
        meaning = classify(self.rules, text, reply.code, reply.status, outcome.phase, about_sender=about_sender)
        if is_provider(lane) and (_is_locked_out(outcome) or meaning.category == "relay_denied"):
            meaning = replace(meaning, category=ACCOUNT)
        return Classified(outcome, meaning)

    def evidence(
        self, meaning: Classification, suppression: Suppression, *, permanent: bool, late: bool = False
    ) -> tuple[Evidence, ...]:
        """Return the evidence of a bounce against its address. Only faults of the recipient suppress.

        `late` marks a bounce that came back by mail.
        """
        if self.words.always_answers(suppression.address):
            return ()
        # A late temporary failure of unknown cause may be a vacation note.
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
        length = self.expire.get(meaning.category)
        ends = replace(suppression, expires_at=suppression.created_at + length) if length else suppression
        return (Evidence(ends, threshold, late),)


def disposition(classified: Classified, attempts: int) -> Disposition:
    """Decide about an entry after its attempt number `attempts`.

    The action of a category can retry an entry after a 5yz and bounce it after a 4yz. This applies to replies of remote
    servers only. A failure that relay itself found keeps its kind, and an uncertain outcome is retried.
    """
    outcome, meaning = classified.outcome, classified.meaning
    if isinstance(outcome, Delivered):
        return Disposition("deliver")
    if meaning is None:
        return Disposition("retry")

    permanent = isinstance(outcome, Refused)
    action = meaning.about.on_permanent if permanent else meaning.about.on_temporary
    slow = action in ("retry-slowly", "hold-provider")
    at_least = min(max(meaning.wait or 0.0, SLOW_WAIT if slow and permanent else 0.0), MAX_WAIT)

    if not outcome.remote or (isinstance(outcome, Deferred) and (outcome.uncertain or outcome.lane_down)):
        return Disposition("bounce" if permanent else "retry", at_least)
    if action in ("bounce", "drop"):
        return Disposition(action)
    once = action == "retry-once" or (permanent and action in _ONCE_MORE)
    return Disposition("bounce" if once and attempts > 1 else "retry", at_least)


def asks_to_slow_down(classified: Classified) -> bool:
    """Whether the reply of a server asks for fewer connections, or refuses all mail from this host."""
    meaning = classified.meaning
    return meaning is not None and bool(classified.outcome.remote) and meaning.about.lane in _SLOWING


def asks_all_to_slow_down(classified: Classified) -> bool:
    """Whether a temporary reply asks for a lower rate of all mail.

    A permanent one refuses a message. Status X.2.X is about a mailbox (RFC 3463 section 3.3), and X.5.3 about the
    recipients of one transaction (section 3.6).
    """
    outcome, meaning = classified.outcome, classified.meaning
    if meaning is None or not outcome.remote or not isinstance(outcome, Deferred):
        return False
    status = outcome.reply.status
    return meaning.about.lane == "slow-down" and not status.startswith("4.2.") and status != "4.5.3"


def lane_pause(classified: Classified, lane: str) -> Classification | None:
    """Return the meaning of a reply that pauses the whole lane, None for any other.

    A destination that blocks us pauses its own lane. A provider pauses its lane when it refuses our account. The reply
    of a destination that a provider passes on pauses nothing.
    """
    outcome, meaning = classified.outcome, classified.meaning
    if meaning is None or not outcome.remote:
        return None

    is_down = isinstance(outcome, Deferred) and outcome.lane_down
    if not is_provider(lane):
        return meaning if meaning.about.lane == "pause" and not is_down else None
    is_account = _is_locked_out(outcome) if is_down else meaning.about.lane == "pause-provider"
    return meaning if is_account else None


def account_refusal(classified: Classified, lane: str) -> str:
    """Return the masked reply of a provider's refusal that may concern our account, "" for any other outcome.

    Another provider may accept the message. When a provider refuses every message alike, the account is the cause.
    """
    outcome, meaning = classified.outcome, classified.meaning
    if meaning is None or not isinstance(outcome, Refused) or not outcome.remote or not is_provider(lane):
        return ""
    return mask_reply(str(outcome.reply)) if meaning.category in _MAY_BE_US else ""


def event_fields(meaning: Classification) -> dict[str, object]:
    """Return the fields of an event that hold the meaning of a reply."""
    return {"category": meaning.category, "rule": meaning.rule}


def _is_locked_out(outcome: Outcome) -> bool:
    return isinstance(outcome, Deferred) and outcome.locked_out
