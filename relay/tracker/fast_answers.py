"""Answers to requests of the fast path. What a batch has in common is done once: time, keys, blocks, counters."""

from collections import Counter
from collections.abc import Callable, Container, Sequence
from functools import lru_cache

from relay.clock import Clock
from relay.rewrite.tokens import Keyring, Kind, token_verifier
from relay.tracker.client import client_address
from relay.tracker.fast_path import FastRequest
from relay.tracker.link_blocks import LinkBlocks
from relay.tracker.location import location
from relay.tracker.reader_events import NOTHING, Hit, ReaderEvents
from relay.tracker.responses import pixel_octets, redirect_octets


class FastAnswers:
    """Makes the responses to a batch, and records its events. `requests` gets the number of answers."""

    def __init__(
        self,
        keyring: Callable[[], Keyring],
        trusted: Container[str],
        blocks: Callable[[], LinkBlocks],
        events: ReaderEvents,
        clock: Clock,
        requests: Counter[tuple[str, int]],
    ) -> None:
        self._keyring = keyring
        self._trusted = trusted
        self._blocks = blocks
        self._events = events
        self._clock = clock
        self._requests = requests

    def __call__(self, batch: Sequence[FastRequest]) -> list[bytes | None]:
        """Return the response to each request, None if aiohttp has to answer it."""
        keyring, second = self._keyring(), int(self._clock())
        verify_open, pixel = token_verifier(keyring, Kind.OPEN), pixel_octets(second)
        verify_click, blocks = token_verifier(keyring, Kind.CLICK), self._blocks()
        answers: list[bytes | None] = []
        hits: list[Hit] = []
        for is_click, parts, client, forwarded_for, peer in batch:
            token = verify_click(parts) if is_click else verify_open(parts)
            if token is None or (is_click and blocks.find(token) is not None):
                answer = None
            else:
                answer = _redirect(token.target, second) if is_click else pixel
            answers.append(answer)
            if token is not None and answer is not None:
                hits.append((token, client_address(peer, forwarded_for, self._trusted), client, NOTHING))
        self._events.record(hits)
        self._count(answers, pixel)
        return answers

    def _count(self, answers: Sequence[bytes | None], pixel: bytes) -> None:
        opens = answers.count(pixel)
        clicks = len(answers) - opens - answers.count(None)
        if opens:
            self._requests["open", 200] += opens
        if clicks:
            self._requests["click", 302] += clicks


@lru_cache(maxsize=256)
def _redirect(target: str, second: int) -> bytes | None:
    """Return the response to a click, None if it has no target. Cached: many readers follow the same links."""
    found = location(target)
    return None if found is None else redirect_octets(found, second)
