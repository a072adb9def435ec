"""What was found out about an identity, step by step, and what a store keeps of it."""

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from relay.mail.canonical import canonical, domain_of
from relay.verification.challenge import Challenge

T = TypeVar("T")


TestStep = Literal["sending", "receiving", "tracking"]


TEST_STEPS: tuple[TestStep, ...] = ("sending", "receiving", "tracking")


Step = TestStep | Literal["sender", "dns", "copy"]
"""The three steps of the test; `sender`: a code sent to the address itself was confirmed; `dns`: DNS shows the key of
its domain; `copy`: a test mail came back and was judged."""


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


def is_proven(proven: frozenset[str], address: str) -> bool:
    """Tell whether mail of this address may be campaign mail: it was confirmed, or its domain speaks for it."""
    return canonical(address) in proven or domain_of(address) in proven
