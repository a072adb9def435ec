"""Commands of operators about webhooks: show, test, pause, resume, replay."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from relay.config.webhooks import Webhook
from relay.events.event import Kind
from relay.webhooks.build import build
from relay.webhooks.feed import Position, PositionError
from relay.webhooks.filters import filter_of, senders_of
from relay.webhooks.formats.registry import FORMATS, compose, sender_of
from relay.webhooks.ports import Failure, WebhookState
from relay.webhooks.progress import Replay
from relay.webhooks.receiver_client import ReceiverClient
from relay.webhooks.report import PostLog
from relay.webhooks.response_meaning import FAILING_AFTER, Response
from relay.webhooks.samples import sample
from relay.webhooks.service import Webhooks, new_token

TEST = 60.0
"""Seconds of a test with all its samples, at most."""

COUNTED = 10_000
"""Events behind that are counted, at most."""


class UnknownWebhookError(LookupError):
    """There is no webhook of that name among those of the caller."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f'there is no [[webhook]] "{name[:200]}"; known: {", ".join(known) or "none"}')


@dataclass(frozen=True, slots=True)
class WebhookView:
    """A webhook as it does now. `behind` has at most COUNTED."""

    webhook: Webhook
    state: WebhookState | None
    doing: Literal["posting", "failing", "paused", "new"]
    behind: int
    lag: float
    """Seconds since the first event that is not posted, 0 if all are."""
    waiting: int
    """Failures that are tried again."""


@dataclass(frozen=True, slots=True)
class Tested:
    """The answer to a sample."""

    type: str
    response: Response
    accepted: bool


async def post_samples(
    client: ReceiverClient, webhook: Webhook, kinds: Sequence[Kind], domain: str, now: float, seconds: float = TEST
) -> Sequence[Tested]:
    """Post a sample of each of these kinds, one after the other, within so many seconds; return the answers."""
    post_format, sender = FORMATS[webhook.format], sender_of(webhook, domain)
    loop, tested = asyncio.get_running_loop(), list[Tested]()
    end = loop.time() + seconds
    for record in filter(post_format.takes, (sample(kind, domain, now) for kind in kinds)):
        post = compose(post_format, [record], sender, now, new_token())
        response = Response(0, f"not answered within the {seconds:g} seconds of the test")
        if loop.time() < end:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(end):
                    response = await client.post(post.body, post.headers)
        tested.append(Tested(record.type, response, 200 <= response.status < 300))
    return tested


