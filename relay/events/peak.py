"""A peak of events: they go to the spool at once, and to the store when it is over (decision 0069)."""

AFTER = 1.0
"""Seconds without many waiting events after which a peak is over."""

LONGEST = 30.0
"""Seconds after which the store is asked again. A real peak fills its part of the spool earlier; fewer it can take."""

SPOOL_PART = 0.25
"""Part of the spool that peaks may fill. The rest is for failures of the store."""


class Peak:
    """Decides which events belong to a peak. It begins when more than `size` of them wait. Times are of one clock."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._began: float | None = None
        """When the oldest events in the spool came; None if it was emptied since the last peak."""
        self.over_at = 0.0

    def includes(self, waiting: int, now: float) -> bool:
        """Whether so many events that wait go to the spool."""
        if self._began is not None and now >= self._began + LONGEST:
            return False
        if waiting > self._size:
            self._began = now if self._began is None else self._began
            self.over_at = now + AFTER
        return now < self.over_at

    def cancel(self) -> None:
        """End the peak now: the spool takes nothing."""
        self.over_at = 0.0

    def settle(self) -> None:
        """Allow the next peak: the spool is empty."""
        self._began = None
