"""Reads the bodies of requests: within a time, a size, and the memory of all of them; JSON into its model."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pydantic_core
from aiohttp import ClientPayloadError, web
from pydantic import BaseModel, ValidationError

from relay.api.access import caller_of
from relay.api.problems import ProblemError

M = TypeVar("M", bound=BaseModel)

BLOCK = 64 * 1024
"""Octets read at once."""

IDLE_TIME = 30.0
"""Seconds without an octet, after which a request ends."""

WHOLE_TIME = 600.0
"""Seconds for the whole body of a request."""

MEMORY = 96 << 20
"""Octets of the bodies of all requests, at most."""

LARGE = 32 * 1024
"""Octets. A larger body is parsed in a thread, because reading it would delay other mail."""

MAX_FAULTS = 20
"""Faults of one body that an answer lists, at most."""


@dataclass(slots=True)
class BodyMemory:
    """The memory of bodies that are being read or handled. A request that finds none free gets a 503.

    One credential gets half of it, or one body: a client that sends slowly holds its part for long.
    """

    most: int = MEMORY
    used: int = 0
    held: Counter[str] = field(default_factory=Counter)
    """Octets by credential."""

    @asynccontextmanager
    async def body(self, request: web.Request, limit: int) -> AsyncIterator[bytes]:
        """Read the body, of at most `limit` octets. Raises ProblemError: 413, 408, 400, or 503 without memory."""
        if (request.content_length or 0) > limit:
            raise _too_large(limit)
        blocks: list[bytes] = []
        held, name = 0, caller_of(request).credential
        share = max(self.most // 2, limit)
        try:
            async with _timeout():
                while block := await _next_block(request):
                    if held + len(block) > limit:
                        raise _too_large(limit)
                    self._take(name, len(block), share)
                    held += len(block)
                    blocks.append(block)
            yield b"".join(blocks)
        finally:
            self._give_back(name, held)

    @contextmanager
    def room(self, request: web.Request, octets: int) -> Iterator[None]:
        """Hold the memory of a large answer while it is written. Raises ProblemError 503 without memory."""
        name = caller_of(request).credential
        self._take(name, octets, max(self.most // 2, octets))
        try:
            yield
        finally:
            self._give_back(name, octets)

    def _take(self, name: str, octets: int, share: int) -> None:
        """Take memory for a credential, of which all its requests have that share."""
        if self.used + octets > self.most:
            raise ProblemError(503, "the bodies of other requests fill the memory; repeat it", retry_after=5)
        if self.held[name] + octets > share:
            raise ProblemError(503, "your other requests fill your half of the memory; repeat it", retry_after=5)
        self.held[name] += octets
        self.used += octets

    def _give_back(self, name: str, octets: int) -> None:
        self.used -= octets
        self.held[name] -= octets


@asynccontextmanager
async def _timeout() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(WHOLE_TIME):
            yield
    except TimeoutError:
        raise ProblemError(408, f"the body did not arrive: {IDLE_TIME:.0f} seconds without an octet") from None


async def _next_block(request: web.Request) -> bytes:
    async with asyncio.timeout(IDLE_TIME):
        try:
            return await request.content.readany()
        except ClientPayloadError:
            raise ProblemError(400, "the body ended before its length") from None


def _too_large(limit: int) -> ProblemError:
    return ProblemError(413, f"the body is larger than the {limit} octets allowed here")


async def read_json(body: bytes) -> Any:
    """Return the JSON value of a body. Raises ProblemError 400."""
    try:
        return (
            await asyncio.to_thread(pydantic_core.from_json, body)
            if len(body) > LARGE
            else (pydantic_core.from_json(body))
        )
    except ValueError as error:
        raise ProblemError(400, f"the body is not JSON: {error}") from None


async def validate(model: type[M], value: object, size: int) -> M:
    """Return the value as a model. `size` is in octets. Raises ProblemError 422 that lists the faults."""
    # Here and in no other thread: pydantic 2.12 and before break a model that two threads build at once.
    model.model_rebuild()
    try:
        return await asyncio.to_thread(model.model_validate, value) if size > LARGE else model.model_validate(value)
    except ValidationError as error:
        found = faults(error, model)
        raise ProblemError(422, "; ".join(found), errors=found) from None


def faults(error: ValidationError, model: type[BaseModel]) -> Sequence[str]:
    """Return what is wrong with a value, each with its place, and what would be right. The value is not shown."""
    given = error.errors(include_url=False, include_input=False)
    return [_fault(one["loc"], one["type"], one["msg"], model) for one in given[:MAX_FAULTS]]


def _fault(loc: Sequence[int | str], kind: str, message: str, model: type[BaseModel]) -> str:
    place = ".".join(str(one)[:100] for one in loc if one != "[key]")
    match kind:
        case "missing":
            return f"{place}: is missing"
        case "extra_forbidden":
            known = sorted(one.alias or name for name, one in model.model_fields.items())
            return f"{place}: is unknown" + (f"; known are {', '.join(known)}" if len(loc) == 1 else "")
        case "timezone_aware":
            return f'{place}: has no time zone; use one such as "2026-12-01T09:00:00Z"'
        case "value_error":
            return f"{place}: {message.removeprefix('Value error, ')}".removeprefix(": ")
        case _:
            return f"{place}: {message[:1].lower()}{message[1:]}".removeprefix(": ")
