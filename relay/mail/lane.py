"""Lanes: messages of one lane share connections and rate limits. A lane is a destination domain or a provider.

Simulated mail has lanes of its own, one for each word of the simulator. No lane of a server ever carries it.
"""

from relay.mail.canonical_address import domain_of
from relay.mail.simulator_words import word_in

DIRECT = "direct"
"""Name of the built-in provider: delivery to the MX hosts of the recipient's domain."""

SIMULATOR = "simulator"
"""Name of the built-in provider whose receiver is inside the relay: its mail leaves for no server."""

BUILT_IN = frozenset({DIRECT, SIMULATOR})
"""Providers that no configuration names."""

_DIRECT_PREFIX = "mx:"

_PROVIDER_PREFIX = "provider:"

SIMULATOR_PREFIX = "simulator:"
"""What the lanes of the simulator begin with."""


def lane_of(provider: str, recipient: str) -> str:
    """Return the lane of a recipient with that provider: `mx:<domain>`, `provider:<name>` or `simulator:<word>`."""
    match provider:
        case "direct":
            return _DIRECT_PREFIX + domain_of(recipient)
        case "simulator":
            return SIMULATOR_PREFIX + word_in(recipient)
        case _:
            return _PROVIDER_PREFIX + provider


def split_lane(lane: str) -> tuple[str, str]:
    """Return (provider, domain): ("direct", the destination domain) or (the provider's name, "")."""
    if lane.startswith(_PROVIDER_PREFIX):
        return lane.removeprefix(_PROVIDER_PREFIX), ""
    if is_simulated(lane):
        return SIMULATOR, ""
    return DIRECT, lane.removeprefix(_DIRECT_PREFIX)


def is_provider(lane: str) -> bool:
    """Whether the lane is that of an upstream service."""
    return lane.startswith(_PROVIDER_PREFIX)


def is_simulated(lane: str) -> bool:
    """Whether the receiver inside the relay answers the mail of this lane."""
    return lane.startswith(SIMULATOR_PREFIX)
