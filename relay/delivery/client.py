"""Delivery by SMTP, as the queue wants it (`relay.queue.ports.Delivery`)."""

import time
from collections.abc import Callable, Sequence

from relay.config.settings import Settings
from relay.delivery.attempt import Attempt
from relay.delivery.directory import Directory
from relay.delivery.lane import parse_lane
from relay.delivery.pool import Line, Pool
from relay.delivery.tls import Trust
from relay.mail.reply import Reply
from relay.queue.outcome import Outcome, Refused
from relay.queue.ports import Job
from relay.queue.share import whole
from relay.resolver import Resolver


class SmtpDelivery:
    """Delivers to mail exchangers and providers.

    `settings` is asked at every delivery, so that a reload counts from the next one on. `share` says what of a lane's
    connections falls to this node. `clock` is monotonic seconds.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        resolver: Resolver,
        *,
        trust: Trust | None = None,
        share: Callable[[str, int], int] = whole,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self._trust = trust or Trust()
        self._directory = Directory(settings(), resolver, self._trust)
        self._pool = Pool(clock, share)

    async def deliver(self, lane: str, job: Job) -> Sequence[Outcome]:
        """Return one outcome for each entry, in order. Raises nothing but what `job.render` raises."""
        target = parse_lane(lane)
        if isinstance(target, Reply):
            return [Refused(target)] * len(job.entries)
        line = Line(lane, target, self._current())
        async with self._pool.place(line):
            return await Attempt(self._pool, line, job).run()

    def connections(self, lane: str) -> int:
        """Return how many connections a lane may have, over all nodes.

        The store asks from its own thread, so nothing is switched here: after a reload the next delivery does that.
        """
        target = parse_lane(lane)
        return 1 if isinstance(target, Reply) else self._directory.connections(target)

    async def close(self) -> None:
        """End the kept sessions. Deliveries under way end by themselves and keep none."""
        await self._pool.close()

    def _current(self) -> Directory:
        """Return the directory of the settings of now; after a reload no kept session of before is used."""
        settings = self._settings()
        if settings is not self._directory.settings:
            self._directory = Directory(settings, self._resolver, self._trust)
            self._pool.forget_kept()
        return self._directory
