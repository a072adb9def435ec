"""What was found out about an identity, step by step, and what a store keeps of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from relay.identities.challenge import Challenge
from relay.mail.address import domain_of, normal

T = TypeVar("T")

TestStep = Literal["sending", "receiving", "tracking"]
TEST_STEPS: tuple[TestStep, ...] = ("sending", "receiving", "tracking")

Step = TestStep | Literal["sender", "dns", "copy"]
"""The three steps of the test; `sender`: whose address it is has confirmed; `dns`: the domain's records speak for it;
`copy`: a test mail came back and was judged."""

State = Literal["passed", "failed", "pending"]


@dataclass(frozen=True, slots=True)
class Verification:
    """How one step stands since `at` (Unix seconds), and by which mail that was found out.

    `subject` is the address of an identity as addresses are compared, a domain (`dns`), or a queue id (`copy`).
    """

    subject: str
    step: Step
    state: State
    at: float
    detail: str = ""
    queue_id: str = ""


@dataclass(frozen=True, slots=True)
class Decision(Generic[T]):
    """What becomes of a challenge: how it is now, what that proves, and what to answer."""

    challenge: Challenge | None
    proves: tuple[Verification, ...]
    answer: T


class VerificationStore(Protocol):
    """Keeps verifications and challenges, for all that share the store."""

    async def verifications(self, subject: str = "") -> Sequence[Verification]:
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


def is_proven(proven: frozenset[str], address: str) -> bool:
    """Tell whether mail of this address may be campaign mail: it was confirmed, or its domain speaks for it."""
    return normal(address) in proven or domain_of(address) in proven