class WebhookControl:
    """Commands about the webhooks of a relay. All methods raise StoreError, and UnknownWebhookError for a name."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    def webhooks(self) -> Mapping[str, Webhook]:
        """Return the configured webhooks, by name."""
        return self._webhooks.configured()

    def webhook(self, name: str) -> Webhook:
        """Return a configured webhook."""
        found = self._webhooks.configured().get(name)
        if found is None:
            raise UnknownWebhookError(name, self._webhooks.configured())
        return found

    async def views(self) -> Sequence[WebhookView]:
        """Return all configured webhooks."""
        stored = {state.name: state for state in await self._webhooks.store.states()}
        return [await self._view(one, stored.get(one.name)) for one in self.webhooks().values()]

    async def view(self, name: str) -> WebhookView:
        """Return one webhook."""
        webhook = self.webhook(name)
        return await self._view(webhook, await self._webhooks.store.state(name))

    async def _view(self, webhook: Webhook, state: WebhookState | None) -> WebhookView:
        if state is None or state.senders not in ("", senders_of(webhook)):
            return WebhookView(webhook, None, "new", 0, 0.0, 0)
        running = self._webhooks.senders().get(webhook.name)
        if running is not None and running.began and running.webhook == webhook:
            state = replace(running.cursor.state, paused_at=state.paused_at, why=state.why, replay=state.replay)
        behind, lag = await self._lag(state.position)
        failing = state.progress.failures >= FAILING_AFTER
        doing: Literal["posting", "failing", "paused"] = (
            "paused" if state.paused_at else "failing" if failing else "posting"
        )
        waiting = await self._webhooks.store.waiting(webhook.name)
        return WebhookView(webhook, state, doing, behind, lag, waiting)

    async def _lag(self, position: Position) -> tuple[int, float]:
        feed = self._webhooks.feed
        try:
            page = await feed.read(position, 1)
        except PositionError:
            return 0, 0.0
        if not page.events:
            return 0, 0.0
        age = self._webhooks.clock() - page.events[0].event.at
        return await feed.behind(position, COUNTED), max(age, 0.0)

    async def log(self, name: str, limit: int) -> Sequence[PostLog]:
        """Return the last posts of this process, newest first."""
        webhook, running = self.webhook(name), self._webhooks.senders().get(name)
        return list(running.posts)[::-1][:limit] if running is not None and running.webhook == webhook else []

    async def failures(self, name: str, limit: int) -> Sequence[Failure]:
        """Return the events whose post failed, newest first."""
        await self._begun(name)
        return await self._webhooks.store.failures(name, limit)

    async def test(self, name: str, kinds: Sequence[Kind], domain: str) -> Sequence[Tested]:
        """Post a sample of each of these kinds at once, also to a paused webhook."""
        webhook = self.webhook(name)
        async with self._webhooks.client(webhook) as client:
            return await post_samples(client, webhook, kinds, domain, self._webhooks.clock())

    async def pause(self, name: str, why: str) -> bool:
        """Pause a webhook; return whether it was not."""
        await self._begun(name)
        paused = await self._webhooks.store.pause(name, self._webhooks.clock(), why)
        if paused:
            self._webhooks.report.paused(name, why)
        self._webhooks.wake()
        return paused

    async def resume(self, name: str, *, from_now: bool) -> None:
        """Go on with what is kept, or with new events only. Stopped types are posted again, and waits end."""
        await self._begun(name)
        end = await self._webhooks.feed.end() if from_now else None
        await self._webhooks.store.resume(name, end)
        self._webhooks.report.resumed(name, from_now=from_now)
        self._webhooks.wake()

    async def replay(self, name: str, since: float, until: float) -> int:
        """Post the events of a time again; return about how many there are."""
        await self._begun(name)
        feed = self._webhooks.feed
        start, end = await feed.since(since), await feed.end()
        await self._webhooks.store.replay(name, Replay(start, end, since, until))
        self._webhooks.wake()
        return await feed.behind(start, COUNTED)

    async def replay_message(self, name: str, queue_id: str) -> int:
        """Post the events of one message again; return their number."""
        webhook, now = self.webhook(name), self._webhooks.clock()
        await self._begun(name)
        passes, post_format = filter_of(webhook).passes, FORMATS[webhook.format]
        stored = [one for one in await self._webhooks.feed.of_message(queue_id) if passes(one)]
        records = [record for record in map(build, stored) if post_format.takes(record)]
        failures = [
            Failure(one.stored.position, one.id, one.type, queue_id, one.event.address, now, now, 0) for one in records
        ]
        await self._webhooks.store.add(name, failures)
        await self._go_on(name)
        return len(failures)

    async def replay_failed(self, name: str) -> int:
        """Post all events again whose post failed; return their number."""
        await self._begun(name)
        count = await self._webhooks.store.retry_all(name, self._webhooks.clock())
        await self._go_on(name)
        return count

    async def _begun(self, name: str) -> None:
        """Make the row of a webhook that has not run yet, or not with these senders."""
        end, senders = await self._webhooks.feed.end(), senders_of(self.webhook(name))
        await self._webhooks.store.begin(name, end, self._webhooks.clock(), senders)

    async def _go_on(self, name: str) -> None:
        """Make the sender read its failures anew, and end its waits. A pause lasts."""
        state = await self._webhooks.store.state(name)
        if state is not None and not state.paused_at:
            await self._webhooks.store.resume(name)
        self._webhooks.wake()
