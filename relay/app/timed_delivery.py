"""Delivery and renderer with a measurement of their time, for the metrics."""

from collections.abc import Sequence

from relay.clock import Clock
from relay.metrics.durations import Durations
from relay.metrics.queue_figures import provider_label
from relay.queue.outcome import Outcome
from relay.queue.ports import Delivery, DeliveryJob, Renderer
from relay.render.message import Rendering, RenderInput
from relay.render.renderer import ContentFiles


class TimedDelivery:
    """Implements Delivery. Jobs that their site did not admit are no attempts."""

    def __init__(self, delivery: Delivery, durations: Durations, steady: Clock) -> None:
        self._delivery = delivery
        self._seconds_of = durations.attempt.of
        self._steady = steady

    async def deliver(self, lane: str, job: DeliveryJob) -> Sequence[Outcome]:
        """Deliver the job."""
        began = self._steady()
        outcomes = await self._delivery.deliver(lane, job)
        if outcomes:
            self._seconds_of(provider_label(lane)).observe(self._steady() - began)
        return outcomes


class TimedRenderer:
    """Implements Renderer."""

    def __init__(self, renderer: Renderer, durations: Durations, steady: Clock) -> None:
        self._renderer = renderer
        self._seconds = durations.render
        self._steady = steady

    async def render(self, message: RenderInput, recipients: Sequence[int], *, eight_bit: bool) -> Sequence[Rendering]:
        """Return one rendering for each recipient."""
        began = self._steady()
        renderings = await self._renderer.render(message, recipients, eight_bit=eight_bit)
        self._seconds.observe(self._steady() - began)
        return renderings

    async def render_file(
        self, message: RenderInput, recipient: int, files: ContentFiles, *, eight_bit: bool
    ) -> Rendering:
        """Render a large message into a file."""
        began = self._steady()
        rendering = await self._renderer.render_file(message, recipient, files, eight_bit=eight_bit)
        self._seconds.observe(self._steady() - began)
        return rendering
