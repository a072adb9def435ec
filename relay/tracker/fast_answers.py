"""Answers to requests of the fast path. What a batch has in common is done once: time, keys, blocks, counters."""

from collections import Counter
from collections.abc import Callable, Container, Sequence

from relay.clock import Clock
from relay.events.event import Kind as EventKind
from relay.rewrite.tokens import Keyring, Kind, url_token_verifier
from relay.tracker.client import client_address
from relay.tracker.fast_path import FastRequest
from relay.tracker.link_blocks import LinkBlocks
from relay.tracker.location import location
from relay.tracker.reader_events import Hit, ReaderEvents
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

    def __call__(self, batch: Sequence[tuple[FastRequest, str]]) -> list[bytes | None]:
        """Return the response to each request of a peer, None if aiohttp has to answer it."""
        keyring, second = self._keyring(), int(self._clock())
        verify_open, pixel = url_token_verifier(keyring, Kind.OPEN), pixel_octets(second)
        answers: list[bytes | None] = []
        hits: list[Hit] = []
        for request, peer in batch:
            if request.kind is not Kind.OPEN:
                answers.append(self._redirect(keyring, request, peer, second, hits))
            elif (token := verify_open(request.token)) is not None:
                address = client_address(peer, request.forwarded_for, self._trusted)
                hits.append(Hit(EventKind.OPEN, token, address, request.client))
                answers.append(pixel)
            else:
                answers.append(None)
        self._events.record(hits)
        self._count(answers, pixel)
        return answers

    def _redirect(
        self, keyring: Keyring, request: FastRequest, peer: str, second: int, hits: list[Hit]
    ) -> bytes | None:
        """Return the response to a click, and add its event; None if aiohttp has to answer it."""
        token = url_token_verifier(keyring, Kind.CLICK)(request.token)
        target = location(token.target) if token is not None else None
        if token is None or target is None or self._blocks().find(token) is not None:
            return None
        address = client_address(peer, request.forwarded_for, self._trusted)
        hits.append(Hit(EventKind.CLICK, token, address, request.client, {"target": token.target}))
        return redirect_octets(target, second)

    def _count(self, answers: Sequence[bytes | None], pixel: bytes) -> None:
        opens = answers.count(pixel)
        clicks = len(answers) - opens - answers.count(None)
        if opens:
            self._requests["open", 200] += opens
        if clicks:
            self._requests["click", 302] += clicks
