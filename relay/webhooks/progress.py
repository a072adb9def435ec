"""Progress of a webhook: its failures in a row, its refusals by type. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from relay.webhooks.feed import Position, parse_position

STOP_AFTER = 3
"""Events of one type refused in a row, after which the type is not posted any more."""

DISTRUST_AFTER = 10
"""Events of any type refused in a row, after which the receiver counts as failing: it refuses the relay, not a type."""

TEXT = 512
"""Characters kept of an answer."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """The refusals in a row of one type, and the last of them. `stopped_at` 0: the type is still posted."""

    count: int
    first_at: float
    last_at: float
    status: int
    answer: str
    stopped_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The last answer of the receiver. `status` 0: there was none, and `text` has the reason."""

    at: float
    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Replay:
    """Events to be posted again: those after `position` up to `end`, of the times from `since` up to `until`."""

    position: Position
    end: Position
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts and times of one webhook. Times are Unix seconds, 0 for never."""

    failures: int = 0
    """Failures of the receiver in a row."""
    failing_since: float = 0.0
    next_at: float = 0.0
    """Time before which nothing is posted."""
    accepted_at: float = 0.0
    accepted: int = 0
    given_up: int = 0
    """Events refused for good, or failed too often."""
    skipped: int = 0
    """Events of types that are stopped."""
    refused_in_a_row: int = 0
    last: Answer | None = None
    refusals: Mapping[str, Refusals] = field(default_factory=dict)

    @property
    def stopped(self) -> frozenset[str]:
        """Types that are not posted any more."""
        return frozenset(name for name, one in self.refusals.items() if one.stopped_at)

    def accept(self, types: frozenset[str], count: int, answer: Answer) -> "Progress":
        """Return the progress after an accepted post."""
        kept = {name: one for name, one in self.refusals.items() if name not in types}
        return replace(
            self,
            failures=0,
            failing_since=0.0,
            next_at=0.0,
            accepted_at=answer.at,
            accepted=self.accepted + count,
            refused_in_a_row=0,
            last=answer,
            refusals=kept,
        )

    def fail(self, answer: Answer, next_at: float) -> "Progress":
        """Return the progress after a failure of the receiver, which gets no posts until `next_at`."""
        return replace(
            self,
            failures=self.failures + 1,
            failing_since=self.failing_since or answer.at,
            next_at=max(self.next_at, next_at),
            last=answer,
        )

    def refuse(self, name: str, answer: Answer) -> "Progress":
        """Return the progress after an event of that type was refused for good.

        A type is stopped only if the receiver accepted others meanwhile: else it refuses the relay, not the type.
        """
        before = self.refusals.get(name)
        count, first_at = (before.count + 1, before.first_at) if before else (1, answer.at)
        stops = count >= STOP_AFTER and self.accepted_at > first_at
        made = Refusals(count, first_at, answer.at, answer.status, answer.text, answer.at if stops else 0.0)
        return replace(
            self,
            given_up=self.given_up + 1,
            refused_in_a_row=self.refused_in_a_row + 1,
            last=answer,
            refusals={**self.refusals, name: made},
        )

    @property
    def refuses_all(self) -> bool:
        """Whether so many events in a row were refused that the receiver seems to refuse the relay itself."""
        return self.refused_in_a_row >= DISTRUST_AFTER

    def give_up(self, count: int) -> "Progress":
        """Return the progress after events failed for the last time."""
        return replace(self, given_up=self.given_up + count)

    def skip(self, count: int) -> "Progress":
        """Return the progress after events of stopped types were left out."""
        return replace(self, skipped=self.skipped + count)

    def resumed(self) -> "Progress":
        """Return the progress without waits and without stopped types, for a new start by an operator."""
        return replace(self, failures=0, failing_since=0.0, next_at=0.0, refused_in_a_row=0, refusals={})


def progress_json(progress: Progress) -> dict[str, Any]:
    """Return the progress as a JSON object, for the store and for commands."""
    return asdict(progress)


def parse_progress(value: Mapping[str, Any]) -> Progress:
    """Return the progress of a stored JSON object; unknown keys of other versions are left out."""
    known = {key: value[key] for key in Progress.__dataclass_fields__ if key in value}
    last, refusals = known.get("last"), known.get("refusals") or {}
    known["last"] = Answer(**last) if last else None
    known["refusals"] = {name: Refusals(**one) for name, one in refusals.items()}
    return Progress(**known)


def replay_json(replay: Replay) -> dict[str, Any]:
    """Return a replay as a JSON object."""
    about = {"since": replay.since, "until": replay.until}
    return {"position": str(replay.position), "end": str(replay.end), **about}


def parse_replay(value: Mapping[str, Any]) -> Replay:
    """Return the replay of a stored JSON object."""
    return Replay(parse_position(value["position"]), parse_position(value["end"]), value["since"], value["until"])
