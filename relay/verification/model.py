"""Results of verification steps as they are stored."""

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from relay.mail.canonical_address import canonical, domain_of
from relay.verification.challenge import Challenge

T = TypeVar("T")

TestStep = Literal["sending", "receiving", "tracking", "cc"]

TEST_STEPS: tuple[TestStep, ...] = ("sending", "receiving", "tracking", "cc")

NEEDED_STEPS = frozenset[TestStep]({"sending", "receiving", "tracking"})
"""Steps that every identity must pass. `cc` is for those whose mailbox forwards to their CC tracking address."""

Step = TestStep | Literal["sender", "dns", "copy"]
"""The steps of the test, and `sender`: a code sent to the address was confirmed; `dns`: DNS has the key of its domain;
`copy`: a test mail came back.
"""

State = Literal["passed", "failed", "pending"]


@dataclass(frozen=True, slots=True)
class Verification:
    """State of one step since `at` (Unix seconds); `queue_id` is that of the mail used.

    `subject` is the canonical address of an identity, a domain (`dns`), or a queue id (`copy`).
    """

    subject: str
    step: Step
    state: State
    at: float
    detail: str = ""
    queue_id: str = ""


@dataclass(frozen=True, slots=True)
class Decision(Generic[T]):
    """Result of `decide`: the challenge to store, the verifications it proves, and the answer to return."""

    challenge: Challenge | None
    proves: tuple[Verification, ...]
    answer: T


def is_proven(proven: frozenset[str], address: str) -> bool:
    """Whether campaign mail of this address is allowed: the address was confirmed, or its domain is verified."""
    return canonical(address) in proven or domain_of(address) in proven
