"""Canaries: a link and a pixel of no message, requested to test that a base URL reaches the tracker. Pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from relay.mail.queue_id import LENGTH
from relay.rewrite.tokens import Keyring, Kind, Token, sign_token
from relay.tracker.location import location

CANARY_ID = "0" * LENGTH
"""Queue id in the tokens of canaries. No message has it, because its time is 1970."""

MAX_FAILURES = 2
"""Consecutive failures after which a base URL counts as down."""

MAX_NUMBER = 2**28
"""Upper bound of canary numbers. Each canary has its own number, so that no cache can answer for the tracker."""


@dataclass(frozen=True, slots=True)
class Canary:
    """URLs to request: a link that must redirect to exactly `target`, and a pixel."""

    link: str
    target: str
    pixel: str


@dataclass(frozen=True, slots=True)
class BaseUrlState:
    """State of a base URL. `proven`: the tracker answered under it at least once. `why`: its last failure."""

    base_url: str
    proven: bool = False
    failures: int = 0
    failing_since: float = 0.0
    why: str = ""

    @property
    def down(self) -> bool:
        """True if the base URL worked before and fails now.

        One that never worked may be unreachable from this host only.
        """
        return self.proven and self.failures >= MAX_FAILURES

    @property
    def broken(self) -> bool:
        """True if the base URL worked before and its last canary failed: it is tested again soon."""
        return self.proven and self.failures > 0


class BaseUrlStore(Protocol):
    """Stores the base URLs under which the tracker has answered."""

    async def answering_hosts(self) -> frozenset[str]:
        """Return the stored base URLs."""

    async def host_answered(self, base_url: str, now: float) -> None:
        """Add a base URL; `now` is Unix seconds."""


def canary(keyring: Keyring, base_url: str, number: int) -> Canary:
    """Return the canary with a number below `MAX_NUMBER` for a base URL."""
    target = f"{base_url}/robots.txt?canary={number}"
    link = sign_token(keyring, Token(Kind.CLICK, CANARY_ID, number, target))
    pixel = sign_token(keyring, Token(Kind.OPEN, CANARY_ID, number))
    return Canary(f"{base_url}/c/{link}", location(target) or target, f"{base_url}/o/{pixel}")


def is_canary(token: Token) -> bool:
    """Return True for the token of a canary. It is answered like any other, but not recorded."""
    return token.queue_id == CANARY_ID


def link_fault(sent: Canary, status: int, target: str) -> str:
    """Return the error in the answer to the link, "" if there is none. Only this tracker can read the target."""
    if status != 302:
        return f"answers a link with {status}, not with 302 as this tracker does"
    return "" if target == sent.target else "redirects a link to another target than this tracker does"


def pixel_fault(status: int, content_type: str) -> str:
    """Return the error in the answer to the pixel, "" if there is none."""
    if status == 200 and content_type.startswith("image/"):
        return ""
    return f"answers a pixel with {status} {content_type}".rstrip()


def answered(state: BaseUrlState) -> BaseUrlState:
    """Return the state after a successful canary."""
    return BaseUrlState(state.base_url, proven=True)


def failed(state: BaseUrlState, why: str, now: float) -> BaseUrlState:
    """Return the state after a failed canary."""
    since = state.failing_since if state.failures else now
    return replace(state, failures=state.failures + 1, failing_since=since, why=why)


def all_up(states: Iterable[BaseUrlState]) -> bool:
    """Return True if no base URL is down."""
    return not any(state.down for state in states)
