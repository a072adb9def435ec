"""Pauses of identities: by the rates of their bounces and complaints, or by an operator, until an operator resumes."""

import asyncio
from collections.abc import Callable

from relay.app.observer import Observer
from relay.app.outcome_counter import OutcomeCounter
from relay.clock import Clock
from relay.config.settings import Reputation, Settings
from relay.events.ports import StoreError
from relay.limits.outcome_rates import RateLimits, find_excess
from relay.limits.ports import OutcomeStore
from relay.queue.pause import BY_APPLICATION, Pause, identity_subject
from relay.queue.shared_pauses import SharedPauses

INTERVAL = 5.0
"""Seconds between two comparisons of the rates with their limits."""


class IdentityPauses:
    """Pauses and resumes identities, with log line, metric and alert."""

    def __init__(self, pauses: SharedPauses, outcomes: OutcomeStore, observer: Observer, clock: Clock) -> None:
        self._pauses = pauses
        self._outcomes = outcomes
        self._observer = observer
        self._clock = clock

    async def pause(self, address: str, cause: str, why: str) -> bool:
        """Pause an identity, by its canonical address, until an operator resumes it; False if it is paused already."""
        pause = Pause(identity_subject(address), self._clock(), 0.0, why, cause)
        is_new = await self._pauses.add(pause)
        if is_new:
            self._observer.identity_paused(address, cause, why)
        return is_new

    async def resume(self, address: str) -> int | None:
        """End the pause of an identity; return the number of entries it held back, None without a pause.

        Its rates begin anew: the mail that caused the pause does not cause another one. Raises StoreError.
        """
        await self._outcomes.forget(address)
        return self._resumed(address, await self._pauses.resume(identity_subject(address)))

    async def resume_of_application(self, address: str) -> int | None:
        """End the pause that an application made, as `resume` does, but its rates go on. None without such a pause."""
        return self._resumed(address, await self._pauses.resume_of(identity_subject(address), BY_APPLICATION))

    def _resumed(self, address: str, entries: int | None) -> int | None:
        if entries is not None:
            self._observer.identity_resumed(address, entries)
        return entries


class ReputationWatch:
    """Adds the outcomes of this process to those in the store, and pauses identities whose rates are too high."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        tally: OutcomeCounter,
        outcomes: OutcomeStore,
        pauses: IdentityPauses,
        observer: Observer,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._tally = tally
        self._outcomes = outcomes
        self._pauses = pauses
        self._observer = observer
        self._clock = clock

    async def run(self) -> None:
        """Compare again and again, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.compare()

    async def compare(self) -> None:
        """Store the new outcomes, and pause the identities that exceed a rate. Kept if the store fails."""
        new, limits = self._tally.take(), _limits(self._settings().reputation)
        if not new:
            return
        try:
            sums = await self._outcomes.add(new, self._clock(), limits.window)
        except StoreError as error:
            for identity, counts in new.items():
                self._tally.add(identity, counts)
            self._observer.store_trouble(error)
            return

        for identity, counts in sums.items():
            if (excess := find_excess(counts, limits)) is not None:
                await self._pauses.pause(identity, excess.cause, excess.why)


def _limits(settings: Reputation) -> RateLimits:
    return RateLimits(
        settings.window,
        settings.bounce_rate,
        settings.min_bounces,
        settings.complaint_rate,
        settings.min_complaints,
    )
