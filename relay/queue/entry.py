"""A queue entry: one recipient of one message, its state, and the table of state transitions."""

from enum import StrEnum
from typing import Any, NamedTuple, assert_never

from relay.frozen import dataclass, replace
from relay.limits.priority import Flow, Priority, flow_of
from relay.mail.reply import Reply
from relay.mail.transaction import Notify, Recipient


class State(StrEnum):
    """State of an entry. The last three are final."""

    WAITING = "waiting"
    HELD = "held"
    ACTIVE = "active"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    DROPPED = "dropped"


FINAL = frozenset({State.DELIVERED, State.BOUNCED, State.DROPPED})
"""States that an entry never leaves."""

MOVES: dict[State, frozenset[State]] = {
    State.WAITING: frozenset({State.ACTIVE, State.HELD, State.BOUNCED, State.DROPPED}),
    State.HELD: frozenset({State.WAITING, State.BOUNCED, State.DROPPED}),
    State.ACTIVE: frozenset({State.WAITING, State.HELD, State.DELIVERED, State.BOUNCED, State.DROPPED}),
    State.DELIVERED: frozenset(),
    State.BOUNCED: frozenset(),
    State.DROPPED: frozenset(),
}
"""States that may follow each state.

Claim and hand-over: waiting → active. Operator: waiting ↔ held, either → bounced or dropped. Settle: active →
delivered, bounced, dropped or waiting; held if the stored message is damaged. Recovery after a crash: active → waiting.
"""


class LaneFlow(NamedTuple):
    """A flow within a lane."""

    lane: str
    principal: str = ""
    priority: int = Priority.NORMAL

    @property
    def flow(self) -> Flow:
        """Principal and priority."""
        return flow_of(self.principal, Priority.of(self.priority))


class StateError(RuntimeError):
    """A transition that is not in the table: a defect of the caller, never a property of a message."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One recipient's row. Times are Unix seconds; `number` is the recipient's index in the message."""

    queue_id: str
    number: int
    recipient: str
    lane: str
    """Either `mx:<domain>` or `provider:<name>`."""
    created_at: float
    expires_at: float
    next_attempt_at: float
    release_at: float = 0.0
    """Earliest time that rate limits or X-Relay-Send-At allow; 0 for none."""
    state: State = State.WAITING
    attempts: int = 0
    notify: tuple[Notify, ...] = ()
    orcpt: str = ""
    last_reply: Reply | None = None
    last_remote: str = ""
    """Host (and address) that gave the last reply."""
    reason: str = ""
    """Text: why the entry was dropped or held, or why it changed its lane."""
    uncertain: bool = False
    """The last attempt ended after the final dot without a reply, or with its process. The server may have accepted."""
    delay_notified: bool = False
    principal: str = ""
    """Key of the accountable party, "" for mail of the relay itself and for entries of former versions."""
    priority: Priority = Priority.NORMAL

    @property
    def lane_flow(self) -> LaneFlow:
        """The entries of this lane with which it waits in one order."""
        return LaneFlow(self.lane, self.principal, self.priority)

    @property
    def flow(self) -> Flow:
        """The entries of all lanes with the same principal and priority."""
        return flow_of(self.principal, self.priority)

    @property
    def is_final(self) -> bool:
        """Whether the state is final."""
        return self.state in FINAL

    @property
    def may_have_arrived(self) -> bool:
        """Whether a server accepted the message for this recipient, or may have done so."""
        return self.uncertain or self.state in (State.ACTIVE, State.DELIVERED, State.BOUNCED)

    @property
    def envelope_recipient(self) -> Recipient:
        """The recipient with its DSN parameters."""
        return Recipient(self.recipient, self.notify, self.orcpt)

    @property
    def status(self) -> str:
        """The status shown to users: created, processed, deferred, held, delivered, bounced or dropped."""
        match self.state:
            case State.WAITING:
                return "deferred" if self.attempts else "created"
            case State.ACTIVE:
                return "processed"
            case State.HELD | State.DELIVERED | State.BOUNCED | State.DROPPED:
                return self.state.value
            case _:
                assert_never(self.state)


def move(entry: Entry, state: State, **changes: Any) -> Entry:
    """Return the entry in that state, with other changes. Raises StateError when the table has no such transition."""
    if state not in MOVES[entry.state]:
        raise StateError(f"{entry.queue_id}/{entry.number}: no move from {entry.state} to {state}")
    return replace(entry, state=state, **changes)
