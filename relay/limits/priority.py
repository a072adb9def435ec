"""Priorities of messages, and the flows that take turns for every shared resource. Pure."""

from enum import IntEnum
from typing import NamedTuple


class Priority(IntEnum):
    """Class of a message. Within an identity or a lane the classes leave in the proportion of their weights."""

    HIGH = 0
    NORMAL = 1
    CAMPAIGN = 2

    @property
    def weight(self) -> int:
        """Messages that leave of this class while one of CAMPAIGN leaves."""
        return 4 >> self


class Flow(NamedTuple):
    """Messages that wait in one order: those of one principal and one priority."""

    principal: str = ""
    """Key of the accountable party (`limits.principal`), "" for mail of the relay itself."""
    priority: Priority = Priority.NORMAL
