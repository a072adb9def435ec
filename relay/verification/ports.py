"""What a store of verifications must do."""

from collections.abc import Callable, Sequence
from typing import Protocol

from relay.verification.challenge import Challenge
from relay.verification.model import Decision, T, Verification


class VerificationStore(Protocol):
    """Keeps verifications and challenges, for all that share the store."""

    async def find(self, subject: str = "") -> Sequence[Verification]:
        """Return how the steps of that subject stand, or of all subjects, in order of subject and step."""

    async def verify(self, verification: Verification) -> None:
        """Note how a step stands, in the place of what was there."""

    async def proven(self) -> frozenset[str]:
        """Return the identities whose address was confirmed, and the domains whose DNS speaks for them."""

    async def challenge_by(self, queue_id: str) -> Challenge | None:
        """Return the challenge whose code that mail carries."""

    async def decide(self, identity: str, decide: "Callable[[Challenge | None], Decision[T]]") -> T:
        """Change the challenge of an identity and note what that proves, in one transaction; return the answer."""

    async def forget_copies(self, before: float) -> None:
        """Forget how test mails looked that came back before that time."""
