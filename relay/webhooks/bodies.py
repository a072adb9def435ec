"""The bodies of events, as models: what receivers and readers of the feed get, and its JSON Schema.

Fields are only added. A body has at most 64 KiB: texts that came from outside are cut, and `cut` names them.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

MAX_BODY = 64 * 1024
"""Octets of a body, at most: what queues such as SQS and Pub/Sub push take without splitting."""


class _Model(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, populate_by_name=True, serialize_by_alias=True)


class Reply(_Model):
    """The reply of the receiving server. `status` is the enhanced code, "" if it has none."""

    code: int = Field(description="SMTP reply code, 0 if the text has none", examples=[550])
    status: str = Field(description="Enhanced status code (RFC 3463)", examples=["5.1.1"])
    text: str = Field(examples=["No such user"])


class Bounce(_Model):
    """The meaning of a permanent failure."""

    category: str = Field(description="One of the bounce categories", examples=["bad_mailbox"])
    class_: str = Field(
        alias="class",
        description="hard, soft, block, message, config, rate, admin or undetermined",
        examples=["hard"],
    )
    title: str = Field(examples=["No such address"])
    guidance: tuple[str, ...] = Field(description="What to do, in sentences")
    suppressed: bool = Field(description="Whether this failure alone suppresses the address")
    late: bool = Field(description="Whether it was reported by mail, after the receiver had accepted the message")


class Machine(_Model):
    """Why a request was probably not made by a person."""

    verdict: Literal["machine", "proxy"] = Field(
        description="machine: a scanner or prefetch; proxy: a mailbox provider that hides its reader"
    )
    reasons: tuple[str, ...]


class MessageEvent(_Model):
    """Fields of all events of messages."""

    id: str = Field(description="The same in every repetition: receivers ignore an id they have seen")
    queue_id: str = Field(description="Identifier of the message, as in the 250 reply", examples=["1M8PWY6BNNZFMM"])
    number: int = Field(description="Index of the recipient in the message, from 0")
    message_id: str = Field(description='Message-ID, "" if the message is no longer stored')
    recipient: str
    from_: str = Field(alias="from", description="Address of the From field")
    domain: str = Field(description="Sending domain")
    identity: str = Field(description='Identity whose limits apply, "" for none')
    kind: Literal["transactional", "campaign"]
    campaign: str = Field(description='Name of the campaign, "" for transactional mail')
    tags: tuple[str, ...]
    metadata: dict[str, str] = Field(description="What the application gave the message, such as its invoice")
    provider: str = Field(description='Provider that carries it, "direct" for MX hosts')
    subject: str | None = Field(None, description='Only with include = ["subject"]')
    cut: tuple[str, ...] | None = Field(None, description="Fields that were cut because they are too long")
    test: bool | None = Field(None, description="True for events of `relay webhook test`")


class Created(MessageEvent):
    """The message was accepted for this recipient."""


class Processed(MessageEvent):
    """The first attempt began."""


class Attempted(MessageEvent):
    """Fields of events that end an attempt, or report a failure afterwards."""

    attempt: int | None = Field(None, description="Number of the attempt; absent for a report by mail")
    remote: str = Field("", description="Server that replied")
    reply: Reply


class Delivered(Attempted):
    """The receiving server accepted the message."""

    delay: float | None = Field(None, description="Seconds since the message was accepted")


class Deferred(Attempted):
    """The attempt failed temporarily."""

    category: str = Field("", description="One of the bounce categories")
    next_attempt_at: str | None = Field(None, description="RFC 3339; absent for a report by mail")


class Bounced(Attempted):
    """The message was refused for good, or expired."""

    delay: float | None = Field(None, description="Seconds since the message was accepted")
    reason: str = Field("", description="Why the relay gave up, if not by the reply")
    bounce: Bounce


class Dropped(MessageEvent):
    """The message is not sent, by decision: the address is suppressed, unsubscribed, or the message was deleted."""

    reason: str


class Held(MessageEvent):
    """The stored message is damaged: it is not sent."""

    reason: str


class Engaged(MessageEvent):
    """Fields of events of readers."""

    client: str = Field("", description="Address of the client")
    user_agent: str = ""
    machine: Machine | None = Field(description="null for what seems to be a person")


class Opened(Engaged):
    """The pixel was fetched."""


class Clicked(Engaged):
    """A link was followed."""

    url: str


class Replied(MessageEvent):
    """A reply arrived."""

    reply_from: str = Field("", description="Author of the reply")
    reply_subject: str = ""
    automatic: bool = Field(description="Whether a program wrote it, such as a vacation note")


class Unsubscribed(MessageEvent):
    """The recipient unsubscribed."""

    by: str = Field("", description="page, one-click, mail or reply")
    client: str = ""
    user_agent: str = ""


class Complained(MessageEvent):
    """The recipient reported the message as spam."""

    feedback_type: str = "abuse"


class Feedback(MessageEvent):
    """A feedback report that is not a complaint."""

    feedback_type: str = ""


class OperatorEvent(_Model):
    """An event of the relay itself, for its operator: the fields of the log line of that name."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="allow")

    id: str
    hostname: str = Field(description="Host of the relay")
    text: str = Field(description="The event as one sentence")


class EventBody(_Model):
    """One event: the body of a post in the format `standard`, and an item of the feed."""

    type: str = Field(examples=["message.delivered"])
    timestamp: str = Field(description="RFC 3339 in UTC", examples=["2026-11-30T09:00:01.250Z"])
    data: SerializeAsAny[MessageEvent | OperatorEvent]

    def encode(self) -> bytes:
        """Return the body as JSON in UTF-8, without fields that are not set."""
        return self.model_dump_json(exclude_unset=True).encode("utf-8")


MODELS: dict[str, type[MessageEvent]] = {
    "message.created": Created,
    "message.processed": Processed,
    "message.delivered": Delivered,
    "message.deferred": Deferred,
    "message.bounced": Bounced,
    "message.dropped": Dropped,
    "message.held": Held,
    "message.open": Opened,
    "message.click": Clicked,
    "message.reply": Replied,
    "message.unsubscribe": Unsubscribed,
    "message.complaint": Complained,
    "message.feedback": Feedback,
}
"""The models of the events of messages, by type: the names of their log lines."""
