"""The memory of bodies: one credential holds a part of it."""

import asyncio
import threading
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from aiohttp.web import Request
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core.core_schema import CoreSchema, no_info_plain_validator_function

from relay.api.access import CALLER, Caller
from relay.api.problems import ProblemError
from relay.api.request_bodies import LARGE, BodyMemory, validate


async def request_of(credential: str, octets: int) -> Request:
    loop = asyncio.get_running_loop()
    body = StreamReader(BaseProtocol(loop), 2**16, loop=loop)
    body.feed_data(b"x" * octets)
    body.feed_eof()
    request = make_mocked_request("POST", "/", payload=body)
    request[CALLER] = Caller(credential)
    return request


async def test_one_credential_holds_half_of_the_memory_or_one_body() -> None:
    memory = BodyMemory(most=100)
    async with AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(memory.body(await request_of("greedy", 25), 40))
        with pytest.raises(ProblemError, match="half of the memory"):
            await held.enter_async_context(memory.body(await request_of("greedy", 1), 40))
        assert len(await held.enter_async_context(memory.body(await request_of("other", 40), 40))) == 40
        with pytest.raises(ProblemError, match="fill the memory"):
            await held.enter_async_context(memory.body(await request_of("third", 20), 40))
    assert (memory.used, set(memory.held.values())) == (0, {0})
    async with memory.body(await request_of("greedy", 80), 80):
        assert memory.used == 80, "a body of the largest size is read"


async def test_only_one_thread_builds_models() -> None:
    """Two first requests at once: pydantic 2.12 and before break a model that two threads build."""
    builders: list[threading.Thread] = []
    validators: list[threading.Thread] = []

    class Noted(str):
        __slots__ = ()

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
            builders.append(threading.current_thread())
            return no_info_plain_validator_function(cls.validated)

        @classmethod
        def validated(cls, value: Any) -> "Noted":
            validators.append(threading.current_thread())
            return cls(value)

    class Body(BaseModel):
        model_config = ConfigDict(defer_build=True)

        text: Noted

    assert (await validate(Body, {"text": "a"}, LARGE + 1)).text == "a"
    assert set(builders) == {threading.current_thread()}
    assert threading.current_thread() not in validators
