"""Schemas of the routes of webhooks, as models."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from relay.api.management_schemas import Answer, RequestBody
from relay.config.webhooks import MessageEvents, OperatorEvents, WebhookFormat


class WebhookRow(Answer):
    """A webhook, and its state."""

    name: str
    format: WebhookFormat
    host: str
    domains: tuple[str, ...]
    identities: tuple[str, ...]
    state: Literal["posting", "failing", "paused", "new"]
    behind: int = Field(description="Events that are not looked at yet, at most 10,000")


class WebhookSettings(RequestBody):
    """The settings of a webhook. A restricted credential gives `domains` or `identities`, all its own."""

    url: str = Field(pattern=r"^https?://\S+$", max_length=2000)
    format: WebhookFormat = "standard"
    secret: str | tuple[str, ...] | None = Field(
        default=None, description="Absent: a new one is made, and that of a webhook that exists stays"
    )
    events: tuple[MessageEvents | OperatorEvents, ...] = Field(default=(), description="Empty: all of messages")
    domains: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    campaigns: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    type: Literal["any", "transactional", "campaign"] = "any"
    machines: Literal["labelled", "none"] = "labelled"
    include: tuple[Literal["subject"], ...] = ()
    username: str = ""
    password: str | None = Field(default=None, description="Absent: that of a webhook that exists stays")
    headers: Mapping[str, str] = {}
    timeout: float = Field(default=15, gt=0, le=60, strict=True, description="Seconds")
    concurrency: int = Field(default=4, ge=1, le=32, strict=True)
    batch: int = Field(default=1, ge=1, le=1000, strict=True)


class WebhookWritten(Answer):
    """A webhook that is in force."""

    name: str
    created: bool
    secret: str | None = Field(description="The secret that was made: it is not shown again")


class WebhookRemoved(Answer):
    """A webhook that was removed."""

    name: str
    removed: bool


class Webhooks(Answer):
    """The webhooks whose events are all of senders of the credential."""

    webhooks: tuple[WebhookRow, ...]


class WebhookPosts(Answer):
    """Posts, newest first, and whether there are more than were asked for."""

    posts: tuple[Mapping[str, Any], ...]
    more: bool


class WebhookSamples(RequestBody):
    """Kinds of events to post samples of; empty: all."""

    events: tuple[MessageEvents, ...] = ()


class WebhookAnswers(Answer):
    """The answers to the samples."""

    answers: tuple[Mapping[str, Any], ...]


class WebhookPaused(Answer):
    """`paused` is false if it was paused before."""

    paused: bool


class WebhookResumption(RequestBody):
    """Where to go on."""

    begin: Literal["kept", "now"] = Field(default="kept", alias="from")


class WebhookResumed(Answer):
    """The pause, the waits and the stops of types are over."""

    resumed: bool


class WebhookReplay(RequestBody):
    """One of `since`, `queue_id` and `failed`."""

    since: float | None = Field(default=None, ge=0, le=1e12, strict=True, description="Unix seconds")
    until: float | None = Field(default=None, ge=0, le=1e12, strict=True, description="Unix seconds; absent: now")
    queue_id: str | None = Field(default=None, description="Events of this message")
    failed: Literal[True] | None = Field(default=None, description="Events whose post failed")


class WebhookReplayed(Answer):
    """The number of events that are posted again, or that are looked at."""

    events: int
