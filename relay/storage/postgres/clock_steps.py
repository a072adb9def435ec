"""Steps of the clocks of several nodes: the first node that finds a step shifts the waiting entries for all.

No node can be trusted to lead at that moment. Which one does is known within seconds only, and the one that did may be
dead. Two that both shift would double the step; none would bounce mail before its time.
"""

from collections.abc import Callable

from relay.storage.database import Connection

SAME_STEP = 5.0
"""Seconds by which the steps of two nodes may differ, and be one step."""

SAME_TIME = 300.0
"""Seconds within which all nodes see a step."""

_KEPT = 86400.0

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('relay clock ' || current_schema()))"

_FORGET = "DELETE FROM clock_steps WHERE abs(at - ?) > ?"

_SEEN = "SELECT node, count(*) FROM clock_steps WHERE abs(step - ?) < ? AND abs(at - ?) < ? GROUP BY node ORDER BY node"

_ADD = "INSERT INTO clock_steps (at, step, node) VALUES (?, ?, ?)"


def is_first_to_find(node: str, now: float, step: float) -> Callable[[Connection], bool]:
    """Record that the clock of a node was stepped to `now`; return whether no other node has recorded this step.

    A like step of the same node within SAME_TIME is another one.
    """

    def operation(raw: Connection) -> bool:
        raw.execute(_LOCK).fetchone()
        raw.execute(_FORGET, (now, _KEPT))
        seen = {row[0]: row[1] for row in raw.execute(_SEEN, (step, SAME_STEP, now, SAME_TIME))}
        own = seen.pop(node, 0)
        raw.execute(_ADD, (now, step, node))
        return all(count <= own for count in seen.values())

    return operation
