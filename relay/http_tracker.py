"""The HTTP server of pixels, links, unsubscribe and verification pages. Tokens are verified with the keys alone.

| path         | method     | answer                                                                               |
|--------------|------------|--------------------------------------------------------------------------------------|
| /o/<token>   | GET HEAD   | 200 and a transparent pixel; recorded as open                                        |
| /c/<token>   | GET HEAD   | 302 to the URL inside the token; recorded as click                                   |
|              |            | 410 and a page if an operator blocked the link                                       |
| /u/<token>   | GET HEAD   | 200 and a page with a button; nothing happens                                        |
|              |            | 410 if the store no longer has the message                                           |
| /u/<token>   | POST       | 200 if the unsubscribe is on disk (RFC 8058), 503 if it cannot be written            |
| /v/<token>   | GET HEAD   | 200 and a page with the address and a button; 410 if the link is too old             |
| /v/<token>   | POST       | 200 if the address is confirmed, 410 if the link is too old, 503 on a store error    |
| /verify      | GET HEAD   | 200 and a page that asks for an address; 404 if it is switched off                   |
| /verify      | POST       | 200 and the page that asks for the code, or that confirms; 422 for a wrong code,     |
|              |            | 429 after too many requests, 503 on a store error                                    |
| /healthz     | GET HEAD   | 200 or 503, and the checks as JSON                                                   |
| /readyz      | GET HEAD   | 200 while mail can be accepted, else 503                                             |
| /robots.txt  | GET HEAD   | 200, all paths disallowed                                                            |

A foreign or altered token, or one of another kind, gets 404 and never a redirect. Other methods get 405.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from aiohttp import web

from relay.acceptor import Acceptor, Preamble, accept_connections
from relay.clock import Clock, system_clock
from relay.events.ports import StoreError
from relay.events.sink import EventSink
from relay.log import Emit, unlogged
from relay.networks import Network, NetworkSet
from relay.proxy_protocol import ProxyHeader
from relay.rewrite.tokens import Keyring, Kind, Token, verify_token
from relay.suppression.unsubscribes import Subscription
from relay.tracker import pages, responses
from relay.tracker.canary import is_canary
from relay.tracker.client import Client, client_address, client_group, parse_client
from relay.tracker.connection_limits import ConnectionLimits
from relay.tracker.fast_answers import FastAnswers
from relay.tracker.fast_path import SINK_DELAY, Delay, FastPath
from relay.tracker.forwarded import read_x_forwarded_for
from relay.tracker.link_blocks import LinkBlocks
from relay.tracker.location import location
from relay.tracker.ports import AddressVerification, FindSubscription
from relay.tracker.reader_events import NOTHING, ReaderEvents
from relay.tracker.request import FORM, MAX_BODY, READING, kind_of, path_of, read_body, tokens_in
from relay.tracker.server import Connection, Server
from relay.tracker.verification_routes import VerificationRoutes

LOOKUP_TIMEOUT = 1.0
"""Seconds for which a page waits for the unsubscribe state, at most; it can be shown without it."""


class Tracker:
    """Answers readers and records opens, clicks and unsubscribes.

    `keyring` is called for each request, so that new keys need no restart. `checks` and `readiness` give the states for
    /healthz and /readyz.
    X-Forwarded-For and Forwarded are trusted from `trusted_proxies` only. With `proxy_protocol` only these may connect,
    each time with a header (`relay.proxy_protocol`). Without `verification`, as in a standalone tracker, the pages that
    verify addresses ask for the code. Without `subscription` the unsubscribe page is the same for all. `blocks` returns
    the blocked links. `on_folded` gets the number of events that were counted in another one, `requests` the answers.
    """

    def __init__(
        self,
        keyring: Callable[[], Keyring],
        sink: EventSink,
        *,
        trusted_proxies: Sequence[Network] = (),
        proxy_protocol: bool = False,
        limits: ConnectionLimits | None = None,
        checks: Callable[[], Mapping[str, bool]] = dict,
        readiness: Callable[[], Mapping[str, bool]] = dict,
        clock: Clock = system_clock,
        verification: AddressVerification | None = None,
        subscription: FindSubscription | None = None,
        pixel_delay: Delay = lambda: 0.0,
        on_folded: Callable[[int], None] = lambda _: None,
        blocks: Callable[[], LinkBlocks] = LinkBlocks,
        log: Emit = unlogged,
        requests: Counter[tuple[str, int]] | None = None,
    ) -> None:
        self._keyring = keyring
        self._sink = sink
        self._trusted = NetworkSet(trusted_proxies)
        self._preamble = Preamble(proxies=tuple(trusted_proxies) if proxy_protocol else None)
        self._limits = limits or ConnectionLimits()
        self._checks = checks
        self._readiness = readiness
        self._clock = clock
        self._verification = VerificationRoutes(verification, clock)
        self._subscription = subscription
        self._pixel_delay = pixel_delay
        self._blocks = blocks
        self._log = log
        self._requests = Counter() if requests is None else requests
        self._events = ReaderEvents(sink, clock, on_folded)
        self._fast_path: FastPath | None = None
        self._server: Server | None = None
        self._listeners: Sequence[asyncio.Server | Acceptor] = ()
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The TCP port of the listener; 0 before `start`."""
        return self._listeners[0].sockets[0].getsockname()[1] if self._listeners else 0

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._server.table) if self._server is not None else 0

    async def start(self, listening: Sequence[socket.socket]) -> None:
        """Serve the clients of these sockets (`relay.listening_sockets`), and close them at the end."""
        answers = FastAnswers(self._keyring, self._trusted, self._blocks, self._events, self._clock, self._requests)
        self._fast_path = FastPath(answers, self._delay)
        self._server = Server(self._answer, self._fast_path, self._limits, self._trusted)
        self._listeners = await accept_connections(listening, self._preamble, self._server, self._refused)
        self._sweeper = asyncio.create_task(self._sweep(self._server), name="tracker sweeper")

    def _refused(self, client: str, error: Exception) -> None:
        self._log("proxy.refused", client=client, listener="tracker", error=str(error))

    def protocol(self, client: str) -> Connection:
        """Return the protocol of a connection that was opened elsewhere, for that client. Call after `start`."""
        assert self._server is not None
        return self._server(ProxyHeader(client))

    async def stop(self, timeout: float = 5.0) -> None:
        """Stop accepting connections, finish answers in progress within `timeout` seconds, and close all."""
        if self._server is None or self._sweeper is None:
            return
        for listener in self._listeners:
            listener.close()
        if self._fast_path is not None:
            self._fast_path.close()
        self._server.pre_shutdown()
        await self._server.shutdown(timeout)
        self._sweeper.cancel()
        await asyncio.wait({self._sweeper})
        self._events.close()
        for listener in self._listeners:
            await listener.wait_closed()
        self._listeners, self._server, self._sweeper = (), None, None

    async def _sweep(self, server: Server) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._limits.answer_timeout / 10)
            server.table.abort_overdue(loop.time())
            self._events.flush()

    def _delay(self) -> float:
        """Return the seconds by which pixels are delayed: in favour of mail, or because the sink is behind."""
        return max(self._pixel_delay(), SINK_DELAY if self._sink.behind else 0.0)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = path_of(request.raw_path)
        token = path[3:]
        match path[:3]:
            case "/o/":
                answer = self._open(request, token)
            case "/c/":
                answer = self._click(request, token)
            case "/u/":
                answer = await self._unsubscribe(request, token)
            case "/v/":
                answer = await self._confirm(request, token)
            case _ if path == "/verify":
                answer = await self._verify(request)
            case _:
                answer = self._other(request, path)
        cast("Connection", request.protocol).answered(asyncio.get_running_loop().time())
        self._requests[kind_of(path), answer.status] += 1
        return answer

    def _token(self, kind: Kind, text: str) -> Token | None:
        """Return the authentic token at the end of a path, None if there is none."""
        keyring = self._keyring()
        return next(filter(None, (verify_token(keyring, kind, one) for one in tokens_in(text))), None)

    def _open(self, request: web.BaseRequest, text: str) -> web.Response:
        if request.method not in READING:
            return responses.not_allowed(READING)
        token = self._token(Kind.OPEN, text)
        if token is None:
            return responses.plain(404, "Not found.")
        self._events.record([(token, *self._client(request), NOTHING)])
        return responses.pixel()

    def _click(self, request: web.BaseRequest, text: str) -> web.Response:
        if request.method not in READING:
            return responses.not_allowed(READING)
        token = self._token(Kind.CLICK, text)
        target = location(token.target) if token is not None else None
        if token is None or target is None:
            return responses.page(pages.INVALID, pages.POLICY, status=404)
        block = None if is_canary(token) else self._blocks().find(token)
        blocked: dict[str, str] = {} if block is None else {"blocked": str(block)}
        self._events.record([(token, *self._client(request), blocked)])
        if block is not None:
            return responses.page(pages.BLOCKED, pages.POLICY, status=410)
        return responses.redirect(target)

    async def _unsubscribe(self, request: web.BaseRequest, text: str) -> web.Response:
        if request.method not in FORM:
            return responses.not_allowed(FORM)
        token = self._token(Kind.UNSUBSCRIBE, text)
        if token is None:
            return responses.page(pages.INVALID, pages.POLICY, status=404)
        if request.method != "POST":
            state = await self._unsubscribe_state(token)
            html, status = pages.unsubscribe_page(state), 200 if state is not None else 410
            return responses.page(html, pages.POLICY, status=status)

        body = await read_body(request)
        if body is None:
            return responses.plain(413, f"The body is longer than {MAX_BODY} octets.")

        by = "page" if b"page=yes" in body else "one-click"
        kept = await self._events.keep_unsubscribe(token, *self._client(request), by)
        state = await self._unsubscribe_state(token)
        if state is None:
            html, status, word = pages.TOO_OLD, 410, "The message is too old: its recipient is no longer stored."
        elif kept:
            html, status, word = pages.DONE[state.reach], 200, "Unsubscribed."
        else:
            html, status, word = pages.FAILED, 503, "Not saved. Try again later."

        if "text/html" in request.headers.get("Accept", ""):
            return responses.page(html, pages.POLICY, status=status)
        return responses.plain(status, word)

    async def _unsubscribe_state(self, token: Token) -> Subscription | None:
        """Return what the reader can unsubscribe from, None if the message is no longer stored."""
        if self._subscription is None:
            return Subscription()
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                return await self._subscription(token.queue_id, token.number)
        except (StoreError, TimeoutError):
            return Subscription()

    async def _confirm(self, request: web.BaseRequest, text: str) -> web.Response:
        if request.method not in FORM:
            return responses.not_allowed(FORM)
        token = self._token(Kind.VERIFY, text)
        if token is None:
            return responses.page(pages.INVALID, pages.POLICY, status=404)
        return await self._verification.link(request, token.queue_id)

    async def _verify(self, request: web.BaseRequest) -> web.Response:
        if request.method not in FORM:
            return responses.not_allowed(FORM)
        address, _ = self._client(request)
        return await self._verification.code(request, client_group(address))

    def _other(self, request: web.BaseRequest, path: str) -> web.Response:
        if path not in ("/healthz", "/readyz", "/robots.txt"):
            return responses.plain(404, "Not found.")
        if request.method not in READING:
            return responses.not_allowed(READING)
        if path == "/healthz":
            return responses.health(self._checks(), self._sink.backlog.shown(self._clock()))
        if path == "/readyz":
            return responses.readiness(self._readiness())
        return responses.plain(200, "User-agent: *\nDisallow: /")

    def _client(self, request: web.BaseRequest) -> tuple[str, Client]:
        """Return address and description of the client."""
        hops = read_x_forwarded_for(request.headers)
        address = client_address(cast("Connection", request.protocol).client, hops, self._trusted)
        return address, parse_client(request.method, request.headers)
