"""Flows whose messages ended a renderer: they get a renderer of their own for a while. Pure."""

from collections import Counter
from dataclasses import dataclass, field

from relay.limits.priority import Flow

SLOW_FOR = 60.0
"""Seconds after the last message that ended a renderer."""

_MAX_AUTHORS = 3
"""Groups of authors of one party after which all of its mail counts."""


@dataclass(slots=True)
class SlowFlows:
    """The authors and parties that ended a renderer lately, with the end of that time in monotonic seconds."""

    _until: dict[str, float] = field(default_factory=dict)

    def add(self, flow: Flow, now: float) -> None:
        """Note that a message of the flow ended a renderer. The mail of other authors counts after the third one."""
        self._until = {name: until for name, until in self._until.items() if until > now}
        self._until[flow.principal] = now + SLOW_FOR
        authors = Counter(Flow(name).accountable for name in self._until)
        if authors[flow.accountable] >= _MAX_AUTHORS:
            self._until[flow.accountable] = now + SLOW_FOR

    def holds(self, flow: Flow, now: float) -> bool:
        """Whether the flow gets the renderer of such flows now."""
        if not self._until:
            return False
        return max(self._until.get(flow.principal, 0.0), self._until.get(flow.accountable, 0.0)) > now
