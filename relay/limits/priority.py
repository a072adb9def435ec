"""Priorities of messages, and the flows that take turns for every shared resource. Pure."""

from enum import IntEnum
from functools import lru_cache
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

    @classmethod
    def of(cls, stored: object) -> "Priority":
        """Return the priority of a stored number, NORMAL for one that damage has changed."""
        return _BY_NUMBER.get(stored, cls.NORMAL)


_BY_NUMBER: dict[object, Priority] = {int(one): one for one in Priority}


class Flow(NamedTuple):
    """Messages that wait in one order: those of one principal and one priority."""

    principal: str = ""
    """Key of the accountable party, "" for mail of the relay itself. Behind a tab: a part of its mail, by author."""
    priority: Priority = Priority.NORMAL

    @property
    def accountable(self) -> str:
        """Key of the accountable party (`limits.principal`)."""
        return _party_of(self.principal)

    @property
    def of_party(self) -> "Flow":
        """All mail of the accountable party with this priority."""
        return Flow(self.accountable, self.priority)


@lru_cache(maxsize=4096)
def _party_of(principal: str) -> str:
    """Return the key of the accountable party. It is cached: each shared resource needs it."""
    return principal.partition("\t")[0]


@lru_cache(maxsize=4096, typed=True)
def flow_of(principal: str, priority: Priority) -> Flow:
    """Return the flow. It is cached: each step of an attempt needs that of its entry."""
    return Flow(principal, priority)
