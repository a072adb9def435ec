"""What happened, as it was noted down while it happened. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

Key = tuple[str, str]
"""One delivery that was promised: queue id and recipient."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A message that was answered with 250."""

    proof: str
    """Its number: one for each message, however often it was sent."""
    queue_id: str
    recipients: tuple[str, ...]
    at: float

    @property
    def keys(self) -> list[Key]:
        return [(self.queue_id, recipient) for recipient in self.recipients]


@dataclass(frozen=True, slots=True)
class Note:
    """What the receiving server took, for one recipient."""

    proof: str
    queue_id: str
    recipient: str
    sender: str
    """The address in From."""
    at: float

    @property
    def key(self) -> Key:
        return self.queue_id, self.recipient

    def line(self) -> str:
        return f"{self.proof} {self.queue_id} {self.recipient} {self.sender} {self.at:.6f}\n"

    @classmethod
    def of(cls, line: str) -> Self:
        proof, queue_id, recipient, sender, at = line.split()
        return cls(proof, queue_id, recipient, sender, float(at))


@dataclass(frozen=True, slots=True)
class Kill:
    """A node that was killed, with what it had leased at that moment."""

    node: int
    at: float
    in_hand: frozenset[Key]


@dataclass(frozen=True, slots=True)
class Restart:
    """PostgreSQL stopped in this mode, and answering again."""

    mode: str
    down: float
    up: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that was not taken: the reply, or 0 for a connection that was refused or broke."""

    at: float
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Limit:
    """So many departures in any closed span of so many seconds, of the From addresses of a domain."""

    name: str
    domain: str
    most: int
    span: float
    each: bool
    """For each address of the domain by itself, else for all of them together."""


@dataclass(frozen=True, slots=True)
class Story:
    """A whole run."""

    promises: list[Promise]
    notes: list[Note]
    refusals: list[Refusal]
    kills: list[Kill]
    restarts: list[Restart]
    held_back: frozenset[Key]
    """What waits in the queue until a limit allows it."""
    limits: list[Limit]
    said: Mapping[str, int]
    """How often the nodes logged what is a warning or an error, by the name of the line."""
    began: float
    drained: float
    """When nothing was left in the queue but what limits hold back."""
    leaks: list[str]
    """What the audit of the store found then."""
