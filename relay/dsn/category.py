"""A bounce category: its effects on the entry, the address and the lane, and its guidance."""

from dataclasses import dataclass
from typing import Literal

Next = Literal["retry", "retry-once", "retry-slowly", "retry-plain", "hold-provider", "bounce", "drop"]
"""Action for the queue entry.

Retry as scheduled, once, with long intervals, or without extensions; hold until the provider works again; bounce; drop
without a DSN.
"""

Suppression = Literal["now", "on-permanent", "count", "never", "keep"]
"""Effect on the address.

Suppress now; suppress for 5yz and count for 4yz; count towards the threshold; none; keep, because it is suppressed
already.
"""

Lane = Literal["none", "slow-down", "pause", "pause-provider", "pause-identity", "back-off", "remember"]
"""Effect on the lane.

None; lower the rate; pause it; pause the provider or the identity; count a failed connection; remember a limit of the
destination (size, missing extension, required TLS).
"""

Kind = Literal["hard", "soft", "block", "message", "config", "rate", "admin", "undetermined"]


@dataclass(frozen=True, slots=True)
class Category:
    """A bounce category with its effects and guidance."""

    name: str
    title: str
    kind: Kind
    on_temporary: Next
    on_permanent: Next
    suppression: Suppression
    lane: Lane
    fixed_by: str
    guidance: tuple[str, ...]
    alert: bool = False
    """Whether an operator is alerted, because waiting does not help."""
