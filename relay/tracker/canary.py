"""The canary: a link and a pixel of no message, fetched to see whether readers reach the tracker. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from relay.mail.queue_id import LENGTH
from relay.rewrite.tokens import Keyring, Kind, Token, sign_token
from relay.tracker.responses import location

CANARY_ID = "0" * LENGTH
"""The queue id in a canary's tokens. No message has it: it would be of 1970."""


PATIENCE = 2
"""Failures in a row after which a base URL counts as down."""


NUMBERS = 2**28
"""Canaries are told apart by a number below this, so that no cache answers for the tracker."""


@dataclass(frozen=True, slots=True)
class Canary:
    """What is fetched: a link that must lead to exactly `target`, and a pixel."""

    link: str
    target: str
    pixel: str


@dataclass(frozen=True, slots=True)
class BaseUrlState:
    """A base URL and how it answers. `proven`: the tracker answered by it at least once. `why` is its last failure."""

    base_url: str
    proven: bool = False
    failures: int = 0
    failing_since: float = 0.0
    why: str = ""

    @property
    def down(self) -> bool:
        """Whether it worked and works no more. What never worked may be out of reach from this machine only."""
        return self.proven and self.failures >= PATIENCE

    @property
    def broken(self) -> bool:
        """Whether it worked and failed just now, down or not: it is tried again soon."""
        return self.proven and self.failures > 0


class BaseUrlStore(Protocol):
    """Remembers by which base URLs the tracker ever answered."""

    async def answering_hosts(self) -> frozenset[str]:
        """Return them."""

    async def host_answered(self, base_url: str, now: float) -> None:
        """Add one."""


def canary(keyring: Keyring, base_url: str, number: int) -> Canary:
    """Return the canary of that number (below `NUMBERS`) by that base URL."""
    target = f"{base_url}/robots.txt?canary={number}"
    link = sign_token(keyring, Token(Kind.CLICK, CANARY_ID, number, target))
    pixel = sign_token(keyring, Token(Kind.OPEN, CANARY_ID, number))
    return Canary(f"{base_url}/c/{link}", location(target) or target, f"{base_url}/o/{pixel}")


def is_canary(token: Token) -> bool:
    """Tell whether a token is a canary's: it is answered as any, and not recorded."""
    return token.queue_id == CANARY_ID


def link_fault(sent: Canary, status: int, led_to: str) -> str:
    """Return what is wrong with the answer to the link, "" when nothing is. Only our tracker knows where it leads."""
    if status != 302:
        return f"answers a link with {status} where this relay's tracker would with 302"
    return "" if led_to == sent.target else "leads a link elsewhere than this relay's tracker would"


def pixel_fault(status: int, content_type: str) -> str:
    """Return what is wrong with the answer to the pixel, "" when nothing is."""
    if status == 200 and content_type.startswith("image/"):
        return ""
    return f"answers a pixel with {status} {content_type}".rstrip()


def answered(host: BaseUrlState) -> BaseUrlState:
    """Return the host after the tracker answered by it."""
    return BaseUrlState(host.base_url, proven=True)


def failed(host: BaseUrlState, why: str, now: float) -> BaseUrlState:
    """Return the host after a canary did not come through."""
    since = host.failing_since if host.failures else now
    return replace(host, failures=host.failures + 1, failing_since=since, why=why)


def all_up(hosts: Iterable[BaseUrlState]) -> bool:
    """Tell whether none of the hosts is down."""
    return not any(host.down for host in hosts)
