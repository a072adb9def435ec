"""What a category of delivery failures is: its meaning, what a relay does about it, what a person can do."""

from dataclasses import dataclass
from typing import Literal

Next = Literal["retry", "retry-once", "retry-slowly", "retry-plain", "hold-provider", "bounce", "drop"]
"""What to do with a queue entry: try again as scheduled, once more, with long waits, without extensions; keep it until
the provider works again; give up and tell the sender; drop it silently."""

Suppression = Literal["now", "on-permanent", "count", "never", "keep"]
"""What a failure means for the address: off the list at once; at once for 5yz and counted for 4yz; counted towards the
threshold; nothing; it is on the list already."""

Lane = Literal["none", "slow-down", "pause", "pause-provider", "pause-identity", "back-off", "remember"]
"""What a failure means for the lane: nothing; lower the rate; pause it; pause the provider or the identity; count a
failed connection; remember a fact of the destination (its size limit, a missing extension, its need of TLS)."""

Kind = Literal["hard", "soft", "block", "message", "config", "rate", "admin", "undetermined"]


@dataclass(frozen=True, slots=True)
class Category:
    """One category.

    `iana` names the enhanced status codes registered for it (`x` stands for a class or a digit); `sparkpost`, `ses`
    and `sendgrid` are the names those providers give it.
    """

    name: str
    title: str
    kind: Kind
    definition: str
    on_temporary: Next
    on_permanent: Next
    suppression: Suppression
    lane: Lane
    fixed_by: str
    guidance: tuple[str, ...]
    iana: tuple[str, ...] = ()
    sparkpost: tuple[int, ...] = ()
    ses: tuple[str, ...] = ()
    sendgrid: str = ""
    alert: bool = False
    """Waiting does not mend it: somebody of the sending side has to look at it."""
