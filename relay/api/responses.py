"""The responses about messages, as models: OpenAPI is made of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from relay.api.problems import ProblemError, problem_json
from relay.api.replies import refusal
from relay.api.submitter import Submitted
from relay.mail.reply import Reply
from relay.queue.message import NewMessage
from relay.reports.serialize import time_json


class _Answer(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True)


class RecipientAnswer(_Answer):
    """One recipient of an accepted message."""

    address: str
    queue_id: str
    status: str = Field(description="`created`, or `dropped` with a reason; `refused` if others were accepted")
    reason: str = ""
    release_at: str | None = Field(default=None, description="Earliest time to send, by limits or `send_at`")


class MessageAnswer(_Answer):
    """A message that is accepted, and on disk."""

    queue_id: str = Field(description="Id of the message; with substitutions that of the first one")
    message_id: str = Field(description="The Message-ID with its angle brackets")
    recipients: tuple[RecipientAnswer, ...]


class Problem(_Answer):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="What is wrong, and what would be right")
    reply: str = Field(default="", description="The reply that SMTP would give")
    errors: tuple[str, ...] = Field(default=(), description="The faults of the body, one by one")


class BatchResult(_Answer):
    """The result of one message: the answer with status 202, else the problem."""

    status: int
    message: MessageAnswer | None = None
    problem: Problem | None = None


class BatchAnswer(_Answer):
    """The results in the order of the request."""

    results: tuple[BatchResult, ...]


class StoredRecipient(_Answer):
    """One recipient, as it is now."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="allow")

    recipient: str
    status: str = Field(description="created, processed, deferred, held, delivered, bounced or dropped")
    attempts: int
    reply: str = Field(description="The last reply of a server")
    reason: str
    next_attempt_at: str | None
    release_at: str | None


class StoredMessage(_Answer):
    """A message with its recipients and its events."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="allow", populate_by_name=True)

    queue_id: str
    message_id: str
    created_at: str | None
    from_: str = Field(alias="from")
    subject: str
    type: str
    campaign: str
    tags: tuple[str, ...]
    metadata: Mapping[str, str]
    recipients: tuple[StoredRecipient, ...]
    events: tuple[Mapping[str, Any], ...]


class ListedMessage(_Answer):
    """A message with its recipients."""

    model_config = ConfigDict(defer_build=True, frozen=True, populate_by_name=True)

    queue_id: str
    message_id: str
    created_at: str | None
    from_: str = Field(alias="from")
    subject: str
    recipients: tuple[StoredRecipient, ...]


class MessageList(_Answer):
    """A page of messages, newest first. It may have fewer than `limit`, and not be the last."""

    messages: tuple[ListedMessage, ...]
    next: str | None = Field(description="The parameter `before` of the next page; null at the end")


class SentCopy(_Answer):
    """The mail that a server would have got."""

    number: int | None = Field(description="Number of the recipient; null: all recipients get the same octets")
    at: str = Field(description="RFC 3339")
    reverse_path: str
    content: str = Field(description="The mail, in base64")


class SentCopies(_Answer):
    """A page of copies. There are none of a message that leaves for a server."""

    copies: tuple[SentCopy, ...]
    next: str | None = Field(description="The parameter `after` of the next page; null at the end")


class CancelAnswer(_Answer):
    """The recipients who do not get the message any more.

    Others got it, an attempt is in progress, or an operator holds it.
    """

    cancelled: tuple[str, ...]


def message_answer(submitted: Sequence[Submitted]) -> MessageAnswer | Reply:
    """Return the answer about the messages of one request; the refusal if all were refused."""
    accepted = [one.result for one in submitted if isinstance(one.result, NewMessage)]
    if not accepted:
        return next(one.result for one in submitted if isinstance(one.result, Reply))
    recipients = [answer for one in submitted for answer in _recipients(one)]
    first = accepted[0].message
    return MessageAnswer(queue_id=first.queue_id, message_id=first.message_id, recipients=tuple(recipients))


def _recipients(submitted: Submitted) -> Iterator[RecipientAnswer]:
    """Yield the recipients of one message, without the copies that the configuration adds."""
    if isinstance(submitted.result, Reply):
        for address in submitted.recipients:
            yield RecipientAnswer(address=address, queue_id="", status="refused", reason=submitted.result.text)
        return
    copies = submitted.result.message.policy.copies
    for entry in submitted.result.entries:
        if entry.number not in copies:
            yield RecipientAnswer(
                address=entry.recipient,
                queue_id=entry.queue_id,
                status=entry.status,
                reason=entry.reason,
                release_at=time_json(entry.release_at),
            )


def batch_result(submitted: Sequence[Submitted]) -> BatchResult:
    """Return the result of one message of a batch."""
    answer = message_answer(submitted)
    return BatchResult(status=202, message=answer) if isinstance(answer, MessageAnswer) else refused(refusal(answer))


def refused(error: ProblemError) -> BatchResult:
    """Return the result of a message of a batch that has this error."""
    return BatchResult(
        status=error.status,
        problem=Problem.model_validate(problem_json(error.status, error.detail, **error.more)),
    )


def stored_message(story: Mapping[str, object]) -> StoredMessage:
    """Return a message as it is now, of the JSON of its story."""
    return StoredMessage.model_validate(story)
