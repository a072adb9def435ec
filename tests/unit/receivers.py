"""Receivers that accept a number of messages in a time, and senders with the rates of `SiteRates`, in moved time."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from relay.queue.site import Site
from relay.queue.site_rates import SiteRates

START = 1_800_000_000.0


class Receiver(Protocol):
    """Accepts a message at a time, or asks to slow down."""

    def accepts(self, now: float) -> bool:
        """Whether a message is accepted."""


class FixedWindow:
    """Accepts `most` messages in each window of `span` seconds; the first one ends after `span - phase`."""

    def __init__(self, most: int, span: float = 60.0, phase: float = 0.0) -> None:
        self._most, self._span, self._phase = most, span, phase
        self._window, self._taken = -1, 0

    def accepts(self, now: float) -> bool:
        """Whether the window has room."""
        window = int((now + self._phase) // self._span)
        if window != self._window:
            self._window, self._taken = window, 0
        self._taken += 1
        return self._taken <= self._most


class SlidingWindow:
    """Accepts `most` messages in any `span` seconds."""

    def __init__(self, most: int, span: float = 60.0) -> None:
        self._most, self._span = most, span
        self._taken: deque[float] = deque()

    def accepts(self, now: float) -> bool:
        """Whether fewer messages were accepted in the last seconds."""
        while self._taken and self._taken[0] <= now - self._span:
            self._taken.popleft()
        if len(self._taken) >= self._most:
            return False
        self._taken.append(now)
        return True


class TokenBucket:
    """Accepts `rate` messages a minute, and `burst` at once."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate / 60.0, burst
        self._tokens, self._at = float(burst), 0.0

    def accepts(self, now: float) -> bool:
        """Whether a token is left."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@dataclass
class Result:
    """What a receiver got."""

    accepted: list[float] = field(default_factory=list)
    slowed: list[float] = field(default_factory=list)

    @property
    def share_slowed(self) -> float:
        """Share of the messages that were asked to slow down."""
        return len(self.slowed) / (len(self.accepted) + len(self.slowed))

    def per_minute(self, first: float, last: float) -> float:
        """Messages accepted a minute between two minutes."""
        begin, end = START + 60 * first, START + 60 * last
        return sum(begin <= at < end for at in self.accepted) / (last - first)


def send_all(receiver: Receiver, rates: SiteRates, site: Site, minutes: float, latency: float = 0.05) -> Result:
    """Send as many messages of one lane as the rate allows, for some minutes of moved time."""
    return send_by_nodes(receiver, [rates], site, minutes, latency)


def send_by_nodes(
    receiver: Receiver, nodes: list[SiteRates], site: Site, minutes: float, latency: float = 0.05, lane: str = "mx:a"
) -> Result:
    """Send by several nodes. Every three seconds they see what the others found."""
    now, end, result = START, START + 60 * minutes, Result()
    in_flight: list[tuple[float, float, int, bool]] = []
    exchange_at = now + 3
    while now < end:
        while in_flight and in_flight[0][0] <= now:
            _, started_at, node, is_accepted = heapq.heappop(in_flight)
            if is_accepted:
                nodes[node].accepted(lane, started_at, now)
                result.accepted.append(now)
            else:
                nodes[node].slowed(lane, started_at, now, "451 4.7.0 slow down")
                result.slowed.append(now)
        if now >= exchange_at:
            exchange(nodes)
            exchange_at = now + 3
        for number, rates in enumerate(nodes):
            mine = sum(one[2] == number for one in in_flight)
            while mine < rates.connections(site.name, site.connections) and rates.admit(lane, site, None, now):
                heapq.heappush(in_flight, (now + latency, now, number, receiver.accepts(now)))
                mine += 1
        free_at = [at for rates in nodes if (at := rates.next_release(now)) is not None]
        now = max(min([*(one[0] for one in in_flight), *free_at, exchange_at]), now + 0.001)
    return result


def exchange(nodes: list[SiteRates]) -> None:
    """Let each node have the latest rate of all, with the use of all nodes since the cut."""
    saved = [one for rates in nodes for one in rates.unsaved() if one.rate is not None]
    for key in {one.key for one in saved}:
        of_key = [one for one in saved if one.key == key]
        latest = max((one.rate for one in of_key if one.rate), key=lambda rate: (rate.cut_at, rate.changed_at))
        for rates in nodes:
            rates.use_stored(key, latest)
