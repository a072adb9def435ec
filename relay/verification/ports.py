"""Protocol of the store of verifications."""

from collections.abc import Callable, Sequence
from typing import Protocol

from relay.limits.quota import Quota, TooMany
from relay.verification.challenge import Challenge
from relay.verification.model import Decision, T, Verification


class VerificationStore(Protocol):
    """Stores verifications and challenges, shared by all nodes."""

    async def find(self, subject: str = "") -> Sequence[Verification]:
        """Return the verifications of a subject, or of all, in order of subject and step."""

    async def verify(self, verification: Verification) -> None:
        """Store the state of a step; replaces the previous one."""

    async def proven(self) -> frozenset[str]:
        """Return the identities whose address was confirmed, and the domains verified by DNS."""

    async def challenge_by(self, queue_id: str) -> Challenge | None:
        """Return the challenge whose code is in the mail `queue_id`."""

    async def decide(self, identity: str, decide: "Callable[[Challenge | None], Decision[T]]") -> T:
        """Change the challenge of an identity and store what that proves, in one transaction; return the answer."""

    async def decide_within(
        self, quotas: Sequence[Quota], now: float, identity: str, decide: "Callable[[Challenge | None], Decision[T]]"
    ) -> T | TooMany:
        """Count a request in all quotas, then decide, in one transaction; TooMany if one of them is used up.

        Then nothing is counted and nothing decided. The same is written whether or not the identity has a challenge.
        """

    async def spend(self, quotas: Sequence[Quota], now: float) -> TooMany | None:
        """Count a request in all quotas; TooMany, and nothing counted, if one of them is used up."""

    async def add_copy(self, copy: Verification) -> bool:
        """Store the result of a test mail that came back, unless there is one; return whether it was stored."""

    async def forget_copies(self, before: float) -> None:
        """Delete the results of test mails that came back before that time."""
