"""Whether the connections are shared: a principal that is alone leaves none of a site to others."""

from collections.abc import Callable

from relay.config.settings import Settings

SHARED_FOR = 3600.0
"""Seconds during which the connections count as shared after mail of another principal."""

_RELAY = frozenset(("", "relay"))
"""Principals of mail of the relay itself: it does not share, because it is little."""


class RecentPrincipals:
    """The principals whose mail was delivered lately. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = ""
        self._shared_until = 0.0

    def add(self, principal: str) -> None:
        """Note mail of a principal."""
        if principal == self._last or principal in _RELAY:
            return
        if self._last:
            self._shared_until = self._clock() + SHARED_FOR
        self._last = principal

    def are_several(self, settings: Settings) -> bool:
        """Whether there are several: lately, or as configured."""
        listed = len(settings.identities) + len(settings.credentials)
        return listed > 1 or self._clock() < self._shared_until
