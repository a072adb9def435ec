"""Posts records to a receiver, and counts its responses."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

from relay.clock import Clock
from relay.config.webhooks import Webhook
from relay.webhooks.batches import batches, partitions
from relay.webhooks.build import Record
from relay.webhooks.cursor import Cursor
from relay.webhooks.feed import Position
from relay.webhooks.formats.registry import FORMATS, compose, sender_of
from relay.webhooks.progress import Answer
from relay.webhooks.receiver_client import ReceiverClient
from relay.webhooks.report import PostLog, WebhookReport
from relay.webhooks.response_meaning import (
    FAILING_AFTER,
    MAX_PROBE_INTERVAL,
    Accepted,
    Failed,
    Gone,
    Meaning,
    Refused,
    Response,
    Unavailable,
    classify_response,
    retry_at,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of the post of a record. `step`: it is delivered, tried again, or given up."""

    record: Record
    step: Literal["delivered", "retry", "give_up"]
    answer: Answer


Outcomes = dict[Position, Outcome]


@dataclass(frozen=True, slots=True)
class PostContext:
    """What a post needs beside its records. `random` returns a number in [0, 1), `token` 50 hexadecimal digits."""

    webhook: Webhook
    hostname: str
    client: ReceiverClient
    cursor: Cursor
    report: WebhookReport
    clock: Clock
    random: Callable[[], float]
    token: Callable[[], str]
    posts: deque[PostLog]


class Posting:
    """Posts records side by side, until the receiver takes no more. A record without an outcome was not decided."""

    def __init__(self, context: PostContext) -> None:
        self._context = context
        self._format = FORMATS[context.webhook.format]
        self._sender = sender_of(context.webhook, context.hostname)
        self._outcomes: Outcomes = {}
        self._halted = False
        self.gone = False
        """Whether the receiver asked for no further events."""

    async def send(self, records: Sequence[Record], *, apart: bool = False) -> Outcomes:
        """Return the outcomes by position. `apart` posts each record by itself, whatever the format allows.

        After a failure one post tests the receiver first.
        """
        size = 1 if apart else self._context.webhook.batch
        pending = list(batches(records, size))
        if self._context.cursor.progress.failures and pending:
            await self._post(pending.pop(0))
        rest = [record for batch in pending for record in batch]
        if rest and not self._halted:
            count = 1 if size > 1 else self._context.webhook.concurrency
            await asyncio.gather(*(self._post_partition(partition, size) for partition in partitions(rest, count)))
        return self._outcomes

    async def _post_partition(self, records: Sequence[Record], size: int) -> None:
        for batch in batches(records, size):
            if self._halted:
                return
            await self._post(batch)

    async def _post(self, batch: Sequence[Record]) -> None:
        context = self._context
        now = context.clock()
        post = compose(self._format, batch, self._sender, now, context.token())
        response = await context.client.post(post.body, post.headers)
        meaning = classify_response(response, now)
        self._note(batch, response, meaning, now)
        await self._apply(batch, meaning, Answer(now, response.status, response.text))

    def _note(self, batch: Sequence[Record], response: Response, meaning: Meaning, now: float) -> None:
        context, first = self._context, batch[0]
        result = type(meaning).__name__.lower()
        context.report.posted(context.webhook.name, result)
        context.posts.append(
            PostLog(
                at=now,
                type=first.type,
                event_id=first.id,
                queue_id=first.event.queue_id,
                recipient=first.event.address,
                events=len(batch),
                status=response.status,
                text=response.text,
                seconds=response.seconds,
                result=result,
            )
        )

    async def _apply(self, batch: Sequence[Record], meaning: Meaning, answer: Answer) -> None:
        match meaning:
            case Accepted():
                self._accept(batch, answer)
            case Unavailable(wait):
                self._fail(answer, wait)
            case Gone():
                self.gone = True
                self._fail(answer, 0.0)
            case Failed():
                self._end(batch, "retry", answer)
                self._fail(answer, 0.0, alone=True)
            case Refused() if len(batch) > 1:
                for record in batch:  # One of them is refused, and which one the answer does not say.
                    if not self._halted:
                        await self._post([record])
            case Refused():
                self._refuse(batch[0], answer)
            case _:
                assert_never(meaning)

    def _end(self, batch: Sequence[Record], step: Literal["delivered", "retry", "give_up"], answer: Answer) -> None:
        for record in batch:
            self._outcomes[record.stored.position] = Outcome(record, step, answer)

    def _accept(self, batch: Sequence[Record], answer: Answer) -> None:
        cursor, before = self._context.cursor, self._context.cursor.progress
        self._end(batch, "delivered", answer)
        cursor.progress = before.accept(frozenset(map(self._format.type_of, batch)), len(batch), answer)
        if before.failures >= FAILING_AFTER:
            self._context.report.recovered(self._context.webhook.name, answer.at - before.failing_since)

    def _refuse(self, record: Record, answer: Answer) -> None:
        cursor, before = self._context.cursor, self._context.cursor.progress
        self._end([record], "give_up", answer)
        kind = self._format.type_of(record)
        cursor.progress = before.refuse(kind, answer)
        if kind in cursor.progress.stopped - before.stopped:
            self._context.report.type_stopped(self._context.webhook.name, kind, answer.status, answer.text)
        if cursor.progress.refuses_all:
            self._fail(answer, 0.0)

    def _fail(self, answer: Answer, wait: float, *, alone: bool = False) -> None:
        """Count a failure of the receiver, once for all partitions, and post nothing for a while.

        A failure at one event (`alone`) halts the others only if it is the third in a row.
        """
        if self._halted:
            return
        context = self._context
        cursor, failures = context.cursor, context.cursor.progress.failures + 1
        self._halted = not alone or failures >= FAILING_AFTER
        if self._halted:
            jitter = 2 * context.random() - 1
            schedule = [min(one, MAX_PROBE_INTERVAL) for one in context.webhook.retry]
            cursor.progress = cursor.progress.fail(answer, retry_at(schedule, failures, answer.at, jitter, wait))
        else:
            cursor.progress = cursor.progress.fail(answer, 0.0)
        if failures == FAILING_AFTER:
            context.report.failing(context.webhook.name, context.webhook.host, answer.status, answer.text)
