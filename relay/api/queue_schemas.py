"""Schemas of the routes of the queue and of pauses, as models."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from relay.admin.pauses import MAX_SECONDS
from relay.admin.requests import MAX_REASON
from relay.api.management_schemas import Answer, RequestBody
from relay.queue.pause import HeldKind


class QueueRows(Answer):
    """A page of queue entries; of those that changed, after a change."""

    entries: tuple[Mapping[str, Any], ...]
    next: str | None = Field(description="`after` of the next page")


class WaitReason(Answer):
    """One thing that decides when an entry leaves, or what became of it."""

    cause: str
    text: str
    until: str | None
    remedy: str = Field(description="What can be done; empty for nothing")


class WaitingEntry(Answer):
    """A recipient with its reasons, the strongest first."""

    queue_id: str
    number: int
    recipient: str
    state: str
    leaves_at: str | None
    reasons: tuple[WaitReason, ...]


class WaitReasons(Answer):
    """Why mail waits. Without restriction it has sites and servers too, which all senders share."""

    target: str
    kind: str
    entries: tuple[WaitingEntry, ...]
    more: bool = Field(description="Whether there are further entries")
    causes: Mapping[str, int] = Field(description="Entries by their first cause")


class PauseSubject(RequestBody):
    """What is paused. A restricted credential may name identities and sending domains of its own."""

    kind: HeldKind = Field(description="`domain` is one of recipients")
    value: str = Field(min_length=1)


class NewPause(PauseSubject):
    """What to pause, and for how long."""

    seconds: float = Field(default=0, ge=0, le=MAX_SECONDS, strict=True, description="0: until it is resumed")
    reason: str = Field(default="", max_length=MAX_REASON)


class PauseRow(Answer):
    """A pause in force. Mail is accepted, and waits."""

    kind: HeldKind
    value: str
    since: str | None
    until: str | None
    why: str


class Pauses(Answer):
    """The pauses in force that hold mail back."""

    pauses: tuple[PauseRow, ...]


class PauseBegun(Answer):
    """`paused` is false if it was paused before."""

    kind: HeldKind
    value: str
    paused: bool


class PauseEnded(Answer):
    """`entries`: recipients that are due now."""

    kind: HeldKind
    value: str
    resumed: bool
    entries: int
