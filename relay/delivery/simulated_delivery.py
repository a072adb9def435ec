"""Chooses between the servers of a lane and the receiver inside the relay. Simulated mail never gets to the first."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

from relay.clock import Clock
from relay.content_file import Content, ContentFile
from relay.delivery.smtp_delivery import NEVER_MIXED
from relay.mail.lane import SIMULATOR, is_simulated, lane_of
from relay.queue.outcome import Outcome
from relay.queue.ports import Delivery, DeliveryJob, Rendered
from relay.queue.sent_copies import ALL, SentCopy, SentCopyStore


class SimulatedDelivery:
    """Implements Delivery. The lane, the policy of the message, or the mark of an entry makes it simulated."""

    def __init__(self, real: Delivery, simulator: Delivery, copies: SentCopyStore, clock: Clock) -> None:
        self._real = real
        self._simulator = simulator
        self._copies = copies
        self._clock = clock

    def deliver(self, lane: str, job: DeliveryJob) -> Coroutine[Any, Any, Sequence[Outcome]]:
        """Deliver to the servers of the lane, or to the receiver."""
        policy = job.message.policy
        if is_simulated(lane):
            return self._simulator.deliver(lane, self._keeping(job))
        if not policy.sandbox and not policy.simulated:
            return self._real.deliver(lane, job)
        marked = {policy.is_simulated(entry.number) for entry in job.entries}
        if marked == {False}:
            return self._real.deliver(lane, job)
        if marked != {True}:
            return _never_mixed(job)
        return self._simulator.deliver(lane_of(SIMULATOR, job.entries[0].recipient), self._keeping(job))

    def _keeping(self, job: DeliveryJob) -> DeliveryJob:
        """Return the job, which keeps a copy of what it renders. No rate of a site applies to it."""

        async def render(eight_bit: bool) -> Rendered:
            rendered = await job.render(eight_bit)
            message = job.message
            number = job.entries[0].number if message.policy.is_per_recipient else ALL
            content = await _octets(rendered.content)
            await self._copies.keep(SentCopy(message.queue_id, number, self._clock(), rendered.reverse_path, content))
            return rendered

        return replace(job, render=render, admit=lambda _: job.is_held())


async def _never_mixed(job: DeliveryJob) -> Sequence[Outcome]:
    return [NEVER_MIXED] * len(job.entries)


async def _octets(content: Content) -> bytes:
    if not isinstance(content, ContentFile):
        return content
    return await asyncio.to_thread(content.read)
