"""Lanes: messages of one lane share connections and rate limits. A lane is a destination domain or a provider."""

from relay.mail.canonical_address import domain_of

DIRECT = "direct"
"""Name of the built-in provider: delivery to the MX hosts of the recipient's domain."""

_DIRECT_PREFIX = "mx:"

_PROVIDER_PREFIX = "provider:"


def lane_of(provider: str, recipient: str) -> str:
    """Return the lane of a recipient with that provider: `mx:<domain>` or `provider:<name>`."""
    return _DIRECT_PREFIX + domain_of(recipient) if provider == DIRECT else _PROVIDER_PREFIX + provider


def split_lane(lane: str) -> tuple[str, str]:
    """Return (provider, domain): ("direct", the destination domain) or (the provider's name, "")."""
    if lane.startswith(_PROVIDER_PREFIX):
        return lane.removeprefix(_PROVIDER_PREFIX), ""
    return DIRECT, lane.removeprefix(_DIRECT_PREFIX)
