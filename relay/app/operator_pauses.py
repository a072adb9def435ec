"""Pauses that hold mail back: that of a site, domain, sender, campaign or provider is accepted, and waits."""

from collections.abc import Sequence

from relay.app.identity_pauses import IdentityPauses
from relay.clock import Clock
from relay.log import Emit
from relay.queue.pause import HOLD, HOLD_BY_APPLICATION, HeldKind, Pause, subject_of
from relay.queue.shared_pauses import SharedPauses


class OperatorPauses:
    """Pauses and resumes, with a log line for each."""

    def __init__(self, pauses: SharedPauses, identities: IdentityPauses, log: Emit, clock: Clock) -> None:
        self._pauses = pauses
        self._identities = identities
        self._log = log
        self._clock = clock

    def holds(self) -> Sequence[Pause]:
        """Return the pauses in force that hold mail back, by subject."""
        return self._pauses.holds()

    async def pause(self, kind: HeldKind, value: str, seconds: float, reason: str, application: str = "") -> bool:
        """Pause for some seconds, 0 for no end; False if it is paused already. A shorter pause ends no longer one.

        `application` is the credential that pauses, "" for an operator, whose pause outranks it.
        """
        now, subject = self._clock(), subject_of(kind, value)
        who, category = (
            (f"the application {application}", HOLD_BY_APPLICATION) if application else ("an operator", HOLD)
        )
        why = f"{who} paused it{f': {reason}' if reason else ''}"
        until = now + seconds if seconds else 0.0
        is_new = await self._pauses.add(Pause(subject, now, until, why, category))
        in_force = next((one.until for one in self.holds() if one.subject == subject), until)
        self._log("pause.begun", subject=subject, until=in_force, why=why)
        return is_new

    async def resume(self, kind: HeldKind, value: str) -> int | None:
        """End a pause; return the number of entries that are due now, None without a pause. Raises StoreError."""
        if kind == "identity":
            return await self._identities.resume(value)
        return self._ended(kind, value, await self._pauses.resume(subject_of(kind, value)))

    async def resume_of_application(self, kind: HeldKind, value: str) -> int | None:
        """End a pause if an application made it, as `resume` does; None without such a pause. Raises StoreError."""
        entries = await self._pauses.resume_of(subject_of(kind, value), HOLD_BY_APPLICATION)
        if entries is None and kind == "identity":
            return await self._identities.resume_of_application(value)
        return self._ended(kind, value, entries)

    def _ended(self, kind: HeldKind, value: str, entries: int | None) -> int | None:
        if entries is not None:
            self._log("pause.ended", subject=subject_of(kind, value), entries=entries)
        return entries
